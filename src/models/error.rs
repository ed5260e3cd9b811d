//! Why a base is no network this crate knows.

use std::path::PathBuf;

use crate::{files, runtime};

/// Why a base is no network this crate knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    #[error("{}: no config.json beside the weights to state the architecture: name it (--arch)", base.display())]
    NoConfig { base: PathBuf },

    #[error("{}: {file}: {key}: {found}, expected {expected}", base.display())]
    Config { base: PathBuf, file: &'static str, key: String, found: String, expected: String },

    #[error("{}: {found}, and the architecture is {architecture}", base.display())]
    Mismatch { base: PathBuf, architecture: String, found: String },

    #[error("{}: there is no architecture {architecture}; there are {known}", base.display())]
    Unknown { base: PathBuf, architecture: String, known: &'static str },

    #[error(
        "{}: {tensors} of its tensors belong to no part of a {architecture} that is implemented, the first is {first}; without \
        them the network would be another",
        base.display()
    )]
    UnusedTensors { base: PathBuf, architecture: String, tensors: usize, first: String },

    #[error("{}: {option} was given, and this base reads {reads}", base.display())]
    Unused { base: PathBuf, option: &'static str, reads: &'static str },

    #[error("{}: images of {problem}", base.display())]
    Images { base: PathBuf, problem: String },

    #[error(transparent)]
    File(#[from] files::Error),

    #[error(transparent)]
    Layout(#[from] runtime::Error),
}
