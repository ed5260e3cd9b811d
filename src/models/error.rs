//! Why a base is no network this crate knows.

use std::path::PathBuf;

use crate::runtime;

/// Why a base is no network this crate knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    #[error("{}: no config.json beside the weights: it states the architecture and its sizes", base.display())]
    NoConfig { base: PathBuf },

    #[error("{}: config.json: {key}: {found}, expected {expected}", base.display())]
    Config { base: PathBuf, key: String, found: String, expected: String },

    #[error(transparent)]
    Layout(#[from] runtime::Error),
}
