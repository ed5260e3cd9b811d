//! Compares ways to choose layers on one set of tasks after another: accuracy over seeds, layers and bytes.
//!
//! ```text
//! cargo run --release --example choice -- SET [--seeds 3] [--threads 1] [--minilm DIR] [--each N]
//! ```
//!
//! `SET` is `banking77`, `clothing96`, `activity`, `spoken-digits`, `digits` or `python-docs`, which has to be made first
//! by `python3 benches/methods/python_docs.py target/python-docs`. `--each` takes that many texts of each class to learn from,
//! and `--only NAME --rate RATE` runs one method. A set is one task or several, whose test examples count together.
//! - Each method has the learning rate that does best on the validation examples with the first seed, of those that
//!   the set states: `full` one, and all others the one that suits `probe` with 6 layers. Test examples are looked at once
//!   for each run, after it. `activity` and `spoken-digits` state one rate each, found as their examples say.
//! - Every method but `head` tunes the norms' scales and biases where running statistics are; all have the same epochs.
//! - `taps` has a gate on every layer to the end and no cap: the paper's method.
//!
//! One line of JSON for each run goes to stderr, the table to stdout.

#[path = "../common/mod.rs"]
mod common;
mod sets;

use std::time::Instant;

use serde_json::json;
use taps::format::Encoding;
use taps::kernels::Workspace;
use taps::runtime::{Task, evaluate};
use taps::train::{Budget, Config, Data, Method, Quiet, Select, fine_tune};
use taps::{Adapter, Network};

use common::Result;
use sets::{Case, Set};

/// Name, and what a run may change.
fn methods() -> Vec<(String, Config)> {
    let config = |method, select, budget| Config { method, select, budget, ..Config::default() };
    let any = Budget::default();
    let mut all = vec![
        ("head".to_owned(), config(Method::Head, Select::Probe, any)),
        ("full".to_owned(), config(Method::Full, Select::Probe, any)),
        ("taps".to_owned(), config(Method::Taps, Select::ProbeScores, any)),
    ];
    for select in [Select::ProbeScores, Select::Probe, Select::Last, Select::Random] {
        for cap in [4, 6] {
            let name = format!("{}, {cap} layers", select.name());
            all.push((name, config(Method::Taps, select.clone(), Budget::layers(cap))));
        }
    }
    all
}

/// What came of a run on all tasks of a set.
#[derive(Clone, Copy, Default)]
struct Outcome {
    validation: [f64; 2],
    right: usize,
    examples: usize,
    layers: f64,
    bytes: f64,
    seconds: f64,
}

impl Outcome {
    fn accuracy(&self) -> f64 {
        100.0 * self.right as f64 / self.examples.max(1) as f64
    }
}

fn run(set: &Set, name: &str, config: &Config, rate: f32, seed: u64, threads: usize) -> Result<Outcome> {
    let mut sum = Outcome::default();
    let share = 1.0 / set.cases.len() as f64;
    for case in &set.cases {
        let Case { base, model, train, validation, test } = case;
        let config = Config { rate, seed, threads, ..set.settings(config) };
        let data = Data { train: &**train, validation: validation.as_deref() };
        let began = Instant::now();
        let tuned = fine_tune(base, model, data, &config, &mut Quiet)?;
        let seconds = began.elapsed().as_secs_f64();
        let adapter = tuned.adapter(base, model, "t", Encoding::F32)?;
        let task = Task::build(model, &Adapter::parse(&adapter)?, name)?;
        let order: Vec<usize> = (0..test.len()).collect();
        let score = evaluate(model, &task, &**test, &order, 64, &Workspace::new(threads))?;
        sum.right += score.correct;
        sum.examples += score.examples;
        sum.validation[0] += share * tuned.validation.accuracy();
        sum.validation[1] -= share * f64::from(tuned.validation.loss);
        sum.layers += share * tuned.active_layers(model.layout()).len() as f64;
        sum.bytes += share * adapter.len() as f64;
        sum.seconds += share * seconds;
    }
    eprintln!(
        "{}",
        json!({
            "set": set.name, "method": name, "rate": rate, "seed": seed, "accuracy": sum.accuracy(),
            "validation": 100.0 * sum.validation[0], "layers": sum.layers, "bytes": sum.bytes, "seconds": sum.seconds,
        })
    );
    Ok(sum)
}

/// The rate of `rates` that does best on the validation examples, and the run with it.
fn best(set: &Set, name: &str, config: &Config, rates: &[f32], threads: usize) -> Result<(f32, Outcome)> {
    let mut runs = Vec::new();
    for &rate in rates {
        runs.push((rate, run(set, name, config, rate, 0, threads)?));
    }
    let best = runs
        .into_iter()
        .max_by(|a, b| a.1.validation.partial_cmp(&b.1.validation).unwrap_or(std::cmp::Ordering::Equal));
    best.ok_or_else(|| "no rate".into())
}

/// The word after a flag.
fn word<'a>(arguments: &'a [String], flag: &str) -> Option<&'a String> {
    arguments.iter().position(|word| word == flag).and_then(|at| arguments.get(at + 1))
}

/// The number after a flag.
fn number(arguments: &[String], flag: &str, default: u64) -> Result<u64> {
    word(arguments, flag).map_or(Ok(default), |word| Ok(word.parse()?))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().ok_or("which set?")?;
    let (seeds, threads) = (number(&arguments, "--seeds", 3)?, number(&arguments, "--threads", 1)? as usize);
    let minilm = word(&arguments, "--minilm");
    let each = number(&arguments, "--each", u64::MAX)? as usize;
    let set = Set::open(name, minilm.map_or("minilm", String::as_str), each)?;
    let (mut found, mut layers_rate) = (Vec::new(), None);
    let suits = |name: &str| name == "probe, 6 layers";
    let mut methods = methods();
    methods.sort_by_key(|(name, _)| !suits(name));
    let given: Option<f32> = word(&arguments, "--rate").map(|rate| rate.parse()).transpose()?;
    if let Some(only) = word(&arguments, "--only") {
        methods.retain(|(name, _)| name == only && given.is_some());
    }
    if methods.is_empty() {
        return Err("--only needs the name of a method, and --rate".into());
    }
    for (name, config) in &methods {
        let (rate, first) = match (config.method, given.or(layers_rate)) {
            (Method::Full, _) if given.is_none() => best(&set, name, config, set.full_rates, threads)?,
            (_, None) => best(&set, name, config, set.rates, threads)?,
            (_, Some(rate)) => (rate, run(&set, name, config, rate, 0, threads)?),
        };
        if suits(name) {
            layers_rate = Some(rate);
        }
        let mut runs = vec![first];
        for seed in 1..seeds {
            runs.push(run(&set, name, config, rate, seed, threads)?);
        }
        found.push((name, rate, runs));
    }
    println!("\n{}: {} test examples\n", set.name, found[0].2[0].examples);
    println!("| method | rate | accuracy | spread | layers | bytes | seconds |");
    println!("|---|---|---|---|---|---|---|");
    for (name, rate, runs) in found {
        let mean = |of: &dyn Fn(&Outcome) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
        let accuracy: Vec<f64> = runs.iter().map(Outcome::accuracy).collect();
        println!(
            "| {name} | {rate} | {:.1} % | {:.1} to {:.1} | {:.1} | {:.0} | {:.1} |",
            mean(&Outcome::accuracy),
            accuracy.iter().copied().fold(f64::INFINITY, f64::min),
            accuracy.iter().copied().fold(0.0, f64::max),
            mean(&|run| run.layers),
            mean(&|run| run.bytes),
            mean(&|run| run.seconds),
        );
    }
    Ok(())
}
