//! Why a device could not be used.

use super::error::Error;

/// Why a device could not be opened or computed with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum DeviceError {
    #[error("no device {name}: this program was built without it; build it with `--features {name}`")]
    NotBuilt { name: &'static str },

    #[error("no device {name}: {reason}")]
    Absent { name: &'static str, reason: String },

    #[error("the device failed: {0}")]
    Device(#[source] Box<candle_core::Error>),

    #[error(transparent)]
    Runtime(Box<Error>),
}

impl From<candle_core::Error> for DeviceError {
    fn from(error: candle_core::Error) -> Self {
        Self::Device(Box::new(error))
    }
}

impl From<Error> for DeviceError {
    fn from(error: Error) -> Self {
        Self::Runtime(Box::new(error))
    }
}
