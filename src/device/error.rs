//! Why a device could not be used.

/// Why a device could not be opened or computed with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    #[error("no device {name}: this program was built without it; build it with `--features {name}`")]
    NotBuilt { name: &'static str },

    #[error("no device {name}: {reason}")]
    Absent { name: &'static str, reason: String },

    #[error("the device failed: {0}")]
    Device(#[source] Box<candle_core::Error>),

    #[error(transparent)]
    Runtime(Box<crate::runtime::Error>),
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Device(Box::new(error))
    }
}

impl From<crate::runtime::Error> for Error {
    fn from(error: crate::runtime::Error) -> Self {
        Self::Runtime(Box::new(error))
    }
}
