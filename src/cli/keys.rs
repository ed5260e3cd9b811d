//! Files of keys.

use std::path::{Path, PathBuf};

use super::Error;
use crate::files;
use crate::format::PublicKey;

/// How the file of a secret key begins.
pub(super) const SECRET: &str = "taps-secret-key";
/// How that of a public key does.
pub(super) const PUBLIC: &str = "taps-public-key";

/// Whether there is a file with a key.
pub(super) fn holds_key(path: &Path) -> bool {
    path.is_file() && [PUBLIC, SECRET].iter().any(|kind| key(path, kind).is_ok())
}

/// Public keys from the files that flags name.
pub(super) fn public_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, Error> {
    paths.iter().map(|path| key(path, PUBLIC).map(PublicKey::from_bytes)).collect()
}

/// The key of a kind in a file of one line.
pub(super) fn key(path: &Path, kind: &str) -> Result<[u8; 32], Error> {
    let refuse = |why: &str| Error::Usage(format!("{}: {why}", path.display()));
    let bytes = files::read_up_to(path, 4096).map_err(|error| Error::Usage(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| refuse("not a key that taps keygen made"))?;
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
