//! `taps verify`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use super::inspect::{parse, read};
use super::{Error, Mode};
use crate::base::Base;
use crate::models::Model;
use crate::runtime::Task;

#[derive(ClapArgs)]
#[command(
    after_help = "Without --base the file alone is checked: structure, checksum and values.\nWith it, that every entry belongs to that base, and that no other tensor of the base was changed since."
)]
pub(super) struct Args {
    /// Adapter file
    #[arg(value_name = "FILE")]
    adapter: PathBuf,
    /// Base it should belong to
    #[arg(long, value_name = "PATH")]
    base: Option<PathBuf>,
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    let origin = args.adapter.display().to_string();
    let file = read(&args.adapter)?;
    let adapter = parse(&args.adapter, &file)?;
    for entry in adapter.entries() {
        let (tensor, failed) = (entry.name.to_owned(), entry.check());
        failed.map_err(|source| crate::runtime::Error::Values { origin: origin.clone(), tensor, source })?;
    }
    if let Some(path) = &args.base {
        let base = Base::open(path)?;
        Task::build(&base, &Model::open(&base)?, &adapter, &origin)?;
        if base.content() != adapter.content() {
            let message = "its own tensors fit this base, but others of the base differ from those it was trained with";
            return Err(Error::Failed(format!("{origin}: {message}")));
        }
    }
    let checked = if args.base.is_some() { "file and base" } else { "file" };
    mode.say(format_args!("{origin}: {checked} ok, {} entries, digest {}", adapter.entries().len(), adapter.digest()));
    mode.result(&json!({
        "ok": true,
        "task": adapter.task(),
        "entries": adapter.entries().len(),
        "digest": adapter.digest().to_string(),
        "base_checked": args.base.is_some(),
    }));
    Ok(())
}
