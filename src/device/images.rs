//! Operations on images, whose activations are rows of pixels.

use candle_core::{Result, Tensor};

use super::kernels;
use crate::kernels::{Grid, Window};

/// A convolution by a weight `[outputs, inputs, height, width]`: a product with what is under the window at each position.
pub(super) fn convolved(x: &Tensor, grid: Grid, weight: &Tensor, window: Window) -> Result<Tensor> {
    columns(x, grid, window)?.matmul(&by_columns(weight, window)?.t()?)
}

/// What is under the window at each position; the pixels themselves where that is one of them.
pub(super) fn columns(x: &Tensor, grid: Grid, window: Window) -> Result<Tensor> {
    if window.is_pointwise() { Ok(x.clone()) } else { kernels::window_columns(x, grid, window) }
}

/// The weight of a convolution as a matrix `[outputs, offsets * inputs]`.
pub(super) fn by_columns(weight: &Tensor, window: Window) -> Result<Tensor> {
    match window.size {
        [1, 1] => weight.flatten_from(1),
        _ => weight.flatten_from(2)?.transpose(1, 2)?.contiguous()?.flatten_from(1),
    }
}

/// The share that each pixel under the window has in its mean, `[channels, offsets]`.
pub(super) fn shares(x: &Tensor, window: Window) -> Result<Tensor> {
    let offsets = window.size[0] * window.size[1];
    Tensor::full(1.0 / offsets as f32, (x.dim(1)?, offsets), x.device())?.to_dtype(x.dtype())
}

/// Every `stride`-th line and column.
pub(super) fn every(stride: usize) -> Window {
    Window::square(1, stride, 0)
}
