//! Convolution of images, dense or of each channel by itself.

use std::rc::Rc;

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, LayerId, LayerKind, Output, Result, Tensors, Var};
#[cfg(feature = "candle")]
use crate::gpu;
use crate::kernels::{self, Epilogue, Grid, Tensor, Window};

/// Kernels of [`Graph::conv`].
pub trait Kernels: Tensors {
    /// `[pixels, in]` to `[output pixels, out]`.
    fn conv(&self, x: &Self::Tensor, grid: Grid, layer: LayerId, window: Window) -> Result<Self::Tensor, Self>;

    /// The gradient of the weight.
    fn conv_weight_grad(
        &self,
        dy: &Self::Tensor,
        x: &Self::Tensor,
        grid: Grid,
        layer: LayerId,
        window: Window,
    ) -> Result<Self::Tensor, Self>;

    /// The gradient of `x`.
    fn conv_input_grad(
        &self,
        dy: &Self::Tensor,
        grid: Grid,
        layer: LayerId,
        window: Window,
    ) -> Result<Self::Tensor, Self>;

    /// Whether the layer has a window for each channel by itself.
    fn is_depthwise(&self, layer: LayerId) -> bool {
        self.layout().layer(layer).kind == LayerKind::Depthwise
    }
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// Convolution of images of `grid`, dense or of each channel by itself as the layer's kind says.
    ///
    /// # Errors
    /// If the task lacks the layer.
    pub fn conv(&mut self, x: &Var<B>, grid: Grid, layer: LayerId, window: Window) -> Output<B> {
        let y = self.backend.conv(&x.value, grid, layer, window)?;
        let (saved, node): (Option<Rc<B::Tensor>>, _) = (self.wants(layer).then(|| x.keep()), x.node);
        if saved.is_none() && node.is_none() {
            return Ok(self.plain("conv", &[layer], y));
        }
        Ok(self.record("conv", &[layer], y, move |dy, back| {
            if let Some(x) = saved {
                let weight = back.backend.conv_weight_grad(&dy, &x, grid, layer, window)?;
                back.give_with_bias(layer, weight, &dy)?;
            }
            match node {
                Some(node) => back.flow(node, back.backend.conv_input_grad(&dy, grid, layer, window)?),
                None => Ok(()),
            }
        }))
    }
}

impl Host<'_> {
    /// A convolution and what follows it.
    pub(super) fn convolve(
        &self,
        x: &Tensor,
        grid: Grid,
        layer: LayerId,
        window: Window,
        epilogue: Epilogue<'_>,
    ) -> Result<Tensor, Self> {
        let weight = self.weight(layer)?;
        Ok(match self.is_depthwise(layer) {
            true => kernels::depthwise(self.workspace, x, grid, weight.get(), window, epilogue),
            false => kernels::conv(self.workspace, x, grid, weight.get(), window, epilogue),
        })
    }
}

impl Kernels for Host<'_> {
    fn conv(&self, x: &Tensor, grid: Grid, layer: LayerId, window: Window) -> Result<Tensor, Self> {
        let bias = self.bias(layer);
        self.convolve(x, grid, layer, window, Epilogue { shift: bias.as_deref(), ..Epilogue::default() })
    }

    fn conv_weight_grad(
        &self,
        dy: &Tensor,
        x: &Tensor,
        grid: Grid,
        layer: LayerId,
        window: Window,
    ) -> Result<Tensor, Self> {
        Ok(match self.is_depthwise(layer) {
            true => kernels::depthwise_weight_grad(self.workspace, dy, x, grid, window),
            false => kernels::conv_weight_grad(self.workspace, dy, x, grid, window),
        })
    }

    fn conv_input_grad(&self, dy: &Tensor, grid: Grid, layer: LayerId, window: Window) -> Result<Tensor, Self> {
        let weight = self.weight(layer)?;
        Ok(match self.is_depthwise(layer) {
            true => kernels::depthwise_input_grad(self.workspace, dy, grid, weight.get(), window),
            false => kernels::conv_input_grad(self.workspace, dy, grid, weight.get(), window),
        })
    }
}

/// A product with what is under the window at each position.
#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn conv(&self, x: &Rows, grid: Grid, layer: LayerId, window: Window) -> Result<Rows, Self> {
        let (x, weight) = (x.whole()?, self.weight(layer)?);
        let rows = match self.is_depthwise(layer) {
            true => gpu::depthwise(&x, &weight.flatten_from(1)?, grid, window)?,
            false => under(&x, grid, window)?.matmul(&by_columns(&weight, window)?.t()?)?,
        };
        Ok(Rows { rows, bias: self.bias(layer) })
    }

    fn conv_weight_grad(&self, dy: &Rows, x: &Rows, grid: Grid, layer: LayerId, window: Window) -> Result<Rows, Self> {
        let (dy, x) = (&dy.rows, x.whole()?);
        if self.is_depthwise(layer) {
            return Ok(gpu::depthwise_sums(&x, dy, grid, window)?.into());
        }
        // `[outputs, offsets, inputs]`, and in the order of the weight.
        let gradient = dy.t()?.matmul(&under(&x, grid, window)?)?;
        let inputs = x.dim(1)?;
        let offsets = gradient.dim(1)? / inputs;
        let gradient = gradient.reshape((dy.dim(1)?, offsets, inputs))?.transpose(1, 2)?.contiguous()?;
        Ok(gradient.into())
    }

    fn conv_input_grad(&self, dy: &Rows, grid: Grid, layer: LayerId, window: Window) -> Result<Rows, Self> {
        let weight = self.weight(layer)?;
        if self.is_depthwise(layer) {
            return Ok(gpu::depthwise_grad(&dy.rows, &weight.flatten_from(1)?, grid, window)?.into());
        }
        let dx = dy.rows.matmul(&by_columns(&weight, window)?)?;
        Ok(if window.is_pointwise() { dx } else { gpu::window_columns_grad(&dx, grid, window)? }.into())
    }
}

/// What is under the window at each position; the pixels themselves where that is one of them.
#[cfg(feature = "candle")]
fn under(x: &candle_core::Tensor, grid: Grid, window: Window) -> candle_core::Result<candle_core::Tensor> {
    if window.is_pointwise() { Ok(x.clone()) } else { gpu::window_columns(x, grid, window) }
}

/// The weight of a convolution as a matrix `[outputs, offsets * inputs]`.
#[cfg(feature = "candle")]
fn by_columns(weight: &candle_core::Tensor, window: Window) -> candle_core::Result<candle_core::Tensor> {
    match window.size {
        [1, 1] => weight.flatten_from(1),
        _ => weight.flatten_from(2)?.transpose(1, 2)?.contiguous()?.flatten_from(1),
    }
}
