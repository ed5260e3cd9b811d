//! What fine-tunes were reckoned to take, beside what they took: a row for each of several bases, batches and caps.
//!
//! Each row is a process of its own that tunes synthetic examples for two epochs. "counted" is what the pool of buffers and
//! the task held at most; "process" is by how much memory that no file backs grew, sampled every millisecond (Linux).
//! Fails if a plan is below what was counted, or more than 15 % above.
//!
//! ```sh
//! cargo run --release --example plan_table -- BASE[@SIZE]...
//! ```
//! A base is a folder with `config.json` and `model.safetensors`; `@96` is the size of its images.

use std::error::Error;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taps::kernels::Segments;
use taps::models::{InputSpec, Options};
use taps::runtime::{self, ImageSpec, Images, Input, Tokens};
use taps::train::{Budget, Method, Norms, Quiet, Select};
use taps::{Base, Config, Examples, Model, fine_tune};

const ROW: &str = "--row";
/// Largest share by which a plan may be above what was counted.
const ABOVE: f64 = 0.15;

/// Examples of random values, made anew for each batch.
struct Synthetic {
    spec: InputSpec,
    classes: Vec<String>,
    count: usize,
}

impl Synthetic {
    /// Lengths as those of short questions: most are short, a few are several times as long.
    fn length(&self, index: usize, max: usize) -> usize {
        let mut random = ChaCha8Rng::seed_from_u64(index as u64);
        let share: f32 = random.random_range(0.0..1.0);
        ((6.0 + 60.0 * share.powi(6) + 12.0 * share) as usize).min(max)
    }
}

impl Examples for Synthetic {
    fn len(&self) -> usize {
        self.count
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        index % self.classes.len()
    }

    fn rows(&self, index: usize) -> usize {
        match &self.spec {
            InputSpec::Tokens(texts) => self.length(index, texts.longest),
            InputSpec::Images(_) => 1,
        }
    }

    fn batch(&self, indices: &[usize]) -> Result<Input, runtime::Error> {
        let mut random = ChaCha8Rng::seed_from_u64(indices.first().map_or(0, |&first| first as u64));
        Ok(match self.spec {
            InputSpec::Tokens(_) => {
                let segments = Segments::from_lengths(indices.iter().map(|&index| self.rows(index)));
                let ids = (0..segments.rows()).map(|_| random.random_range(0..1000)).collect();
                Input::Tokens(Tokens { ids, segments })
            }
            InputSpec::Images(ImageSpec { channels, height, width, .. }) => {
                let batch = indices.len();
                let count = batch * channels * height * width;
                let pixels = (0..count).map(|_| random.random_range(-1.0..1.0)).collect();
                Input::Images(Images { pixels, batch, channels, height, width })
            }
        })
    }
}

/// The settings of a base: batch, and what the task may change.
fn settings() -> Vec<(usize, Config)> {
    let batches = [8, 32];
    let changes = [
        Config { method: Method::Head, ..Config::default() },
        Config { budget: Budget::layers(1), norms: Norms::Frozen, validation: 0.0, ..Config::default() },
        // Without held-out examples an epoch is kept, which a plan counts on.
        Config { budget: Budget::layers(4), validation: 0.0, ..Config::default() },
        Config { budget: Budget::layers(8), select: Select::Last, validation: 0.0, ..Config::default() },
        Config {
            budget: Budget::layers(4),
            select: Select::ProbeScores,
            micro_batch: Some(4),
            validation: 0.0,
            ..Config::default()
        },
        Config { method: Method::Full, validation: 0.0, ..Config::default() },
        Config { method: Method::Full, recompute: true, validation: 0.0, ..Config::default() },
    ];
    batches.into_iter().flat_map(|batch| changes.clone().map(|change| (batch, Config { batch, ..change }))).collect()
}

fn open(folder: &str) -> Result<(Base, Model), Box<dyn Error>> {
    let (folder, size) = folder.split_once('@').map_or((folder, None), |(folder, size)| (folder, Some(size)));
    let image_size = size.map(|size| size.parse().map(|size| [size; 2])).transpose()?;
    let base = Base::open(folder)?;
    let model = Model::open_with(&base, &Options { image_size, ..Options::default() })?;
    Ok((base, model))
}

/// Bytes of memory that no file backs; 0 where the system does not tell.
fn anonymous() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok())
        .map_or(0, |kilobytes| 1024 * kilobytes)
}

/// The most that memory grew by while `work` ran.
fn growth<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let (before, highest) = (anonymous(), Arc::new(AtomicUsize::new(0)));
    let done = Arc::new(AtomicBool::new(false));
    let sampler = std::thread::spawn({
        let (highest, done) = (highest.clone(), done.clone());
        move || {
            while !done.load(Relaxed) {
                highest.fetch_max(anonymous(), Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let out = work();
    done.store(true, Relaxed);
    drop(sampler.join());
    (out, highest.load(Relaxed).saturating_sub(before))
}

/// One fine-tune; prints its row. Whether the plan held.
fn row(folder: &str, number: usize) -> Result<bool, Box<dyn Error>> {
    let (base, model) = open(folder)?;
    let (batch, config) = settings().swap_remove(number);
    let config = Config { epochs: 2, head_epochs: 2, probe_batches: 2, threads: 2, ..config };
    let classes = (0..10).map(|class| format!("class {class}")).collect();
    let examples = Synthetic { spec: model.input(), classes, count: 3 * batch + 20 };
    let (tuned, process) = growth(|| fine_tune(&base, &model, &examples, &config, &mut Quiet));
    let tuned = tuned?;
    let plan = tuned.plan.as_ref().ok_or("stopped")?;
    let (planned, counted) = (plan.memory.total(), tuned.memory);
    let ratio = planned as f64 / counted as f64;
    let what = match (config.method, &config.select) {
        (Method::Head, _) => "head".to_owned(),
        (Method::Full, _) => "all layers".to_owned(),
        (_, select) => format!("{} layers, {}, norms {}", plan.layers, select.name(), config.norms.name()),
    };
    let what = config.micro_batch.map_or(what.clone(), |at_once| format!("{what}, {at_once} at once"));
    let what = if config.recompute { format!("{what}, activations again") } else { what };
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    println!(
        "| {} | {batch} | {what} | {:?} | {:.2} | {:.2} | {ratio:.3} | {:.1} |",
        folder.rsplit('/').next().unwrap_or(folder),
        plan.phase,
        megabytes(planned),
        megabytes(counted),
        megabytes(process)
    );
    Ok((1.0..=1.0 + ABOVE).contains(&ratio))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder, number] = arguments.as_slice()
        && flag == ROW
    {
        return match number.parse().map_err(Into::into).and_then(|number| row(folder, number)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("{folder}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    println!("| base | batch | what changes | highest in | planned MB | counted MB | ratio | process MB |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut failed = 0;
    for folder in &arguments {
        for number in 0..settings().len() {
            let Ok(program) = std::env::current_exe() else { return ExitCode::FAILURE };
            let status = Command::new(program).args([ROW, folder, &number.to_string()]).status();
            failed += usize::from(!status.is_ok_and(|status| status.success()));
        }
    }
    if failed > 0 {
        eprintln!("{failed} plans did not hold");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
