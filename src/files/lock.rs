//! One process at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::Error;

/// An advisory lock beside a file: `x.lock` beside `x`. It ends when it is dropped, or with the process.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Keeps the lock.
    _file: File,
}

impl Lock {
    /// Locks `path`, which need not exist.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process, or another part of this one, has the lock; and if the file that is locked
    /// cannot be made.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        loop {
            let mut options = File::options();
            let file = options.write(true).create(true).truncate(false).open(&lock).map_err(Error::io(&lock))?;
            match file.try_lock() {
                // Some network file systems have no locks.
                Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {}
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Error::InUse { path: path.to_owned() }),
                Err(TryLockError::Error(source)) => return Err(Error::Io { path: lock, source }),
            }
            // The one who had the lock may have removed the file since it was opened here: then it locks nothing.
            if is_at(&file, &lock) {
                return Ok(Self { path: lock, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Where it cannot be removed it stays: an empty file that locks nothing.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether the open file is the one that is called `path`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        #[cfg(unix)]
        (Ok(open), Ok(named)) => {
            use std::os::unix::fs::MetadataExt;
            (open.dev(), open.ino()) == (named.dev(), named.ino())
        }
        // An open file cannot be removed there.
        #[cfg(not(unix))]
        (Ok(_), Ok(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_locked_once_until_the_lock_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let lock = Lock::of(&path).unwrap();
        assert!(matches!(Lock::of(&path), Err(Error::InUse { .. })));
        assert!(Lock::of(&folder.path().join("y")).is_ok());
        drop(lock);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(Lock::of(&path).unwrap());
        assert!(matches!(Lock::of(&folder.path().join("no/x")), Err(Error::Io { .. })));
    }

    #[test]
    fn of_many_at_once_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(_lock) = Lock::of(&path) else { continue };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
