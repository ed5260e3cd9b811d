//! The shortcut of a residual block without weights: fewer pixels, more channels (He et al. 2015, option A).

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, Output, Result, Tensors, Var};
#[cfg(feature = "candle")]
use crate::gpu;
#[cfg(feature = "candle")]
use crate::kernels::Window;
use crate::kernels::{self, Grid, Tensor};

/// Kernels of [`Graph::subsample_pad`].
pub trait Kernels: Tensors {
    /// Every `stride`-th line and column, with channels of zeros before and after.
    fn subsample_pad(&self, x: &Self::Tensor, grid: Grid, stride: usize, pad: [usize; 2])
    -> Result<Self::Tensor, Self>;

    /// The gradient of an input of `channels`, with `before` channels of zeros before.
    fn subsample_pad_grad(
        &self,
        dy: &Self::Tensor,
        grid: Grid,
        stride: usize,
        before: usize,
        channels: usize,
    ) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// Every `stride`-th line and column of images of `grid`, with `before` and `after` channels of zeros around theirs.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn subsample_pad(&mut self, x: &Var<B>, grid: Grid, stride: usize, [before, after]: [usize; 2]) -> Output<B> {
        let channels = x.dims()[1];
        let y = self.backend.subsample_pad(&x.value, grid, stride, [before, after])?;
        let Some(node) = x.node else { return Ok(self.plain("subsample_pad", &[], y)) };
        Ok(self.record("subsample_pad", &[], y, move |dy, back| {
            back.flow(node, back.backend.subsample_pad_grad(&dy, grid, stride, before, channels)?)
        }))
    }
}

impl Kernels for Host<'_> {
    fn subsample_pad(
        &self,
        x: &Tensor,
        grid: Grid,
        stride: usize,
        [before, after]: [usize; 2],
    ) -> Result<Tensor, Self> {
        Ok(kernels::subsample_pad(self.workspace, x, grid, stride, before, after))
    }

    fn subsample_pad_grad(
        &self,
        dy: &Tensor,
        grid: Grid,
        stride: usize,
        before: usize,
        channels: usize,
    ) -> Result<Tensor, Self> {
        Ok(kernels::subsample_pad_grad(self.workspace, dy, grid, stride, before, channels))
    }
}

/// A window of one pixel looks at every `stride`-th.
#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn subsample_pad(&self, x: &Rows, grid: Grid, stride: usize, [before, after]: [usize; 2]) -> Result<Rows, Self> {
        let pixels = gpu::window_columns(&x.whole()?, grid, Window::square(1, stride, 0))?;
        Ok(pixels.pad_with_zeros(1, before, after)?.into())
    }

    fn subsample_pad_grad(
        &self,
        dy: &Rows,
        grid: Grid,
        stride: usize,
        before: usize,
        channels: usize,
    ) -> Result<Rows, Self> {
        let dy = dy.rows.narrow(1, before, channels)?.contiguous()?;
        Ok(gpu::window_columns_grad(&dy, grid, Window::square(1, stride, 0))?.into())
    }
}
