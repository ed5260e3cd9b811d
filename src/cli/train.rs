//! `taps train`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::json;

use super::progress::{Progress, stop_on_ctrl_c};
use super::session::{BaseArgs, ColumnArgs, Session};
use super::text::{bytes, percent};
use super::{Error, Mode, picture};
use crate::format::Encoding;
use crate::runtime::{Examples, Network, Score, write_atomically};
use crate::train::{Config, Method, Norms, Optimizer, Select, fine_tune};

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  taps train --base minilm/ --data train.csv --task banking --max-active-layers 4 --out banking.taps"
)]
pub(super) struct Args {
    #[command(flatten)]
    base: BaseArgs,
    /// Labelled examples: .csv, .tsv or .jsonl, a folder of class folders of images, or IDX images
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Name of the task, kept in the adapter
    #[arg(long, value_name = "NAME")]
    task: String,
    /// Adapter file to write; an existing one is replaced whole
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    columns: ColumnArgs,
    /// What the task may change
    #[arg(long, value_enum, default_value_t = MethodArg::Taps)]
    method: MethodArg,
    /// Hard cap on layers with a delta [default: none]
    #[arg(long, value_name = "K")]
    max_active_layers: Option<usize>,
    /// How the layers that may change are chosen
    #[arg(long, value_enum, default_value_t = SelectArg::Probe)]
    select: SelectArg,
    /// Layers to change, by name or by a prefix of whole name parts; replaces --select
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with = "select")]
    layers: Vec<String>,
    /// How the weights of active layers are stored
    #[arg(long, value_enum, default_value_t = EncodingArg::F32)]
    encoding: EncodingArg,
    /// Whether the task has normalization parameters of its own
    #[arg(long, value_enum, default_value_t = NormsArg::Frozen)]
    norms: NormsArg,
    /// Passes over the examples
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Examples in a step
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Learning rate of deltas
    #[arg(long, value_name = "RATE")]
    rate: Option<f32>,
    /// Learning rate of the head
    #[arg(long, value_name = "RATE")]
    head_rate: Option<f32>,
    /// Weight λ of the penalty on active layers
    #[arg(long, value_name = "λ")]
    lambda: Option<f32>,
    /// Gradient descent with this momentum in place of AdamW
    #[arg(long, value_name = "SHARE")]
    momentum: Option<f32>,
    /// Share of the examples held out to choose the best epoch
    #[arg(long, value_name = "SHARE")]
    validation: Option<f32>,
    /// End after this many epochs without a better validation score
    #[arg(long, value_name = "N")]
    patience: Option<usize>,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum MethodArg {
    /// The head alone
    Head,
    /// The head and gated deltas of a few layers
    Taps,
    /// Every layer
    Full,
}

#[derive(Clone, Copy, ValueEnum)]
enum SelectArg {
    /// By the gradient of each layer at the base
    Probe,
    /// By TAPS's scores after an epoch with a gate on every layer
    Scores,
}

#[derive(Clone, Copy, ValueEnum)]
enum NormsArg {
    /// The base's are used
    Frozen,
    /// Scale and bias are the task's
    Owned,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EncodingArg {
    /// Exact
    F32,
    /// Half the bytes
    F16,
    /// A quarter of the bytes, with a scale per output channel
    Int8,
}

impl Args {
    fn config(&self, threads: usize) -> Config {
        let default = Config::default();
        Config {
            method: match self.method {
                MethodArg::Head => Method::Head,
                MethodArg::Taps => Method::Taps,
                MethodArg::Full => Method::Full,
            },
            select: match (self.select, self.layers.is_empty()) {
                (_, false) => Select::Given(self.layers.clone()),
                (SelectArg::Probe, true) => Select::Probe,
                (SelectArg::Scores, true) => Select::Scores,
            },
            norms: match self.norms {
                NormsArg::Frozen => Norms::Frozen,
                NormsArg::Owned => Norms::Owned,
            },
            optimizer: self.momentum.map_or(default.optimizer, |momentum| Optimizer::Sgd { momentum }),
            max_active_layers: self.max_active_layers,
            epochs: self.epochs.unwrap_or(default.epochs),
            batch: self.batch.unwrap_or(default.batch),
            rate: self.rate.unwrap_or(default.rate),
            head_rate: self.head_rate.unwrap_or(default.head_rate),
            lambda: self.lambda.unwrap_or(default.lambda),
            validation: self.validation.unwrap_or(default.validation),
            patience: self.patience,
            seed: self.seed,
            threads,
            ..default
        }
    }
}

impl EncodingArg {
    fn encoding(self) -> Encoding {
        match self {
            EncodingArg::F32 => Encoding::F32,
            EncodingArg::F16 => Encoding::F16,
            EncodingArg::Int8 => Encoding::Int8,
        }
    }
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    let config = args.config(mode.threads);
    config.check().map_err(|error| Error::Usage(error.to_string()))?;
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(Error::Usage(format!("--out: there is no folder {}", folder.display())));
    }
    let session = Session::open(&args.base)?;
    let examples = session.examples(&args.data, args.columns.columns(), None)?;
    mode.say(format_args!("base    {}", session.describe()));
    let (count, classes) = (examples.len(), examples.classes().len());
    mode.say(format_args!("data    {}: {count} examples of {classes} classes", args.data.display()));
    for (path, reason) in examples.skipped() {
        eprintln!("note: skipped {}: {reason}", path.display());
    }
    stop_on_ctrl_c();
    let mut progress = Progress::new(mode.json);
    let tuned = fine_tune(&session.base, &session.model, &examples, &config, &mut progress)?;
    drop(progress);
    let adapter = tuned.adapter(&session.base, &session.model, &args.task, args.encoding.encoding())?;
    write_atomically(&args.out, &adapter)?;
    let layout = session.model.layout();
    let active = tuned.active_layers(layout);
    let names: Vec<&str> = active.iter().map(|&id| layout.layer(id).name.as_str()).collect();
    if tuned.stopped {
        mode.say("stopped: the best adapter so far is kept");
    }
    mode.say(format_args!("layers  {}", picture::cells(layout, &active)));
    names.iter().for_each(|name| mode.say(format_args!("        {name}")));
    let (head, best) = (tuned.head_alone, tuned.validation);
    let share = |score: Score| (score.examples > 0).then(|| score.accuracy());
    match (share(best), share(head)) {
        (Some(best), Some(head)) => {
            mode.say(format_args!(
                "score   {} on held-out examples, {} with the head alone",
                percent(best),
                percent(head)
            ));
        }
        _ => mode.say("score   unknown: no examples were held out"),
    }
    mode.say(format_args!("wrote   {}: {}", args.out.display(), bytes(adapter.len())));
    mode.result(&json!({
        "task": args.task,
        "out": args.out.display().to_string(),
        "bytes": adapter.len(),
        "validation_accuracy": share(best),
        "head_alone_accuracy": share(head),
        "active_layers": names,
        "tapped_layers": layout.tapped().count(),
        "epoch": tuned.epoch,
        "steps": tuned.steps,
        "seconds_per_step": tuned.seconds_per_step,
        "stopped": tuned.stopped,
    }));
    Ok(())
}
