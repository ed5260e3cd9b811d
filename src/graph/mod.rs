//! Networks' operations, each stated once: recorded for the backward pass where a gradient is wanted, and else only computed.
//!
//! - A [`Graph`] records operations; evaluation is a graph of which no gradient is wanted.
//! - An operation is one file in [`ops`]: its forward pass, its backward pass, and between the two what it saves.
//! - It is generic over a [`Backend`], which has tensors in one kind of memory and the kernels for them: [`Host`], `Gpu`.

mod backend;
mod backward;
#[cfg(feature = "candle")]
mod device_error;
mod error;
#[cfg(feature = "candle")]
mod gpu;
mod host;
mod input;
mod layout;
pub mod ops;
mod record;
mod weights;

pub use backend::{Result, Tensors};
pub use backward::{Backward, LayerGrad, NodeId, Operation, Sink};
#[cfg(feature = "candle")]
pub use device_error::DeviceError;
pub use error::Error;
#[cfg(feature = "candle")]
pub use gpu::{Gpu, Rows};
pub use host::Host;
pub use input::{Images, Input, Tokens};
pub use layout::{Layer, LayerId, LayerKind, Layout, LayoutBuilder, Param, Part};
pub use ops::{Backend, BatchNorm, ConvNorm};
pub use record::{Checkpoint, Graph, Moments, Output, Pass, Saved, Var, Watch};
pub use weights::{Floats, LinearWeights, Matrix, WeightRef, Weights};
