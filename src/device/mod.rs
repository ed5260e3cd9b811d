//! Tasks on a GPU, by candle: the base uploaded once, and for each task the layers of its own.
//!
//! - The base goes to the device once, straight from the mapping, and all tasks share it there; where memory is shared, as
//!   with Metal, the mapping itself is what the device reads.
//! - A task holds its own layers on the device, and handles of the base's tensors for the rest.
//! - A switch swaps one pointer and touches no memory of the device.
//!
//! Adapters are checked on the host, as [`Runtime`](crate::runtime::Runtime) does it, and merged on the device; networks are
//! the same code, run on another implementation of [`Ops`](crate::runtime::Ops).

mod back;
mod base;
#[cfg(feature = "cuda")]
mod cuda;
// Fine-tuning alone uses it, and nothing but this crate may: what it uploads is not waited for.
#[cfg_attr(not(feature = "train"), allow(dead_code, unused_imports))]
mod deltas;
mod dense_back;
mod error;
mod images;
mod images_back;
mod kernels;
#[cfg(feature = "metal")]
mod metal;
mod open;
mod ops;
mod runtime;
mod sequences;
mod sequences_back;
mod tape;
mod task;

pub use base::DeviceBase;
#[cfg(feature = "train")]
pub(crate) use deltas::{DeviceDeltas, Rule, Trained};
pub use error::Error;
pub(crate) use open::fetch;
pub use open::{Device, open};
pub use ops::DeviceEval;
pub use runtime::DeviceRuntime;
pub use tape::{DeviceGrad, DeviceMoments, DeviceTape};
pub use task::DeviceTask;
