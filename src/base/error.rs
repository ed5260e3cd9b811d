//! Why a base could not be opened.

use std::path::PathBuf;

use crate::files;

/// Why a base could not be opened. Every variant names the file, and the tensor where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },

    #[error(
        "{}: no base here: expected model.safetensors, model.safetensors.index.json or a single .safetensors file, found {found}",
        path.display()
    )]
    NoWeights { path: PathBuf, found: String },

    #[error("{}: truncated: {needed} bytes are needed and the file has {found}", path.display())]
    Truncated { path: PathBuf, needed: u64, found: u64 },

    #[error("{}: the header claims {found} bytes, and the limit is {limit}: this is not a safetensors file", path.display())]
    HeaderTooLarge { path: PathBuf, found: u64, limit: u64 },

    #[error("{}: the header is not valid JSON of a safetensors file: {message}", path.display())]
    Header { path: PathBuf, message: String },

    #[error("{}: tensor {tensor}: unknown dtype {dtype}", path.display())]
    UnknownDtype { path: PathBuf, tensor: String, dtype: String },

    #[error("{}: tensor {tensor}: bytes {start}..{end} lie outside the {available} bytes of data: the file is truncated or its header damaged", path.display())]
    OutOfBounds { path: PathBuf, tensor: String, start: u64, end: u64, available: u64 },

    #[error("{}: tensor {tensor}: shape {shape:?} of {dtype} takes {expected} bytes and the header gives it {found}", path.display())]
    WrongLength { path: PathBuf, tensor: String, shape: Vec<usize>, dtype: super::Dtype, expected: String, found: u64 },

    #[error("{}: tensor {tensor} overlaps tensor {other}", path.display())]
    Overlap { path: PathBuf, tensor: String, other: String },

    #[error("{}: bytes {start}..{end} of the data belong to no tensor", path.display())]
    Hole { path: PathBuf, start: u64, end: u64 },

    #[error("tensor {tensor} is both in {} and in {}", first.display(), second.display())]
    DuplicateTensor { first: PathBuf, second: PathBuf, tensor: String },

    #[error("{}: {message}", path.display())]
    ShardIndex { path: PathBuf, message: String },

    #[error("{}: changed since it was opened: it has another size or modification time; open the base again", path.display())]
    Changed { path: PathBuf },

    #[error("{}: not valid JSON: {source}", path.display())]
    Config { path: PathBuf, source: serde_json::Error },

    #[error(
        "{}: weights in pickle files (as {found}), which can run code when they are read and are not opened; convert them to \
         safetensors, as by model.save_pretrained(folder, safe_serialization=True)",
        path.display()
    )]
    Pickle { path: PathBuf, found: String },

    #[error(transparent)]
    File(files::Error),
}

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        match error {
            files::Error::Io { path, source } => Self::Io { path, source },
            files::Error::Json { path, source } => Self::Config { path, source },
            other => Self::File(other),
        }
    }
}
