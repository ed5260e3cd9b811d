//! Why a command failed.

use plotters::drawing::DrawingAreaErrorKind;

use crate::{base, convert, data, files, models, runtime, train};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// A check that the command makes did not hold.
    #[error("{0}")]
    Failed(String),
    #[error("a picture could not be drawn: {0}")]
    Drawing(#[from] DrawingAreaErrorKind<std::io::Error>),
    #[error(transparent)]
    File(#[from] files::Error),
    #[error(transparent)]
    Base(#[from] base::Error),
    #[error(transparent)]
    Model(#[from] models::Error),
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    #[cfg(feature = "candle")]
    #[error(transparent)]
    Device(#[from] crate::device::Error),
    #[error(transparent)]
    Train(#[from] train::Error),
    #[error(transparent)]
    Convert(#[from] convert::Error),
    #[error(transparent)]
    Data(#[from] data::Error),
}
