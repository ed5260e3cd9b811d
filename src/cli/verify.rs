//! `taps verify`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use super::adapter_file::Trust;
use super::session::{HowArgs, Session};
use super::{Error, Mode};

#[derive(ClapArgs)]
#[command(
    after_help = "Without --base the file alone is checked: structure, checksum and values.\nWith it, that every entry belongs to that base, that no other tensor of the base was changed since, and that the base\nreads its inputs as it did when the adapter was made."
)]
pub(super) struct Args {
    /// Adapter file
    #[arg(value_name = "FILE")]
    adapter: PathBuf,
    /// Public key; one of those named should have signed it
    #[arg(long, value_name = "FILE", alias = "key")]
    trust: Vec<PathBuf>,
    /// Base it should belong to
    #[arg(long, value_name = "PATH")]
    base: Option<PathBuf>,
    #[command(flatten)]
    how: HowArgs,
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    let files = [Trust::of(&args.trust)?.read(&args.adapter)?];
    let [file] = &files;
    file.check()?;
    let (adapter, origin) = (file.adapter()?, file.origin());
    if let Some(path) = &args.base {
        let session = Session::open(path, &args.how, &files)?;
        session.runtime(mode).load_bytes(&file.bytes, &origin)?;
        session.check(file)?;
    }
    let is_signed = !args.trust.is_empty();
    let checked = match (is_signed, args.base.is_some()) {
        (false, false) => "file",
        (false, true) => "file and base",
        (true, false) => "file and signature",
        (true, true) => "file, signature and base",
    };
    mode.say(format_args!("{origin}: {checked} ok, {} entries, digest {}", adapter.entries().len(), adapter.digest()));
    mode.result(&json!({
        "ok": true,
        "task": adapter.task(),
        "entries": adapter.entries().len(),
        "digest": adapter.digest().to_string(),
        "base_checked": args.base.is_some(),
        "signed_by": is_signed.then(|| adapter.signature().map(|signature| signature.key.to_string())),
        "settings": file.settings_json()?,
    }));
    Ok(())
}
