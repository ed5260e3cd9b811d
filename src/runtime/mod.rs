//! Tasks over one base, the switch between them, and the forward pass.
//!
//! - A task never copies the base: a slot points into the mapping or to that adapter's merged weight.
//! - Loading is all or nothing: every entry of an adapter lands on the tensor it was made for.
//! - A switch swaps one pointer. A forward pass uses the task it started with to its end.

#[cfg(feature = "candle")]
mod candle;
mod evaluate;
mod examples;
mod forward;
mod image_spec;
pub(crate) mod landing;
mod network;
mod prediction;
mod processor;
mod settings;
mod switch;
mod task;
mod text_spec;

pub use evaluate::{Score, evaluate, score};
pub(crate) use examples::Checked;
pub use examples::Examples;
#[cfg(any(feature = "train", feature = "candle"))]
pub(crate) use forward::features;
pub(crate) use forward::logits;
pub use image_spec::{Centre, Crop, Filter, ImageSpec, MAX_SIDE, Resize, Scale};
pub use network::{Network, backward};
pub use prediction::Prediction;
pub use processor::{Arithmetic, Processor};
pub use settings::{Difference, Setting, Settings};
pub use switch::{Current, Runtime};
pub use task::{Labelled, Task};
pub use text_spec::TextSpec;

pub use crate::graph::{
    BatchNorm, ConvNorm, Error, Floats, Images, Input, Layer, LayerId, LayerKind, Layout, LayoutBuilder, Param, Part,
    Tokens, WeightRef, Weights,
};
