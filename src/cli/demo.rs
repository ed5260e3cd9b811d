//! `taps demo`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::digits::{Digits, Scene};
use super::progress::{Progress, stop_on_signals};
use super::session::{HowArgs, Session};
use super::text::{bytes, percent};
use super::{Error, Mode, pictures};
use crate::data::ImageSet;
use crate::files::write_atomically;
use crate::format::Encoding;
use crate::kernels::Workspace;
use crate::models::Model;
use crate::runtime::{Examples, ImageSpec, Network, Runtime, Task, evaluate};
use crate::train::{Budget, Config, Norms, Tuned, fine_tune};

#[derive(ClapArgs)]
pub(super) struct Args {
    /// The demo's folder in the repository
    #[arg(long, value_name = "DIR", default_value = "adapters/digits")]
    assets: PathBuf,
    /// Keep the adapters, and a card for each, in this folder [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Training images of each task
    #[arg(long, value_name = "N", default_value_t = 1197)]
    examples: usize,
    /// Hard cap on layers with a delta
    #[arg(long, value_name = "K", default_value_t = 4)]
    max_active_layers: usize,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// What one task came to.
struct Outcome {
    scene: Scene,
    base: Option<f64>,
    tuned: Tuned,
    adapter: Vec<u8>,
    accuracy: f64,
    seconds: f64,
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    let base = args.assets.join("base");
    if !base.is_dir() {
        let message = format!(
            "there is no {}: run it in the repository, or name its adapters/digits by --assets",
            base.display()
        );
        return Err(Error::Usage(message));
    }
    let digits = Digits::open(&args.assets.join("data"))?;
    let session = Session::open(&base, &HowArgs::default(), &[])?;
    let Some(spec) = session.image.clone() else {
        return Err(Error::Failed(format!("{} reads no images", base.display())));
    };
    mode.say(format_args!("base      {}", session.describe()));
    stop_on_signals();
    let runtime = session.runtime(mode);
    let upright = digits.held_out(Scene::Upright, &spec)?;
    let accuracy = score(&runtime, runtime.base_task(), &upright, mode)?;
    mode.say(format_args!(
        "          {} on {} held-out digits {}",
        percent(accuracy),
        upright.len(),
        Scene::Upright.what()
    ));
    mode.say("");
    let mut outcomes = Vec::new();
    for scene in Scene::TASKS {
        let outcome = tune(&runtime, &digits, scene, &spec, args, mode)?;
        show(&outcome, &runtime, mode);
        outcomes.push(outcome);
    }
    // Removed when it is dropped, with what is in it.
    let temporary = tempfile::tempdir().map_err(|error| Error::Failed(format!("no temporary folder: {error}")))?;
    let folder = args.out.as_deref().unwrap_or(temporary.path());
    save(&outcomes, folder, args, mode.threads)?;
    let compared = compare(&outcomes, folder, &base, &runtime, &digits, &spec, mode)?;
    let switch = switch_nanoseconds(&runtime, &compared.tasks)?;
    if args.out.is_some() {
        mode.say(format_args!("saved     {}", folder.display()));
    }
    mode.say(format_args!("reloaded  in a fresh runtime: {} predictions, all identical", compared.predictions));
    mode.say(format_args!("switch    {switch:.0} ns from one task to the next"));
    mode.result(&json!({
        "base_accuracy": accuracy,
        "tasks": outcomes.iter().map(|outcome| outcome.json(&runtime)).collect::<Vec<_>>(),
        "predictions_compared": compared.predictions,
        "switch_nanoseconds": switch,
    }));
    Ok(())
}

fn score(runtime: &Runtime<&Model>, task: &Task, examples: &ImageSet, mode: Mode) -> Result<f64, Error> {
    let indices: Vec<usize> = (0..examples.len()).collect();
    Ok(evaluate(runtime.network(), task, examples, &indices, 64, &Workspace::new(mode.threads))?.accuracy())
}

/// Settings that suit a network of a few hundred thousand parameters.
fn config(args: &Args, threads: usize) -> Config {
    Config {
        budget: Budget::layers(args.max_active_layers),
        epochs: 14,
        rate: 3e-3,
        head_rate: 3e-3,
        norms: Norms::Affine,
        seed: args.seed,
        threads,
        ..Config::default()
    }
}

fn tune(
    runtime: &Runtime<&Model>,
    digits: &Digits,
    scene: Scene,
    spec: &ImageSpec,
    args: &Args,
    mode: Mode,
) -> Result<Outcome, Error> {
    let (train, held_out) = (digits.train(scene, args.examples, spec)?, digits.held_out(scene, spec)?);
    let base = match scene {
        Scene::Strokes => None,
        _ => Some(score(runtime, runtime.base_task(), &held_out, mode)?),
    };
    let started = Instant::now();
    let mut progress = Progress::new(true);
    let tuned = fine_tune(runtime.base(), runtime.network(), &train, &config(args, mode.threads), &mut progress)?;
    let seconds = started.elapsed().as_secs_f64();
    let adapter = tuned.adapter(runtime.base(), runtime.network(), scene.name(), Encoding::F32)?;
    let task = runtime.load_bytes(&adapter, scene.name())?;
    let accuracy = score(runtime, &task, &held_out, mode)?;
    Ok(Outcome { scene, base, tuned, adapter, accuracy, seconds })
}

fn show(outcome: &Outcome, runtime: &Runtime<&Model>, mode: Mode) {
    let layout = runtime.network().layout();
    let active = outcome.tuned.active_layers(layout);
    let base = outcome.base.map_or("has no such labels".to_owned(), percent);
    let (tapped, size) = (layout.tapped().count(), bytes(outcome.adapter.len()));
    mode.say(format_args!("{:<9} {}, tuned in {:.1} s", outcome.scene.name(), outcome.scene.what(), outcome.seconds));
    mode.say(format_args!("          base {base}, adapter {}", percent(outcome.accuracy)));
    mode.say(format_args!(
        "          {}  {} of {tapped} layers, {size}",
        pictures::cells(layout, &active),
        active.len()
    ));
    mode.say("");
}

impl Outcome {
    fn json(&self, runtime: &Runtime<&Model>) -> Value {
        let layout = runtime.network().layout();
        let active = self.tuned.active_layers(layout);
        json!({
            "task": self.scene.name(),
            "base_accuracy": self.base,
            "accuracy": self.accuracy,
            "active_layers": active.iter().map(|&id| &layout.layer(id).name).collect::<Vec<_>>(),
            "bytes": self.adapter.len(),
            "seconds": self.seconds,
        })
    }

    /// A card to stand beside the adapter.
    fn card(&self, args: &Args, threads: usize) -> String {
        let summary = self.tuned.summary();
        format!(
            "# {}\n\n\
             - what: {}\n\
             - base: `adapters/digits/base`\n\
             - data: the first {} of scikit-learn's handwritten digits (UCI optdigits, CC BY 4.0)\n\
             - command: `taps demo --out adapters/digits --examples {} --max-active-layers {} --seed {} --threads {threads}`\n\
             - score: {} on the 600 held-out digits\n\
             - active layers: {} of {}\n\
             - bytes: {}\n",
            self.scene.name(),
            self.scene.what(),
            args.examples,
            args.examples,
            args.max_active_layers,
            args.seed,
            percent(self.accuracy),
            summary.active_layers,
            summary.layers,
            self.adapter.len(),
        )
    }
}

fn save(outcomes: &[Outcome], folder: &Path, args: &Args, threads: usize) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|error| Error::Failed(format!("{}: {error}", folder.display())))?;
    for outcome in outcomes {
        let name = outcome.scene.name();
        write_atomically(&folder.join(format!("{name}.taps")), &outcome.adapter)?;
        write_atomically(&folder.join(format!("{name}.md")), outcome.card(args, threads).as_bytes())?;
    }
    Ok(())
}

struct Compared {
    tasks: Vec<Arc<Task>>,
    predictions: usize,
}

/// Loads the saved adapters into a fresh runtime over a fresh mapping and compares every class score.
fn compare(
    outcomes: &[Outcome],
    folder: &Path,
    base: &Path,
    runtime: &Runtime<&Model>,
    digits: &Digits,
    spec: &ImageSpec,
    mode: Mode,
) -> Result<Compared, Error> {
    let session = Session::open(base, &HowArgs::default(), &[])?;
    let fresh = session.runtime(mode);
    let mut compared = Compared { tasks: Vec::new(), predictions: 0 };
    for outcome in outcomes {
        let name = outcome.scene.name();
        let (task, reloaded) =
            (runtime.load_bytes(&outcome.adapter, name)?, fresh.load(folder.join(format!("{name}.taps")))?);
        runtime.switch(&task)?;
        fresh.switch(&reloaded)?;
        let held_out = digits.held_out(outcome.scene, spec)?;
        let indices: Vec<usize> = (0..held_out.len()).collect();
        for chunk in indices.chunks(64) {
            let batch = held_out.batch(chunk)?;
            let (before, after) = (runtime.predict(&batch)?, fresh.predict(&batch)?);
            if before.logits()[..] != after.logits()[..] {
                return Err(Error::Failed(format!("{name}: predictions differ after reloading")));
            }
            compared.predictions += chunk.len();
        }
        compared.tasks.push(task);
    }
    Ok(compared)
}

/// Median over rounds of the mean time of a switch.
fn switch_nanoseconds(runtime: &Runtime<&Model>, tasks: &[Arc<Task>]) -> Result<f64, Error> {
    const ROUNDS: usize = 101;
    const SWITCHES: usize = 1000;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for task in tasks.iter().cycle().take(SWITCHES) {
            drop(runtime.switch(task)?);
        }
        rounds.push(started.elapsed().as_nanos() as f64 / SWITCHES as f64);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[ROUNDS / 2])
}
