//! The highest value and the mean within each position of a window.

use std::rc::Rc;

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, Output, Result, Tensors, Var};
#[cfg(feature = "candle")]
use crate::gpu;
use crate::kernels::{self, Grid, Tensor, Window};

/// Kernels of [`Graph::max_pool`] and [`Graph::average_pool`].
pub trait Kernels: Tensors {
    /// The highest value of each channel.
    fn max_pool(&self, x: &Self::Tensor, grid: Grid, window: Window) -> Result<Self::Tensor, Self>;

    /// The gradient of `x`: the first highest value of each position gets it.
    fn max_pool_grad(
        &self,
        dy: &Self::Tensor,
        x: &Self::Tensor,
        grid: Grid,
        window: Window,
    ) -> Result<Self::Tensor, Self>;

    /// The mean of each channel.
    fn average_pool(&self, x: &Self::Tensor, grid: Grid, window: Window) -> Result<Self::Tensor, Self>;

    /// The gradient of the input.
    fn average_pool_grad(&self, dy: &Self::Tensor, grid: Grid, window: Window) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// The highest value within each position of a window, of images of `grid`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn max_pool(&mut self, x: Var<B>, grid: Grid, window: Window) -> Output<B> {
        let y = self.backend.max_pool(&x.value, grid, window)?;
        let Some(node) = x.node else { return Ok(self.plain("max_pool", &[], y)) };
        let saved: Rc<B::Tensor> = x.keep();
        Ok(self.record("max_pool", &[], y, move |dy, back| {
            back.flow(node, back.backend.max_pool_grad(&dy, &saved, grid, window)?)
        }))
    }

    /// The mean of the values within each position of a window without padding, of images of `grid`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn average_pool(&mut self, x: Var<B>, grid: Grid, window: Window) -> Output<B> {
        let y = self.backend.average_pool(&x.value, grid, window)?;
        let Some(node) = x.node else { return Ok(self.plain("average_pool", &[], y)) };
        Ok(self.record("average_pool", &[], y, move |dy, back| {
            back.flow(node, back.backend.average_pool_grad(&dy, grid, window)?)
        }))
    }
}

impl Kernels for Host<'_> {
    fn max_pool(&self, x: &Tensor, grid: Grid, window: Window) -> Result<Tensor, Self> {
        Ok(kernels::max_pool(self.workspace, x, grid, window))
    }

    fn max_pool_grad(&self, dy: &Tensor, x: &Tensor, grid: Grid, window: Window) -> Result<Tensor, Self> {
        Ok(kernels::max_pool_grad(self.workspace, dy, x, grid, window))
    }

    fn average_pool(&self, x: &Tensor, grid: Grid, window: Window) -> Result<Tensor, Self> {
        Ok(kernels::average_pool(self.workspace, x, grid, window))
    }

    fn average_pool_grad(&self, dy: &Tensor, grid: Grid, window: Window) -> Result<Tensor, Self> {
        Ok(kernels::average_pool_grad(self.workspace, dy, grid, window))
    }
}

/// A mean is a depthwise convolution by equal shares.
#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn max_pool(&self, x: &Rows, grid: Grid, window: Window) -> Result<Rows, Self> {
        Ok(gpu::max_pool(&x.whole()?, grid, window)?.into())
    }

    fn max_pool_grad(&self, dy: &Rows, x: &Rows, grid: Grid, window: Window) -> Result<Rows, Self> {
        Ok(gpu::max_pool_grad(&x.whole()?, &dy.rows, grid, window)?.into())
    }

    fn average_pool(&self, x: &Rows, grid: Grid, window: Window) -> Result<Rows, Self> {
        let x = x.whole()?;
        Ok(gpu::depthwise(&x, &shares(&x, window)?, grid, window)?.into())
    }

    fn average_pool_grad(&self, dy: &Rows, grid: Grid, window: Window) -> Result<Rows, Self> {
        Ok(gpu::depthwise_grad(&dy.rows, &shares(&dy.rows, window)?, grid, window)?.into())
    }
}

/// The share that each pixel under the window has in its mean, `[channels, offsets]`.
#[cfg(feature = "candle")]
fn shares(x: &candle_core::Tensor, window: Window) -> candle_core::Result<candle_core::Tensor> {
    let offsets = window.size[0] * window.size[1];
    candle_core::Tensor::full(1.0 / offsets as f32, (x.dim(1)?, offsets), x.device())?.to_dtype(x.dtype())
}
