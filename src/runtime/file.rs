//! Files replaced whole.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Error;

/// Writes `bytes` to `path` by a temporary file beside it and a rename: at every moment there is either
/// the earlier file or the new one, and a mapping of the earlier one stays valid.
///
/// # Errors
/// If the folder cannot be written to; then the earlier file is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    replace_file(path, |file| file.write_all(bytes))
}

/// As [`write_atomically`], with what `write` puts into the file.
///
/// # Errors
/// As [`write_atomically`], and if `write` fails.
pub fn replace_file(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), Error> {
    replace_by(path, |temporary| write(&mut File::create_new(temporary)?))
}

/// As [`write_atomically`], with the file that `make` makes at the path it is given.
///
/// # Errors
/// As [`write_atomically`], and if `make` fails.
pub fn replace_by(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary: PathBuf = path.with_file_name(format!(".{name}.{}.{number}", std::process::id()));
    let written = make(&temporary).and_then(|()| {
        File::options().write(true).open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, path)
    });
    written.map_err(|source| {
        let _ = std::fs::remove_file(&temporary);
        Error::Io { path: path.to_owned(), source }
    })
}
