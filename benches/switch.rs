//! The cost of a switch: beside a bare atomic exchange, over base sizes and numbers of tasks, and to the forward pass
//! after it. Before criterion's groups it prints a table of ratios, whose two sides are measured in turns.

#[path = "../tests/common/adapter.rs"]
#[allow(dead_code)]
mod adapter;
#[path = "../tests/common/base.rs"]
#[allow(dead_code)]
mod base;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

use adapter::AdapterFile;
use base::{Sizes, Weights};
use criterion::Criterion;
use safetensors::tensor::Dtype;
use taps::base::Base;
use taps::format::Encoding;
use taps::kernels::Segments;
use taps::models::Model;
use taps::runtime::{Input, Runtime, Task, Tokens};
use tempfile::TempDir;

const SMALL: Sizes = Sizes { vocab: 1, hidden: 64, inner: 256, layers: 2, positions: 128 };
const MINI: Sizes = Sizes { vocab: 1, hidden: 384, inner: 1536, layers: 6, positions: 128 };

/// A runtime over a base and tasks of it.
struct Setup {
    runtime: Runtime<Model>,
    tasks: Vec<Arc<Task>>,
    _folder: TempDir,
}

impl Setup {
    /// Over a base of `bytes` that takes no room on disk, with `tasks` small tasks.
    fn sparse(sizes: Sizes, bytes: usize, tasks: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        sizes.filled_to(bytes).write_sparse(folder.path());
        let runtime = open(&folder);
        assert!(runtime.base().bytes() >= bytes);
        let file = AdapterFile::new(runtime.base(), "task").delta(
            runtime.base(),
            "encoder.layer.1.attention.self.query.bias",
            Encoding::F32,
            1,
        );
        let file = file.head(sizes.hidden, &["a", "b"], 1).bytes();
        let tasks = (0..tasks).map(|_| runtime.load_bytes(&file, "memory").unwrap()).collect();
        Self { runtime, tasks, _folder: folder }
    }

    /// What is switched between: all tasks, or the one and the base.
    fn cycle(&self) -> Vec<Arc<Task>> {
        let base = (self.tasks.len() < 2).then(|| self.runtime.base_task().clone());
        self.tasks.iter().cloned().chain(base).collect()
    }

    fn check(&self) {
        for task in self.cycle() {
            let before = self.runtime.pin();
            assert!(Arc::ptr_eq(&self.runtime.switch(&task).unwrap(), &before));
            assert!(Arc::ptr_eq(&self.runtime.pin(), &task));
        }
    }
}

fn open(folder: &TempDir) -> Runtime<Model> {
    let base = Base::open(folder.path()).unwrap();
    let model = Model::open(&base).unwrap();
    Runtime::new(model).with_threads(1)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Nanoseconds of one call of each of `sides`: batches of `calls` in turns, and the median over `rounds`.
fn in_turns<const N: usize>(rounds: usize, calls: usize, mut sides: [&mut dyn FnMut(usize); N]) -> [f64; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for (side, times) in sides.iter_mut().zip(&mut times) {
            let start = Instant::now();
            side(calls);
            times.push(start.elapsed().as_nanos() as f64 / calls as f64);
        }
    }
    times.map(median)
}

/// Visits `cycle` in order, `calls` times.
fn each<T>(cycle: &[T], calls: usize, mut visit: impl FnMut(&T)) {
    (0..calls.div_ceil(cycle.len())).for_each(|_| cycle.iter().for_each(&mut visit));
}

fn exchange_table(rounds: usize) {
    println!(
        "{:>8} {:>6} {:>10} {:>10} {:>7} {:>10} {:>10} {:>8} {:>10}",
        "base", "tasks", "switch", "exchange", "sw/exch", "current", "load", "cur/exch", "pin"
    );
    let rows = [(1, 1), (1, 100), (1, 1000), (64, 1), (64, 100), (64, 1000), (1024, 1), (1024, 100), (1024, 1000)];
    for (mebibytes, tasks) in rows {
        let sizes = if mebibytes == 1 { SMALL } else { MINI };
        let setup = Setup::sparse(sizes, mebibytes << 20, tasks);
        setup.check();
        let (runtime, cycle) = (&setup.runtime, setup.cycle());
        let pointers: Vec<*mut Task> = cycle.iter().map(|task| Arc::as_ptr(task).cast_mut()).collect();
        let bare = AtomicPtr::new(pointers[0]);
        let [switch, exchange, current, load, pin] = in_turns(
            rounds,
            4000,
            [
                &mut |calls| each(&cycle, calls, |task| drop(black_box(runtime.switch(task).unwrap()))),
                &mut |calls| each(&pointers, calls, |task| _ = black_box(bare.swap(*task, Ordering::AcqRel))),
                &mut |calls| each(&cycle, calls, |_| _ = black_box(&raw const *runtime.current())),
                &mut |calls| each(&pointers, calls, |_| _ = black_box(bare.load(Ordering::Acquire))),
                &mut |calls| each(&cycle, calls, |_| drop(black_box(runtime.pin()))),
            ],
        );
        println!(
            "{:>4} MiB {tasks:>6} {switch:>7.1} ns {exchange:>7.1} ns {:>7.1} {current:>7.1} ns {load:>7.1} ns {:>8.1} {pin:>7.1} ns",
            mebibytes,
            switch / exchange,
            current / exchange
        );
    }
}

/// A base of MiniLM's shape with random weights, and two tasks of four layers each.
fn mini() -> Setup {
    let folder = Weights::bert(MINI.filled_to(64 << 20), 1).folder(Dtype::F32);
    let runtime = open(&folder);
    let tasks = (1..=2).map(|number| {
        let mut file = AdapterFile::new(runtime.base(), "task");
        for layer in ["3.intermediate.dense", "4.attention.self.query", "4.output.dense", "5.intermediate.dense"] {
            file = file.delta(runtime.base(), &format!("encoder.layer.{layer}.weight"), Encoding::Int8, number);
        }
        let file = file.head(MINI.hidden, &["a", "b", "c"], number);
        runtime.load_bytes(&file.bytes(), "memory").unwrap()
    });
    let tasks = tasks.collect();
    Setup { runtime, tasks, _folder: folder }
}

fn sentences(count: usize, tokens: usize) -> Input {
    let ids = (0..count * tokens).map(|at| (at as u32 * 7919) % 1000).collect();
    Input::Tokens(Tokens { ids, segments: Segments::uniform(count, tokens) })
}

fn forward_table(setup: &Setup, rounds: usize) {
    println!("{:>12} {:>14} {:>10} {:>7}", "forward of", "after a switch", "warm", "ratio");
    let runtime = &setup.runtime;
    for (count, tokens) in [(1, 16), (1, 64), (8, 64)] {
        let input = sentences(count, tokens);
        let first = setup.tasks.iter().map(|task| runtime.predict_as(task.clone(), &input).unwrap());
        let first: Vec<Vec<f32>> = first.map(|prediction| prediction.logits().to_vec()).collect();
        assert_ne!(first[0], first[1], "the tasks differ");
        let (mut after, mut warm) = (Vec::new(), Vec::new());
        for round in 0..2 * rounds {
            let task = &setup.tasks[round % 2];
            for (times, switches) in [(&mut after, true), (&mut warm, false)] {
                let start = Instant::now();
                if switches {
                    drop(runtime.switch(task).unwrap());
                }
                let prediction = runtime.predict(&input).unwrap();
                times.push(start.elapsed().as_secs_f64() * 1e6);
                assert!(Arc::ptr_eq(prediction.task(), task));
                assert_eq!(prediction.logits()[..], first[round % 2][..]);
            }
        }
        let (after, warm) = (median(after), median(warm));
        println!("{:>12} {after:>11.0} us {warm:>7.0} us {:>7.3}", format!("{count} x {tokens}"), after / warm);
    }
}

fn groups(criterion: &mut Criterion, mini: &Setup) {
    let setup = Setup::sparse(MINI, 64 << 20, 100);
    setup.check();
    let (runtime, cycle) = (&setup.runtime, setup.cycle());
    let bare = AtomicPtr::new(Arc::as_ptr(&cycle[0]).cast_mut());
    let mut tasks = cycle.iter().cycle();
    let mut next = || tasks.next().unwrap();
    let mut group = criterion.benchmark_group("switch");
    group.bench_function("switch", |bench| bench.iter(|| runtime.switch(next()).unwrap()));
    group.bench_function("atomic exchange", |bench| {
        bench.iter(|| bare.swap(Arc::as_ptr(next()).cast_mut(), Ordering::AcqRel));
    });
    group.bench_function("current", |bench| bench.iter(|| runtime.current()));
    group.bench_function("pin", |bench| bench.iter(|| runtime.pin()));
    group.bench_function("atomic load", |bench| bench.iter(|| bare.load(Ordering::Acquire)));
    let input = sentences(1, 16);
    let mut number = 0;
    group.bench_function("switch and forward", |bench| {
        bench.iter(|| {
            number += 1;
            drop(mini.runtime.switch(&mini.tasks[number % 2]).unwrap());
            mini.runtime.predict(&input).unwrap()
        });
    });
    group.bench_function("forward", |bench| bench.iter(|| mini.runtime.predict(&input).unwrap()));
    group.finish();
}

fn main() {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let mini = mini();
    exchange_table(if measuring { 501 } else { 1 });
    forward_table(&mini, if measuring { 40 } else { 1 });
    let criterion = Criterion::default().warm_up_time(Duration::from_millis(300));
    let mut criterion = criterion.measurement_time(Duration::from_secs(1)).sample_size(30).configure_from_args();
    groups(&mut criterion, &mini);
    criterion.final_summary();
}
