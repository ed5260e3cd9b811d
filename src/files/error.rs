//! Why a file could not be read or written.

use std::path::PathBuf;

/// Why a file could not be read or written. Every variant names it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },

    #[error("{}: {found}, where a file is to be written; name a file", path.display())]
    NoFile { path: PathBuf, found: &'static str },

    #[error("{}: a name of {found} bytes, where {most} are the most; name a shorter one", path.display())]
    LongName { path: PathBuf, found: usize, most: usize },

    #[error("{}: there is no folder {} to write it to", path.display(), folder.display())]
    NoFolder { path: PathBuf, folder: PathBuf },

    #[error("{}: nothing can be written in its folder: {source}", path.display())]
    Unwritable { path: PathBuf, source: std::io::Error },

    #[error("{}: this is {role}, which would be lost; name another file to write", path.display())]
    IsInput { path: PathBuf, role: String },

    #[error("{}: there is one already, and it is not replaced", path.display())]
    Exists { path: PathBuf },

    #[error("{}: in use by another process; wait until that has ended, or name another file", path.display())]
    InUse { path: PathBuf },

    #[error("{}: more than {limit} bytes, which is too long for a file of its kind", path.display())]
    TooLong { path: PathBuf, limit: u64 },

    #[error("{}: not valid JSON: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },

    #[error(
        "{}: a Git LFS pointer and not the file itself; fetch it with `git lfs pull`",
        path.display()
    )]
    LfsPointer { path: PathBuf },
}

impl Error {
    /// Turns the failure of an operation on `path` into an error that names it.
    pub(super) fn io(path: &std::path::Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |source| Error::Io { path: path.to_owned(), source }
    }

    /// What the operating system says, where it does.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        match self {
            Error::Io { source, .. } | Error::Unwritable { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}
