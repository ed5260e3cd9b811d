//! The operations networks are made of, one file each: what it computes, its backward pass, and its kernels on each backend.
//!
//! An activation is `[rows, features]`; of images, `[images * height * width, channels]`. An operation that takes an activation
//! by move may compute in place; one that takes a reference leaves it usable.

mod add;
mod attention;
mod batch_norm;
mod columns;
mod concat;
mod conv;
mod conv_norm;
mod feed_forward;
mod gather;
mod gather_interpolated;
mod gelu;
mod layer_norm;
mod linear;
mod patches;
mod pool;
mod prepend;
mod rows;
mod self_attention;
mod subsample_pad;
mod tanh;

pub use batch_norm::BatchNorm;
pub use conv_norm::ConvNorm;

use super::backend::Tensors;

/// A backend that has the kernels of every operation.
pub trait Backend:
    Tensors
    + add::Kernels
    + attention::Kernels
    + batch_norm::Kernels
    + columns::Kernels
    + concat::Kernels
    + conv::Kernels
    + conv_norm::Kernels
    + feed_forward::Kernels
    + gather::Kernels
    + gather_interpolated::Kernels
    + gelu::Kernels
    + layer_norm::Kernels
    + linear::Kernels
    + patches::Kernels
    + pool::Kernels
    + prepend::Kernels
    + rows::Kernels
    + self_attention::Kernels
    + subsample_pad::Kernels
    + tanh::Kernels
{
}

impl Backend for super::Host<'_> {}
#[cfg(feature = "candle")]
impl Backend for super::Gpu<'_> {}
