//! What a base and its tasks cost in memory, and that a switch costs none, waits for nobody and never enters the
//! kernel. Set `TAPS_MINILM` to a folder with all-MiniLM-L6-v2 to measure that as well as a base of random weights.
#![cfg(feature = "runtime")]

mod common;

use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::yield_now;

use common::adapter::AdapterFile;
use common::base::{Sizes, TINY, Weights};
use common::heap::{Counting, calls, largest, live};
use safetensors::tensor::Dtype;
use taps::base::Base;
use taps::format::Encoding;
use taps::kernels::Segments;
use taps::models::Model;
use taps::runtime::{Input, Network, Runtime, Task, Tokens, Weights as _};

#[global_allocator]
static HEAP: Counting = Counting;

const LARGE: Sizes = Sizes { vocab: 30522, hidden: 384, inner: 1536, layers: 2, positions: 64 };
const WORDS: &str = "embeddings.word_embeddings.weight";
const TASKS: usize = 20;

/// The counts are of the process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn minilm() -> Option<PathBuf> {
    let folder = std::env::var_os("TAPS_MINILM").map(PathBuf::from);
    if folder.is_none() {
        println!("set TAPS_MINILM to run on MiniLM");
    }
    folder
}

fn open(folder: &Path) -> Runtime<Model> {
    let base = Base::open(folder).unwrap();
    let model = Model::open(&base).unwrap();
    Runtime::new(model).with_threads(1)
}

fn input() -> Input {
    Input::Tokens(Tokens { ids: (0..32).collect(), segments: Segments::uniform(2, 16) })
}

fn adapter(runtime: &Runtime<Model>, number: u64, encoding: Encoding) -> AdapterFile {
    let base = runtime.base();
    AdapterFile::new(base, &format!("task {number}"))
        .delta(base, "encoder.layer.1.attention.self.query.weight", encoding, number)
        .delta(base, "encoder.layer.0.output.dense.bias", Encoding::F32, number)
        .head(runtime.network().layout().features(), &["a", "b", "c"], number)
}

#[cfg(target_os = "linux")]
fn assert_clean(file: &Path, when: &str) {
    let mapped = common::process::mapped(file);
    assert!(mapped.size as u64 >= std::fs::metadata(file).unwrap().len(), "the base is mapped {when}: {mapped:?}");
    assert_eq!((mapped.private_dirty, mapped.anonymous), (0, 0), "private pages of the base {when}: {mapped:?}");
}

#[cfg(not(target_os = "linux"))]
fn assert_clean(_: &Path, _: &str) {}

/// A product over another base: at the first of each thread, faer reserves scratch by the size of the
/// processor's caches, whatever the base.
fn reserve_scratch() {
    let sizes = Sizes { vocab: 100, hidden: 128, inner: 512, layers: 1, positions: 64 };
    let folder = Weights::bert(sizes, 1).folder(Dtype::F32);
    open(folder.path()).predict(&input()).expect_err("a base without a head");
}

#[cfg(target_os = "linux")]
use common::process::anonymous;
#[cfg(not(target_os = "linux"))]
fn anonymous() -> usize {
    0
}

/// The base stays in its file, and tasks cost what they say they own.
fn costs_only_what_tasks_own(folder: &Path) {
    let file = folder.join("model.safetensors");
    File::open(&file).unwrap().sync_all().expect("pages that wait to be written would count as dirty");
    reserve_scratch();
    let (mut opened, before) = (None, anonymous());
    let block = largest(|| {
        let runtime = open(folder);
        runtime.predict(&input()).expect_err("a base without a head, whose forward pass ends at it");
        opened = Some(runtime);
    });
    let (runtime, touched) = (opened.unwrap(), anonymous().saturating_sub(before));
    let table = runtime.base().tensor(runtime.base().find(WORDS).unwrap()).bytes.len();
    println!(
        "{}: base {} bytes, largest block {block} bytes, {touched} bytes touched",
        folder.display(),
        runtime.base().bytes()
    );
    assert!(block < table, "a block of {block} bytes beside a table of {table}");
    assert!(touched < table / 2, "{touched} bytes of memory beside a table of {table}");
    let matrix = 4 * runtime.network().layout().features().pow(2);
    assert!(block < matrix, "a block of {block} bytes, and the smallest matrix has {matrix}");
    assert_clean(&file, "after a forward pass");

    let load = |number: usize| {
        let encoding = [Encoding::F32, Encoding::F16, Encoding::Int8][number % 3];
        let bytes = adapter(&runtime, number as u64, encoding).bytes();
        runtime.load_bytes(&bytes, "memory").unwrap()
    };
    drop(load(0));
    let mut tasks: Vec<Arc<Task>> = Vec::with_capacity(TASKS);
    let before = live();
    tasks.extend((0..TASKS).map(load));
    let (grown, owned) = (live() - before, tasks.iter().map(|task| task.own_bytes()).sum::<usize>());
    println!("{TASKS} tasks own {owned} bytes and took {grown}");
    assert!(owned > TASKS * matrix, "each has a matrix of its own");
    assert!(grown >= owned && grown < owned + TASKS * 16 * 1024, "{owned} bytes owned and {grown} taken");

    for task in &tasks {
        runtime.switch(task).unwrap();
        let prediction = runtime.predict(&input()).unwrap();
        assert!(Arc::ptr_eq(prediction.task(), task));
    }
    assert_clean(&file, "after a forward pass of every task");
    runtime.switch(runtime.base_task()).unwrap();
    let before = live();
    tasks.clear();
    let freed = before - live();
    assert!(freed >= owned && freed < owned + TASKS * 16 * 1024, "{owned} bytes owned and {freed} freed");
}

#[test]
fn a_base_stays_in_its_file() {
    let _alone = alone();
    assert!(LARGE.bytes() > 60_000_000);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    Weights::bert(LARGE, 1).write_folder(folder.path(), Dtype::F32);
    costs_only_what_tasks_own(folder.path());
}

/// Weights of 16 bits are converted a tile at a time inside the products, those of few rows and those of many.
#[test]
fn an_f16_base_is_never_converted_whole() {
    let _alone = alone();
    let folder = Weights::bert(LARGE, 1).folder(Dtype::F16);
    reserve_scratch();
    let runtime = open(folder.path());
    let largest_weight = 4 * LARGE.inner * LARGE.hidden;
    for tokens in [8, 64] {
        let segments = Segments::uniform(4, tokens);
        let input = Input::Tokens(Tokens { ids: (0..segments.rows() as u32).collect(), segments });
        let block = largest(|| {
            runtime.predict(&input).expect_err("a base without a head, whose forward pass ends at it");
        });
        println!("4 texts of {tokens} tokens: largest block {block} bytes, largest weight {largest_weight} as f32");
        assert!(block < largest_weight / 2, "a block of {block} bytes beside a weight of {largest_weight} as f32");
    }
}

#[test]
fn minilm_stays_in_its_file() {
    let _alone = alone();
    if let Some(folder) = minilm() {
        costs_only_what_tasks_own(&folder);
    }
}

/// The probe frees gradients as they are formed: beside activations it takes the room of those that are formed together,
/// of the two layers of a feed-forward block, and of another tensor as large that is being read.
#[cfg(feature = "train")]
fn probes_one_operation_at_a_time(folder: &Path) {
    use taps::graph::{Graph, Host};
    use taps::kernels::{Workspace, cross_entropy};
    use taps::runtime::backward;
    use taps::runtime::{Error, Examples};
    use taps::train::{Adapted, probe};

    struct Two([String; 2]);

    impl Examples for Two {
        fn len(&self) -> usize {
            2
        }

        fn classes(&self) -> &[String] {
            &self.0
        }

        fn label(&self, index: usize) -> usize {
            index
        }

        fn batch(&self, indices: &[usize]) -> Result<Input, Error> {
            let segments = Segments::uniform(indices.len(), 4);
            Ok(Input::Tokens(Tokens { ids: (0..segments.rows() as u32).collect(), segments }))
        }
    }

    let base = Base::open(folder).unwrap();
    let model = Model::open(&base).unwrap();
    let (layout, examples) = (model.layout(), Two(["a", "b"].map(str::to_owned)));
    let mut adapted = Adapted::new(&base, layout);
    adapted.set_head(vec![0.01; 2 * layout.features()], vec![0.0; 2]);
    let mut wanted = vec![false; layout.len()];
    layout.tapped().for_each(|id| wanted[id.index()] = true);
    let sizes: Vec<usize> = layout.tapped().map(|id| 4 * layout.layer(id).weight.elements()).collect();
    let (all, largest) = (sizes.iter().sum::<usize>(), sizes.iter().copied().max().unwrap());

    let workspace = Workspace::new(1);
    let (mut graph, input) = (Graph::new(Host::new(&adapted, &workspace), &wanted), examples.batch(&[0, 1]).unwrap());
    let logits = model.logits(&mut graph, &input).unwrap();
    let (_, gradient) = cross_entropy(&workspace, logits.value(), &[0, 1], 0.0);
    let mut kept = Vec::new();
    let mut keep = |_, gradient| {
        kept.push(gradient);
        Ok(())
    };
    backward(&model, &input, graph, &logits, gradient, &mut keep).unwrap();
    let together = workspace.peak_bytes();
    drop((kept, logits));
    workspace.release();
    probe(&model, &adapted, &examples, &[vec![0, 1], vec![1, 0]], &workspace, false, &mut |_| true).unwrap();
    let apart = workspace.peak_bytes();
    println!(
        "{}: gradients of {all} bytes, the largest {largest}: {together} together, {apart} apart",
        folder.display()
    );
    assert!(together > all, "{together} bytes hold gradients of {all}");
    assert!(apart < 3 * largest + all / 10, "{apart} bytes, and the largest gradient has {largest}");
}

#[cfg(feature = "train")]
#[test]
fn a_probe_holds_the_gradients_of_one_operation_at_a_time() {
    let _alone = alone();
    let folder = Weights::bert(LARGE, 1).folder(Dtype::F32);
    probes_one_operation_at_a_time(folder.path());
    if let Some(folder) = minilm() {
        probes_one_operation_at_a_time(&folder);
    }
}

/// A runtime over a small base with tasks loaded.
fn small() -> (Runtime<Model>, Vec<Arc<Task>>, tempfile::TempDir) {
    let folder = Weights::bert(TINY, 1).folder(Dtype::F32);
    let runtime = open(folder.path());
    let load = |number| runtime.load_bytes(&adapter(&runtime, number, Encoding::F32).bytes(), "memory").unwrap();
    let tasks = (0..4).map(load).collect();
    (runtime, tasks, folder)
}

fn switch_often(runtime: &Runtime<Model>, tasks: &[Arc<Task>], times: usize) {
    for number in 0..times {
        black_box(runtime.switch(&tasks[number % tasks.len()]).unwrap());
        black_box(runtime.current().name());
        black_box(runtime.pin());
    }
}

#[test]
fn a_switch_allocates_nothing() {
    let _alone = alone();
    let (runtime, tasks, _folder) = small();
    assert!(calls(|| drop(black_box(Box::new(1)))) == 2, "the allocator counts");
    let count = || {
        switch_often(&runtime, &tasks, 1);
        calls(|| switch_often(&runtime, &tasks, 10_000))
    };
    assert_eq!(count(), 0);
    assert_eq!(std::thread::scope(|scope| scope.spawn(count).join().unwrap()), 0, "in another thread");
}

/// Switches in this thread while more threads read than there are processors, half of them with a borrow of the
/// current task whenever they pause: whoever took a lock would wait for one that has it and does not run.
fn switch_beside_readers(before: impl FnOnce(), switch: impl FnOnce(&dyn Fn()), after: impl FnOnce()) {
    let (runtime, tasks, _folder) = small();
    let (reading, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let readers = 2 * std::thread::available_parallelism().map_or(4, usize::from);
    let read = &|pauses: bool| {
        reading.fetch_add(1, Relaxed);
        while !done.load(Relaxed) {
            let current = runtime.current();
            if pauses {
                yield_now();
            }
            black_box((current.name(), runtime.pin()));
        }
    };
    std::thread::scope(|scope| {
        for reader in 0..readers {
            scope.spawn(move || read(reader % 2 == 0));
        }
        while reading.load(Relaxed) < readers {
            yield_now();
        }
        switch_often(&runtime, &tasks, 1);
        before();
        switch(&|| switch_often(&runtime, &tasks, 1_000_000));
        after();
        done.store(true, Relaxed);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_switch_waits_for_nobody() {
    let _alone = alone();
    let waits = common::process::waits;
    let before = waits();
    std::thread::sleep(std::time::Duration::from_millis(1));
    assert!(waits() > before, "the kernel counts waits");
    let mut waited = 0;
    switch_beside_readers(
        || (),
        |switch| {
            let before = waits();
            switch();
            waited = waits() - before;
        },
        || (),
    );
    assert_eq!(waited, 0);
}

/// What the next test traces: switches between two calls that show in the trace.
#[test]
#[ignore = "run by a_switch_makes_no_system_call"]
fn switches_between_marks() {
    let mark = |name: &str| drop(std::fs::metadata(name));
    switch_beside_readers(|| mark("/marks-the-begin"), |switch| switch(), || mark("/marks-the-end"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_switch_makes_no_system_call() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut strace = std::process::Command::new("strace");
    strace.arg("-f").arg("-o").arg(&trace).arg(std::env::current_exe().unwrap());
    strace.args(["--ignored", "--exact", "switches_between_marks"]);
    match strace.output() {
        Err(error) => return println!("not traced: strace: {error}"),
        Ok(output) if !output.status.success() => return println!("not traced: {output:?}"),
        Ok(_) => {}
    }
    let trace = std::fs::read_to_string(trace).unwrap();
    let begin = trace.lines().position(|line| line.contains("/marks-the-begin")).expect("the begin is in the trace");
    let thread = trace.lines().nth(begin).unwrap().split_whitespace().next().unwrap();
    let made = trace.lines().skip(begin + 1).filter(|line| line.split_whitespace().next() == Some(thread));
    let made: Vec<&str> = made.take_while(|line| !line.contains("/marks-the-end")).collect();
    assert!(trace.contains("/marks-the-end"));
    let real: Vec<_> = made.iter().filter(|line| !line.contains("resumed>")).collect();
    assert!(real.is_empty(), "{real:#?}");
}
