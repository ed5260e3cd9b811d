//! Candle's devices: their memory, and kernels of the project's own, one source for all devices in the `.metal` files here.
//!
//! - A prelude for each kind of device says in its language the words that the kernels are written in. Metal compiles a
//!   file when one of its kernels is first used, and NVRTC does for CUDA; for tests a C++ compiler does, and threads take
//!   turns.
//! - Beside each source stands what launches it, and the same computed plainly: what candle's processor runs, and what the
//!   kernel is held to.

mod add;
mod channels;
mod cross_entropy;
#[cfg(feature = "cuda")]
mod cuda;
mod gelu;
mod heads;
mod launch;
mod memory;
mod merge;
#[cfg(feature = "metal")]
mod metal;
mod norm;
mod optimizer;
mod pool;
mod run;
mod softmax;
mod sums;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use add::add_bias;
pub(crate) use channels::{
    activation_grad, channel_norm, channel_norm_grad, channel_norm_sums, channel_spread, column_squares,
};
pub(crate) use cross_entropy::cross_entropy;
pub(crate) use gelu::{bias_gelu, bias_gelu_grad};
pub(crate) use heads::{Division, join_heads, split_heads};
#[cfg(feature = "metal")]
pub(crate) use memory::dtype;
pub(crate) use memory::{Memory, stored};
pub(crate) use merge::{merge, merge_floats};
pub(crate) use norm::{layer_norm, layer_norm_grad, layer_norm_sums};
pub(crate) use optimizer::Rule;
pub(crate) use optimizer::{BLOCK, update};
pub(crate) use pool::{mean_rows, mean_rows_grad};
pub(crate) use softmax::{softmax, softmax_grad};
pub(crate) use sums::column_sums;
pub(crate) use window::{
    depthwise, depthwise_grad, depthwise_sums, max_pool, max_pool_grad, window_columns, window_columns_grad,
};

/// What all files of kernels begin with, after a prelude.
#[cfg(any(test, feature = "cuda", feature = "metal"))]
const COMMON: &str = include_str!("common.metal");
