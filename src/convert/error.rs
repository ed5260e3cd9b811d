//! Why an adapter could not be made from other files, or stored anew.

use std::path::PathBuf;

use crate::{base, files, format, runtime, train};

/// Why an adapter could not be made from other files, or stored anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    #[error("{name} is {found}, expected {expected}")]
    Setting { name: &'static str, found: String, expected: &'static str },

    #[error("{what} needs labelled examples to measure on, at least two")]
    NoExamples { what: &'static str },

    #[error("{asked} bytes are too few: {what} takes {least}")]
    Limit { asked: usize, least: usize, what: &'static str },

    #[error("the decomposition of {tensor} does not converge: choose another encoding")]
    Decomposition { tensor: String },

    #[error("{}: not a fine-tune of the base: {reason}", path.display())]
    OtherNetwork { path: PathBuf, reason: String },

    #[error("{}: not a LoRA that can become an adapter: {reason}", path.display())]
    Lora { path: PathBuf, reason: String },

    #[error("{task}: cannot be combined: {reason}")]
    Combine { task: String, reason: String },

    #[error("the adapter cannot be written: {0}")]
    Format(#[from] format::Error),

    #[error(transparent)]
    File(#[from] files::Error),

    #[error(transparent)]
    Base(#[from] base::Error),

    #[error(transparent)]
    Runtime(#[from] runtime::Error),

    #[error(transparent)]
    Train(Box<train::Error>),
}

impl From<train::Error> for Error {
    fn from(error: train::Error) -> Self {
        Error::Train(Box::new(error))
    }
}
