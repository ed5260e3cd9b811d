//! Kernels of the project's own: one source for all devices, in the `.metal` files here.
//!
//! - A prelude for each kind of device says in its language the words that the kernels are written in. Metal compiles the
//!   whole when it is first used, and NVRTC does for CUDA; for tests a C++ compiler does, and threads take turns.
//! - Beside each source stands what launches it, and the same computed plainly: what candle's processor runs, and what the
//!   kernel is held to.

mod add;
mod cross_entropy;
#[cfg(feature = "cuda")]
mod cuda;
mod gelu;
mod heads;
mod launch;
mod merge;
#[cfg(feature = "metal")]
mod metal;
mod norm;
mod optimizer;
mod pool;
mod softmax;
mod sums;
#[cfg(test)]
mod tests;

pub(super) use add::add_bias;
pub(super) use cross_entropy::cross_entropy;
pub(super) use gelu::{bias_gelu, bias_gelu_grad};
pub(super) use heads::{Division, join_heads, split_heads};
pub(super) use merge::{merge, merge_floats};
pub(super) use norm::{layer_norm, layer_norm_grad, layer_norm_sums};
pub use optimizer::Rule;
pub(super) use optimizer::{BLOCK, update};
pub(super) use pool::{mean_rows, mean_rows_grad};
pub(super) use softmax::{softmax, softmax_grad};
pub(super) use sums::column_sums;

/// All kernels, without a prelude.
#[cfg(any(test, feature = "cuda", feature = "metal"))]
const SOURCE: &str = concat!(
    include_str!("common.metal"),
    include_str!("sums.metal"),
    include_str!("norm.metal"),
    include_str!("add.metal"),
    include_str!("gelu.metal"),
    include_str!("heads.metal"),
    include_str!("pool.metal"),
    include_str!("softmax.metal"),
    include_str!("cross_entropy.metal"),
    include_str!("merge.metal"),
    include_str!("optimizer.metal"),
);
