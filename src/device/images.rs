//! Operations on images, whose activations are rows of pixels.

use candle_core::{DType, Tensor};

use super::DeviceEval;
use crate::kernels::{Activation, Grid, Window};

impl DeviceEval<'_> {
    /// A convolution by a weight `[outputs, inputs, height, width]`.
    pub(super) fn convolved(
        &self,
        x: &Tensor,
        grid: Grid,
        weight: &Tensor,
        window: Window,
    ) -> candle_core::Result<Tensor> {
        if window.is_pointwise() {
            return x.matmul(&weight.flatten_from(1)?.t()?);
        }
        if x.dtype() == DType::BF16 && x.device().is_cpu() {
            return Self::by_offsets(x, grid, weight, window);
        }
        let (outputs, channels) = (weight.dim(0)?, x.dim(1)?);
        let images = x.reshape((grid.images, grid.height, grid.width, channels))?.permute((0, 3, 1, 2))?;
        let even = window.rows[0] == window.rows[1] && window.cols == window.rows;
        let (images, padding) = match even {
            true => (images.contiguous()?, window.rows[0]),
            false => {
                let [above, below] = window.rows;
                let [left, right] = window.cols;
                (images.pad_with_zeros(2, above, below)?.pad_with_zeros(3, left, right)?.contiguous()?, 0)
            }
        };
        let out = images.conv2d(weight, padding, window.stride, 1, 1)?;
        out.permute((0, 2, 3, 1))?.contiguous()?.reshape((window.output(grid).rows(), outputs))
    }

    /// A convolution as a sum of products, one for each offset within its window: for candle's CPU, which convolves no bf16.
    fn by_offsets(x: &Tensor, grid: Grid, weight: &Tensor, window: Window) -> candle_core::Result<Tensor> {
        let weight = weight.flatten_from(2)?;
        let products = Self::under(x, grid, window, 0.0)?
            .enumerate()
            .map(|(number, pixels)| pixels?.matmul(&weight.narrow(2, number, 1)?.squeeze(2)?.contiguous()?.t()?));
        folded(x, products, Tensor::add)
    }

    /// The convolution of each channel by itself, by a weight `[channels, 1, height, width]`.
    pub(super) fn depthwise(
        &self,
        x: &Tensor,
        grid: Grid,
        weight: &Tensor,
        window: Window,
    ) -> candle_core::Result<Tensor> {
        let channels = x.dim(1)?;
        // `[height * width, channels]`
        let factors = weight.reshape((channels, window.size[0] * window.size[1]))?.t()?.contiguous()?;
        let products = Self::under(x, grid, window, 0.0)?
            .enumerate()
            .map(|(number, pixels)| pixels?.broadcast_mul(&factors.narrow(0, number, 1)?));
        folded(x, products, Tensor::add)
    }

    /// The highest value under each position of the window.
    pub(super) fn highest(&self, x: &Tensor, grid: Grid, window: Window) -> candle_core::Result<Tensor> {
        folded(x, Self::under(x, grid, window, f32::NEG_INFINITY)?, |highest, pixels| highest.maximum(pixels))
    }

    /// The mean under each position of the window.
    pub(super) fn averaged(&self, x: &Tensor, grid: Grid, window: Window) -> candle_core::Result<Tensor> {
        folded(x, Self::under(x, grid, window, 0.0)?, Tensor::add)? / (window.size[0] * window.size[1]) as f64
    }

    /// Every `stride`-th line and column.
    pub(super) fn subsampled(&self, x: &Tensor, grid: Grid, stride: usize) -> candle_core::Result<Tensor> {
        let window = Window::square(1, stride, 0);
        match Self::under(x, grid, window, 0.0)?.next() {
            Some(pixels) => pixels,
            None => Ok(x.clone()),
        }
    }

    /// The gradient of `x` where that of the pixels under one `offset` of the window, `[output pixels, channels]`, is
    /// given: what [`DeviceEval::under`] took from it goes back there.
    pub(super) fn put_back(
        dy: &Tensor,
        grid: Grid,
        window: Window,
        [line, column]: [usize; 2],
    ) -> candle_core::Result<Tensor> {
        let (output, stride, channels) = (window.output(grid), window.stride, dy.dim(1)?);
        let (height, width) = (output.height, output.width);
        let apart = match stride {
            1 => dy.reshape((output.images, height, width, channels))?,
            _ => dy
                .reshape(&[output.images, height, 1, width, 1, channels][..])?
                .pad_with_zeros(2, 0, stride - 1)?
                .pad_with_zeros(4, 0, stride - 1)?
                .reshape((output.images, height * stride, width * stride, channels))?,
        };
        let rest = |length: usize, pad: [usize; 2], offset: usize, taken: usize| {
            length + pad[0] + pad[1] + stride - 1 - offset - taken
        };
        let below = rest(grid.height, window.rows, line, height * stride);
        let right = rest(grid.width, window.cols, column, width * stride);
        let padded = apart.pad_with_zeros(1, line, below)?.pad_with_zeros(2, column, right)?;
        let inside = padded.narrow(1, window.rows[0], grid.height)?.narrow(2, window.cols[0], grid.width)?;
        inside.contiguous()?.reshape((grid.rows(), channels))
    }

    /// For each offset within the window the pixels under it at all positions, `[output pixels, channels]`; `outside`
    /// where there is none.
    pub(super) fn under(
        x: &Tensor,
        grid: Grid,
        window: Window,
        outside: f32,
    ) -> candle_core::Result<impl Iterator<Item = candle_core::Result<Tensor>> + use<>> {
        let channels = x.dim(1)?;
        let (output, stride) = (window.output(grid), window.stride);
        let images = x.reshape((grid.images, grid.height, grid.width, channels))?;
        // As much below and on the right that whole strides can be cut from each offset on.
        let more = stride - 1;
        let images = padded(&images, 1, window.rows[0], window.rows[1] + more, outside)?;
        let images = padded(&images, 2, window.cols[0], window.cols[1] + more, outside)?;
        Ok(offsets(window).map(move |[line, column]| {
            let (height, width) = (output.height, output.width);
            let cut = images.narrow(1, line, height * stride)?.narrow(2, column, width * stride)?.contiguous()?;
            let cut = match stride {
                1 => cut,
                _ => cut
                    .reshape(&[output.images, height, stride, width, stride, channels][..])?
                    .narrow(2, 0, 1)?
                    .narrow(4, 0, 1)?
                    .contiguous()?,
            };
            cut.reshape((output.rows(), channels))
        }))
    }
}

/// The offsets within a window, by lines.
pub(super) fn offsets(window: Window) -> impl Iterator<Item = [usize; 2]> {
    let [lines, columns] = window.size;
    (0..lines).flat_map(move |line| (0..columns).map(move |column| [line, column]))
}

/// What is under each offset of a window, brought together; zeros like `x` for a window without any.
fn folded(
    x: &Tensor,
    mut parts: impl Iterator<Item = candle_core::Result<Tensor>>,
    together: impl Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
) -> candle_core::Result<Tensor> {
    let first = parts.next().unwrap_or_else(|| x.zeros_like())?;
    parts.try_fold(first, |all, part| together(&all, &part?))
}

/// An activation of all values.
pub(super) fn activation_of(activation: Activation, y: Tensor) -> candle_core::Result<Tensor> {
    match activation {
        Activation::None => Ok(y),
        Activation::Relu => y.relu(),
        Activation::Relu6 => y.clamp(0f32, 6f32),
    }
}

/// With `before` and `after` entries of `value` around those of a dimension.
fn padded(x: &Tensor, dim: usize, before: usize, after: usize, value: f32) -> candle_core::Result<Tensor> {
    let block = |count: usize| {
        let mut shape = x.dims().to_vec();
        shape[dim] = count;
        (count > 0).then(|| Tensor::full(value, shape, x.device())?.to_dtype(x.dtype())).transpose()
    };
    let parts: Vec<Tensor> = [block(before)?, Some(x.clone()), block(after)?].into_iter().flatten().collect();
    match parts.len() {
        1 => Ok(x.clone()),
        _ => Tensor::cat(&parts, dim),
    }
}
