//! `taps verify`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use super::inspect::{parse, read};
use super::keys::public_keys;
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
    /// Public key; one of those named should have signed it
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
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
    if !args.key.is_empty() {
        let signed = adapter.verify(&public_keys(&args.key)?);
        signed.map_err(|error| Error::Failed(format!("{origin}: {error}")))?;
    }
    if let Some(path) = &args.base {
        let base = Base::open(path)?;
        Task::build(&base, &Model::open(&base)?, &adapter, &origin)?;
        if base.content() != adapter.content() {
            let message = "its own tensors fit this base, but others of the base differ from those it was trained with";
            return Err(Error::Failed(format!("{origin}: {message}")));
        }
    }
    let checked = match (args.key.is_empty(), args.base.is_some()) {
        (true, false) => "file",
        (true, true) => "file and base",
        (false, false) => "file and signature",
        (false, true) => "file, signature and base",
    };
    mode.say(format_args!("{origin}: {checked} ok, {} entries, digest {}", adapter.entries().len(), adapter.digest()));
    mode.result(&json!({
        "ok": true,
        "task": adapter.task(),
        "entries": adapter.entries().len(),
        "digest": adapter.digest().to_string(),
        "base_checked": args.base.is_some(),
        "signed_by": (!args.key.is_empty()).then(|| adapter.signature().map(|signature| signature.key.to_string())),
    }));
    Ok(())
}
