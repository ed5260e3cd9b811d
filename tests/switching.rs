//! Eight threads predict while others switch, load and drop tasks: every prediction is of one task, wholly.
#![cfg(feature = "runtime")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::thread::{scope, yield_now};

use common::adapter::AdapterFile;
use common::base::{Sizes, TINY, Weights};
use common::heap::{Counting, live};
use safetensors::tensor::Dtype;
use taps::base::Base;
use taps::format::Encoding;
use taps::kernels::Segments;
use taps::models::Model;
use taps::runtime::{Input, Prediction, Runtime, Task, Tokens, Weights as _};

#[global_allocator]
static HEAP: Counting = Counting;

const PREDICTING: usize = 8;
const SWITCHES: usize = 100_000;
const SMALL: Sizes = Sizes { layers: 1, ..TINY };
const NAMES: [&str; 4] = ["base", "one", "two", "three"];

/// A runtime over a base with a head, so that the base predicts too.
fn open(folder: &tempfile::TempDir) -> Runtime<Model> {
    let base = Base::open(folder.path()).unwrap();
    let model = Model::open(&base).unwrap();
    Runtime::new(model).with_threads(1)
}

/// The adapter of a task: different layers for each, and heads of different sizes.
fn adapter(base: &Base, name: &str) -> Vec<u8> {
    let number = NAMES.iter().position(|known| *known == name).unwrap();
    let layers = ["attention.self.value.weight", "intermediate.dense.weight", "output.dense.weight"];
    let mut adapter = AdapterFile::new(base, name);
    for layer in &layers[..number] {
        adapter = adapter.delta(base, &format!("encoder.layer.0.{layer}"), Encoding::F32, number as u64);
    }
    adapter.head(SMALL.hidden, &["a", "b", "c", "d"][..number + 1], number as u64).bytes()
}

fn inputs() -> Vec<Input> {
    let input = |seed: u32| {
        let ids = (0..6).map(|at| (seed * 7 + at * 5) % SMALL.vocab as u32).collect();
        Input::Tokens(Tokens { ids, segments: Segments::from_lengths([4, 2]) })
    };
    (0..3).map(input).collect()
}

fn bits(prediction: &Prediction) -> Vec<u32> {
    prediction.logits().iter().map(|score| score.to_bits()).collect()
}

/// What each task gives for each input when nothing else runs.
fn expected(runtime: &Runtime<Model>, tasks: &[Arc<Task>]) -> Vec<Vec<Vec<u32>>> {
    let of = |task: &Arc<Task>, input: &Input| bits(&runtime.predict_as(task.clone(), input).unwrap());
    let all: Vec<Vec<_>> = tasks.iter().map(|task| inputs().iter().map(|input| of(task, input)).collect()).collect();
    let mut distinct: Vec<_> = all.iter().flatten().collect();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), tasks.len() * inputs().len(), "tasks and inputs can be told apart");
    all
}

/// What the threads saw.
#[derive(Default)]
struct Seen {
    by_task: [AtomicUsize; NAMES.len()],
    across_a_switch: AtomicUsize,
    loaded: AtomicUsize,
}

impl Seen {
    /// Whether the threads have met often enough for the test to mean something.
    fn enough(&self) -> bool {
        let counts = self.by_task.iter().chain([&self.across_a_switch]);
        counts.into_iter().all(|count| count.load(Relaxed) > PREDICTING) && self.loaded.load(Relaxed) > 1000
    }
}

fn predict(runtime: &Runtime<Model>, thread: usize, expected: &[Vec<Vec<u32>>], done: &AtomicBool, seen: &Seen) {
    let inputs = inputs();
    for number in thread.. {
        if done.load(Relaxed) {
            break;
        }
        let prediction = runtime.predict(&inputs[number % inputs.len()]).unwrap();
        if !Arc::ptr_eq(&runtime.pin(), prediction.task()) {
            seen.across_a_switch.fetch_add(1, Relaxed);
        }
        let name = prediction.task().name();
        let task = NAMES.iter().position(|known| *known == name).expect("a task of this test");
        let expected = &expected[task][number % inputs.len()];
        assert_eq!(&bits(&prediction), expected, "scores that are not those of {name}");
        seen.by_task[task].fetch_add(1, Relaxed);
    }
}

/// Loads tasks, switches to each, predicts with it and drops it, until done.
fn load_and_drop(
    runtime: &Runtime<Model>,
    expected: &[Vec<Vec<u32>>],
    done: &AtomicBool,
    seen: &Seen,
) -> Vec<Weak<Task>> {
    let (inputs, mut loaded) = (inputs(), Vec::with_capacity(1 << 20));
    while !done.load(Relaxed) && loaded.len() < 1 << 20 {
        let number = 1 + loaded.len() % 3;
        let task = runtime.load_bytes(&adapter(runtime.base(), NAMES[number]), "memory").unwrap();
        loaded.push(Arc::downgrade(&task));
        runtime.switch(&task).unwrap();
        let prediction = runtime.predict_as(task, &inputs[0]).unwrap();
        assert_eq!(bits(&prediction), expected[number][0]);
        seen.loaded.fetch_add(1, Relaxed);
    }
    loaded
}

fn stress(folder: &tempfile::TempDir) -> (usize, usize) {
    let runtime = open(folder);
    let load = |name: &&str| runtime.load_bytes(&adapter(runtime.base(), name), "memory").unwrap();
    let mut tasks = vec![runtime.base_task().clone()];
    tasks.extend(NAMES[1..].iter().map(load));
    let expected = expected(&runtime, &tasks);
    let (done, seen) = (AtomicBool::new(false), Seen::default());
    let loaded = scope(|scope| {
        for thread in 0..PREDICTING {
            let (runtime, expected, done, seen) = (&runtime, &expected, &done, &seen);
            scope.spawn(move || predict(runtime, thread, expected, done, seen));
        }
        let loader = scope.spawn(|| load_and_drop(&runtime, &expected, &done, &seen));
        for number in 0.. {
            if number >= SWITCHES && seen.enough() {
                break;
            }
            drop(runtime.switch(&tasks[number % tasks.len()]).unwrap());
            if number % 127 == 0 {
                yield_now();
            }
        }
        done.store(true, Relaxed);
        loader.join().unwrap()
    });
    let counts = seen.by_task.each_ref().map(|count| count.load(Relaxed));
    let across = seen.across_a_switch.load(Relaxed);
    println!("{counts:?} predictions by {NAMES:?}, {across} across a switch, {} tasks loaded", loaded.len());
    assert!(counts.iter().all(|&count| count > PREDICTING), "every task predicted: {counts:?}");
    assert!(across > PREDICTING, "switches fell into predictions");

    runtime.switch(runtime.base_task()).unwrap();
    assert!(loaded.iter().all(|task| task.strong_count() == 0), "a dropped task is held by nobody");
    assert_eq!(tasks[1..].iter().map(Arc::strong_count).sum::<usize>(), NAMES.len() - 1, "held by this test alone");
    (loaded.len(), tasks[1].own_bytes())
}

#[test]
fn every_prediction_is_of_one_task_and_memory_returns() {
    let weights = Weights::bert(SMALL, 1);
    let mut with_head = weights.clone();
    with_head.put("classifier.weight", &[2, SMALL.hidden], &[0.5; 2 * SMALL.hidden]);
    with_head.put("classifier.bias", &[2], &[0.25, 0.5]);
    let folder = with_head.folder(Dtype::F32);
    drop((weights, with_head));
    drop(open(&folder));
    let before = live();
    let (loaded, own_bytes) = stress(&folder);
    let grown = live().saturating_sub(before);
    println!("the heap has grown by {grown} bytes after {loaded} tasks of at least {own_bytes} bytes");
    assert!(loaded * own_bytes > 4 * 64 * 1024, "too few tasks to see a leak: {loaded}");
    assert!(grown < 64 * 1024, "{grown} bytes are still held");
}
