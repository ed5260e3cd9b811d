//! Files read whole.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::{Error, parse_json};

/// How a file begins that Git LFS left in the place of a large one.
pub const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Whether a file with this content, or this beginning, is a Git LFS pointer.
pub fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(LFS_POINTER)
}

/// Bytes of a JSON file beyond which it is none that belongs to a model.
const JSON: u64 = 64 << 20;

/// The content of a file.
///
/// # Errors
/// If it cannot be read, or is a Git LFS pointer.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_up_to(path, u64::MAX)
}

/// As [`read`], of a file that has at most `limit` bytes.
///
/// # Errors
/// As [`read`], and [`Error::TooLong`], before more than `limit` bytes are read.
pub fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let stated = file.metadata().map_err(Error::io(path))?.len();
    let too_long = || Error::TooLong { path: path.to_owned(), limit };
    if stated > limit {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    // Pipes state no length, and a file may grow while it is read.
    (&mut file).take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(Error::io(path))?;
    match bytes.len() as u64 > limit {
        true => Err(too_long()),
        false if is_lfs_pointer(&bytes) => Err(Error::LfsPointer { path: path.to_owned() }),
        false => Ok(bytes),
    }
}

/// A JSON file of at most 64 MiB.
///
/// # Errors
/// As [`read_up_to`] and [`parse_json`].
pub fn read_json(path: &Path) -> Result<Value, Error> {
    let bytes = read_up_to(path, JSON)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    parse_json(bytes).map_err(|source| Error::Json { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_for_files_and_pointers_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path).unwrap(), b"12345");
        assert_eq!(read_up_to(&path, 5).unwrap(), b"12345");
        assert!(matches!(read_up_to(&path, 4), Err(Error::TooLong { limit: 4, .. })));
        assert!(matches!(read(&folder.path().join("g")), Err(Error::Io { .. })));
        std::fs::write(&path, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n").unwrap();
        assert!(matches!(read(&path), Err(Error::LfsPointer { .. })));
        assert!(matches!(read_json(&path), Err(Error::LfsPointer { .. })));
        std::fs::write(&path, "\u{feff}{\"a\": 1}").unwrap();
        assert_eq!(read_json(&path).unwrap()["a"], 1);
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(read_json(&path), Err(Error::Json { .. })));
    }
}
