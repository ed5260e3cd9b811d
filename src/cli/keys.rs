//! `taps keygen` and `taps sign`, and keys as flags name them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::json;

use super::inspect::{parse, read};
use super::{Error, Mode};
use crate::format::{PublicKey, SecretKey};
use crate::runtime::write_atomically;

const SECRET: &str = "taps-secret-key";
const PUBLIC: &str = "taps-public-key";

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  taps keygen release.key\n\nKeep release.key to yourself; give release.key.pub away."
)]
pub(super) struct KeygenArgs {
    /// File for the secret key, which must not exist; the public one gets .pub behind its name
    #[arg(value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn keygen(args: &KeygenArgs, mode: Mode) -> Result<(), Error> {
    let failed = |error: String| Error::Failed(format!("{}: {error}", args.out.display()));
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| failed(error.to_string()))?;
    let key = SecretKey::from_bytes(&bytes);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&args.out).map_err(|error| failed(error.to_string()))?;
    writeln!(file, "{SECRET} {}", hex(&bytes)).map_err(|error| failed(error.to_string()))?;
    let public = public_path(&args.out);
    write_atomically(&public, format!("{PUBLIC} {}\n", key.public()).as_bytes())?;
    mode.say(format_args!("wrote   {} (keep it) and {}", args.out.display(), public.display()));
    let (secret, path) = (args.out.display().to_string(), public.display().to_string());
    mode.result(&json!({ "secret": secret, "public": path, "key": key.public().to_string() }));
    Ok(())
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
}

pub(super) fn sign(args: &SignArgs, mode: Mode) -> Result<(), Error> {
    let key = SecretKey::from_bytes(&key(&args.key, SECRET)?);
    let file = read(&args.adapter)?;
    parse(&args.adapter, &file)?;
    let mut signed = vec![0; file.len() + 96];
    let length = key.sign(&file, &mut signed).map_err(|error| {
        let path = args.adapter.display();
        Error::Failed(format!("{path}: {error}"))
    })?;
    let out = args.out.as_ref().unwrap_or(&args.adapter);
    write_atomically(out, &signed[..length])?;
    mode.say(format_args!("wrote   {}, signed by {}", out.display(), key.public()));
    mode.result(&json!({ "out": out.display().to_string(), "bytes": length, "key": key.public().to_string() }));
    Ok(())
}

/// Public keys from the files that flags name.
pub(super) fn public_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, Error> {
    paths.iter().map(|path| key(path, PUBLIC).map(PublicKey::from_bytes)).collect()
}

fn public_path(secret: &Path) -> PathBuf {
    let mut name = secret.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// The key of a kind in a file of one line.
fn key(path: &Path, kind: &str) -> Result<[u8; 32], Error> {
    let refuse = |why: &str| Error::Usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| refuse(&error.to_string()))?;
    let digits = match text.trim_end().split_once(' ') {
        Some((found, digits)) if found == kind => digits,
        Some((SECRET, _)) => return Err(refuse("a secret key, and a public one is asked for: that ends in .pub")),
        Some((PUBLIC, _)) => return Err(refuse("a public key, and the secret one is asked for")),
        _ => return Err(refuse("not a key that taps keygen made")),
    };
    let pairs = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = pairs.0.iter().map(byte).collect();
    let bytes = bytes.filter(|_| pairs.1.is_empty()).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| refuse("a key has 64 hexadecimal digits"))
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
