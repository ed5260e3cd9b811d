//! Tasks on a GPU, by candle: the base uploaded once, and for each task the layers of its own.
//!
//! - The base goes to the device once, straight from the mapping, and all tasks share it there; where memory is shared, as
//!   with Metal, the mapping itself is what the device reads.
//! - A task holds its own layers on the device, and handles of the base's tensors for the rest.
//! - A switch swaps one pointer and touches no memory of the device.
//!
//! Adapters are checked on the host, as [`Runtime`](crate::runtime::Runtime) does it, and merged on the device; networks are
//! the same code over another [`Backend`](crate::graph::Backend).

mod base;
#[cfg(feature = "cuda")]
mod cuda;
// Fine-tuning alone uses it, and nothing but this crate may: what it uploads is not waited for.
#[cfg_attr(not(feature = "train"), allow(dead_code, unused_imports))]
mod deltas;
#[cfg(feature = "metal")]
mod metal;
mod open;
mod runtime;
mod task;

pub use base::DeviceBase;
#[cfg(feature = "train")]
pub(crate) use deltas::{DeviceDeltas, Trained};
pub use open::{Device, fetch, open};
pub use runtime::DeviceRuntime;
pub use task::DeviceTask;

pub use crate::graph::DeviceError as Error;
