//! `taps rank`.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::json;

use super::output::data;
use super::progress::{Progress, stop_on_signals};
use super::session::{BaseArgs, ReadArgs, Session};
use super::{Error, Mode};
use crate::train::{Config, Ranking, rank};

/// The file of a ranking that a base comes with.
const SHIPPED: &str = "ranking.json";

#[derive(ClapArgs)]
#[command(after_help = "Example:\n  taps rank --base minilm/ --data train.csv --out minilm/ranking.json")]
pub(super) struct Args {
    #[command(flatten)]
    base: BaseArgs,
    /// Labelled examples, as train reads them
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// File to write the ranking to; as ranking.json in the folder of the base it is what `train --select ranked` uses
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Batches to form gradients of
    #[arg(long, value_name = "N", default_value_t = 20)]
    batches: usize,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    let session = Session::open(&args.base.base, &args.base.how, &[])?;
    let out = session.output("--out", &args.out, &data([&args.data]))?;
    let how = args.read.options(session.image.as_ref())?;
    let examples = session.examples(&args.data, how)?;
    stop_on_signals();
    let config = Config { probe_batches: args.batches, seed: args.seed, threads: mode.threads, ..Config::default() };
    let ranking = rank(&session.base, &session.model, &examples, &config, &mut Progress::new(mode.json))?;
    let text = serde_json::to_string_pretty(&ranking).map_err(|error| Error::Failed(error.to_string()))?;
    out.write(text.as_bytes())?;
    for (place, layer) in ranking.layers.iter().enumerate() {
        mode.say(format_args!("{:>3}  {:<10.3e} {}", place + 1, layer.worth, layer.name));
    }
    mode.say(format_args!("wrote {}", args.out.display()));
    mode.result(&json!({ "ranking": args.out.display().to_string(), "layers": ranking.layers }));
    Ok(())
}

/// The ranking in `file`, or in the folder of the base where none is named.
pub(super) fn read(file: Option<&Path>, base: &Path) -> Result<Ranking, Error> {
    let folder = if base.is_dir() { base } else { base.parent().unwrap_or(Path::new("")) };
    let path = file.map_or_else(|| folder.join(SHIPPED), Path::to_owned);
    let unusable = |error| Error::Usage(format!("{error}; `taps rank` writes a ranking"));
    Ranking::read(&path).map_err(unusable)
}
