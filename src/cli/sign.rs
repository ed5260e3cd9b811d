//! `taps keygen` and `taps sign`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::json;

use super::adapter_file::TrustArgs;
use super::console::note;
use super::keys::{PUBLIC, SECRET, key};
use super::output::output;
use super::{Error, Mode};
use crate::files::{self, Output};
use crate::format::SecretKey;

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  taps keygen release.key\n\nKeep release.key to yourself; give release.key.pub away."
)]
pub(super) struct KeygenArgs {
    /// File for the secret key; the public one gets .pub behind its name. Neither may exist
    #[arg(value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn keygen(args: &KeygenArgs, mode: Mode) -> Result<(), Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Failed(format!("no random numbers: {error}")))?;
    let key = SecretKey::from_bytes(&bytes);
    let public = public_path(&args.out);
    // Checked before the secret is written: a pair is made whole or not at all.
    for path in [&args.out, &public] {
        Output::at(path)?;
        if path.symlink_metadata().is_ok() {
            return Err(files::Error::Exists { path: path.clone() }.into());
        }
    }
    create(&args.out, 0o600, &format!("{SECRET} {}\n", hex(&bytes)))?;
    create(&public, 0o666, &format!("{PUBLIC} {}\n", key.public())).inspect_err(|_| {
        // Nobody can have used it.
        let _ = std::fs::remove_file(&args.out);
    })?;
    mode.say(format_args!("wrote   {} (keep it) and {}", args.out.display(), public.display()));
    let (secret, path) = (args.out.display().to_string(), public.display().to_string());
    mode.result(&json!({ "secret": secret, "public": path, "key": key.public().to_string() }));
    Ok(())
}

/// Makes a file that must not be there, with these permissions.
fn create(path: &Path, permissions: u32, content: &str) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, permissions);
    #[cfg(not(unix))]
    let _ = permissions;
    let written =
        options.open(path).and_then(|mut file| file.write_all(content.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => files::Error::Exists { path: path.to_owned() }.into(),
        _ => files::Error::Io { path: path.to_owned(), source }.into(),
    })
}

/// Says so where others can read a file of which only its owner should know.
fn warn_of_readers(path: &Path) {
    #[cfg(unix)]
    if let Ok(found) = path.metadata() {
        let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            note(format_args!(
                "{path}: others can read this secret key (its permissions are {mode:o}): chmod 600 {path}"
            ));
        }
    }
}

#[derive(ClapArgs)]
#[command(after_help = "Example:\n  taps sign banking.taps --key release.key")]
pub(super) struct SignArgs {
    /// Adapter to sign
    #[arg(value_name = "FILE")]
    adapter: PathBuf,
    /// Secret key that taps keygen made
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to, in place of the adapter itself; an existing file is replaced whole
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
}

pub(super) fn sign(args: &SignArgs, mode: Mode) -> Result<(), Error> {
    let out = args.out.as_ref().unwrap_or(&args.adapter);
    let place = output("--out", out, &[args.trust.files(), vec![(args.key.clone(), "the secret key")]].concat())?;
    warn_of_readers(&args.key);
    let key = SecretKey::from_bytes(&key(&args.key, SECRET)?);
    let file = args.trust.keys()?.read(&args.adapter)?;
    // What is signed is what verify accepts.
    file.check()?;
    let mut signed = vec![0; file.bytes.len() + 96];
    let length = key.sign(&file.bytes, &mut signed).map_err(|error| {
        let path = args.adapter.display();
        Error::Failed(format!("{path}: {error}"))
    })?;
    place.write(&signed[..length])?;
    mode.say(format_args!("wrote   {}, signed by {}", out.display(), key.public()));
    mode.result(&json!({ "out": out.display().to_string(), "bytes": length, "key": key.public().to_string() }));
    Ok(())
}

fn public_path(secret: &Path) -> PathBuf {
    let mut name = secret.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
