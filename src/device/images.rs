//! Operations on images, whose activations are rows of pixels.

use candle_core::Tensor;

use super::DeviceEval;
use crate::kernels::{Grid, Window};

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
        let mut sum: Option<Tensor> = None;
        for (number, pixels) in self.under(x, grid, window, 0.0)?.into_iter().enumerate() {
            let product = pixels?.broadcast_mul(&factors.narrow(0, number, 1)?)?;
            sum = Some(match sum {
                Some(sum) => (sum + product)?,
                None => product,
            });
        }
        sum.map_or_else(|| x.zeros_like(), Ok)
    }

    /// The highest value under each position of the window.
    pub(super) fn highest(&self, x: &Tensor, grid: Grid, window: Window) -> candle_core::Result<Tensor> {
        let mut highest: Option<Tensor> = None;
        for pixels in self.under(x, grid, window, f32::NEG_INFINITY)? {
            let pixels = pixels?;
            highest = Some(match highest {
                Some(highest) => highest.maximum(&pixels)?,
                None => pixels,
            });
        }
        highest.map_or_else(|| x.zeros_like(), Ok)
    }

    /// The mean under each position of the window.
    pub(super) fn averaged(&self, x: &Tensor, grid: Grid, window: Window) -> candle_core::Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        for pixels in self.under(x, grid, window, 0.0)? {
            let pixels = pixels?;
            sum = Some(match sum {
                Some(sum) => (sum + pixels)?,
                None => pixels,
            });
        }
        sum.map_or_else(|| x.zeros_like(), Ok)? / (window.size[0] * window.size[1]) as f64
    }

    /// Every `stride`-th line and column.
    pub(super) fn subsampled(&self, x: &Tensor, grid: Grid, stride: usize) -> candle_core::Result<Tensor> {
        let window = Window::square(1, stride, 0);
        match self.under(x, grid, window, 0.0)?.into_iter().next() {
            Some(pixels) => pixels,
            None => Ok(x.clone()),
        }
    }

    /// For each offset within the window the pixels under it at all positions, `[output pixels, channels]`; `outside`
    /// where there is none.
    fn under<'a>(
        &'a self,
        x: &Tensor,
        grid: Grid,
        window: Window,
        outside: f32,
    ) -> candle_core::Result<impl IntoIterator<Item = candle_core::Result<Tensor>> + use<'a>> {
        let channels = x.dim(1)?;
        let (output, stride) = (window.output(grid), window.stride);
        let images = x.reshape((grid.images, grid.height, grid.width, channels))?;
        // As much below and on the right that whole strides can be cut from each offset on.
        let more = stride - 1;
        let images = padded(&images, 1, window.rows[0], window.rows[1] + more, outside)?;
        let images = padded(&images, 2, window.cols[0], window.cols[1] + more, outside)?;
        let offsets = (0..window.size[0]).flat_map(move |line| (0..window.size[1]).map(move |column| [line, column]));
        Ok(offsets.map(move |[line, column]| {
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

/// With `before` and `after` entries of `value` around those of a dimension.
fn padded(x: &Tensor, dim: usize, before: usize, after: usize, value: f32) -> candle_core::Result<Tensor> {
    let block = |count: usize| {
        let mut shape = x.dims().to_vec();
        shape[dim] = count;
        (count > 0).then(|| Tensor::full(value, shape, x.device())).transpose()
    };
    let parts: Vec<Tensor> = [block(before)?, Some(x.clone()), block(after)?].into_iter().flatten().collect();
    match parts.len() {
        1 => Ok(x.clone()),
        _ => Tensor::cat(&parts, dim),
    }
}
