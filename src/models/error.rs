//! Why a base is no network this crate knows.

use std::path::PathBuf;

use crate::runtime;

/// Why a base is no network this crate knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    #[error("{}: no config.json beside the weights to state the architecture: name it (--arch)", base.display())]
    NoConfig { base: PathBuf },

    #[error("{}: config.json: {key}: {found}, expected {expected}", base.display())]
    Config { base: PathBuf, key: String, found: String, expected: String },

    #[error("{}: {found}, and the architecture is {architecture}", base.display())]
    Mismatch { base: PathBuf, architecture: String, found: String },

    #[error("{}: there is no architecture {architecture}; there are {known}", base.display())]
    Unknown { base: PathBuf, architecture: String, known: &'static str },

    #[error(transparent)]
    Layout(#[from] runtime::Error),
}
