//! `taps eval`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args as ClapArgs;
use serde_json::json;

use super::session::{BaseArgs, ColumnArgs, Session};
use super::text::percent;
use super::{Error, Mode};
use crate::kernels::Workspace;
use crate::runtime::{Examples, Runtime, Weights, evaluate};

#[derive(ClapArgs)]
#[command(after_help = "Example:\n  taps eval --base minilm/ --adapter banking.taps --data test.csv --json")]
pub(super) struct Args {
    #[command(flatten)]
    base: BaseArgs,
    /// Adapter to measure [default: the base itself]
    #[arg(long, value_name = "FILE")]
    adapter: Option<PathBuf>,
    /// Labelled examples: .csv, .tsv or .jsonl, a folder of class folders of images, or IDX images
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    #[command(flatten)]
    columns: ColumnArgs,
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    let session = Session::open(&args.base)?;
    let runtime = Runtime::new(session.base.clone(), &session.model);
    let task = match &args.adapter {
        Some(adapter) => runtime.load(adapter)?,
        None => runtime.base_task().clone(),
    };
    let examples = session.examples(&args.data, args.columns.columns(), Some(task.labels()))?;
    for (path, reason) in examples.skipped() {
        eprintln!("note: skipped {}: {reason}", path.display());
    }
    let indices: Vec<usize> = (0..examples.len()).collect();
    let started = Instant::now();
    let score = evaluate(&session.model, &*task, &examples, &indices, 64, &Workspace::new(mode.threads))?;
    let seconds = started.elapsed().as_secs_f64();
    let (correct, all) = (score.correct, score.examples);
    let name = task.name();
    mode.say(format_args!(
        "{name}: accuracy {} ({correct} of {all}), loss {:.4}",
        percent(score.accuracy()),
        score.loss
    ));
    mode.result(&json!({
        "task": name,
        "accuracy": score.accuracy(),
        "correct": correct,
        "examples": all,
        "loss": score.loss,
        "seconds": seconds,
    }));
    Ok(())
}
