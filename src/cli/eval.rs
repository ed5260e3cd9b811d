//! `taps eval`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args as ClapArgs;
use serde_json::json;

use super::adapter_file::TrustArgs;
use super::engine::{DeviceArgs, Engine};
use super::record::Measured;
use super::session::{BaseArgs, ReadArgs, Session};
use super::text::percent;
use super::{Error, Mode};
use crate::data::Options;

#[derive(ClapArgs)]
#[command(after_help = "Example:\n  taps eval --base minilm/ --adapter banking.taps --data test.csv --json")]
pub(super) struct Args {
    #[command(flatten)]
    base: BaseArgs,
    /// Adapter to measure [default: the base itself]
    #[arg(long, value_name = "FILE")]
    adapter: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Labelled examples: .csv, .tsv or .jsonl, a folder of class folders of images, or IDX images
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    /// Record of the adapter's run (*.run.json) to add the accuracy to, as its test accuracy
    #[arg(long, value_name = "FILE", requires = "adapter")]
    record: Option<PathBuf>,
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    let adapters = args.trust.keys()?.read_all(args.adapter.as_slice())?;
    let session = Session::open(&args.base.base, &args.base.how, &adapters)?;
    let engine = Engine::open(session.runtime(mode), &adapters, &args.device)?;
    let (name, labels, digest) = engine.task(0);
    let record = args.record.as_ref().map(|path| Measured::open(path, name, digest)).transpose()?;
    let how = Options { labels: Some(labels), ..args.read.options(session.image.as_ref())? };
    let examples = session.examples(&args.data, how)?;
    let started = Instant::now();
    let score = engine.score(0, &examples, mode.threads)?;
    let seconds = started.elapsed().as_secs_f64();
    if let Some(record) = record {
        record.save(score.accuracy())?;
    }
    let (correct, all) = (score.correct, score.examples);
    mode.say(format_args!(
        "{name}: accuracy {} ({correct} of {all}), loss {:.4}",
        percent(score.accuracy()),
        score.loss
    ));
    if !examples.skipped().is_empty() {
        mode.say(format_args!("skipped {} images that could not be read", examples.skipped().len()));
    }
    mode.result(&json!({
        "task": name,
        "accuracy": score.accuracy(),
        "correct": correct,
        "examples": all,
        "loss": score.loss,
        "seconds": seconds,
        "skipped": examples.skipped().len(),
        "notes": examples.notes().iter().map(ToString::to_string).collect::<Vec<_>>(),
    }));
    Ok(())
}
