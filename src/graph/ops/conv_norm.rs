//! A convolution and the batch normalization after it, as most convolutional networks are made of.

#[cfg(feature = "candle")]
use super::super::Gpu;
use super::super::{Graph, Host, LayerId, Output, Result, Var};
use super::{BatchNorm, batch_norm, conv};
use crate::kernels::{Epilogue, Grid, Tensor, Window};

/// A convolution without bias and the batch normalization after it.
#[derive(Clone, Copy, Debug)]
pub struct ConvNorm {
    /// The convolution's weight.
    pub conv: LayerId,
    /// Its window.
    pub window: Window,
    /// The normalization.
    pub norm: BatchNorm,
}

/// Kernels of [`Graph::conv_norm`].
pub trait Kernels: conv::Kernels + batch_norm::Kernels {
    /// Both in one pass, by running statistics.
    fn conv_norm(
        &self,
        x: &Self::Tensor,
        grid: Grid,
        unit: &ConvNorm,
        residual: Option<&Self::Tensor>,
    ) -> Result<Self::Tensor, Self> {
        let y = self.conv(x, grid, unit.conv, unit.window)?;
        self.batch_norm(&y, &unit.norm, residual)
    }
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// A convolution and the normalization after it: in one pass where no gradient flows through them.
    ///
    /// # Errors
    /// If the task lacks a layer.
    pub fn conv_norm(&mut self, x: &Var<B>, grid: Grid, unit: &ConvNorm, residual: Option<&Var<B>>) -> Output<B> {
        let flows = x.node.is_some() || residual.is_some_and(|residual| residual.node.is_some());
        if flows || self.wants(unit.conv) || self.wants(unit.norm.layer) || self.batch_statistics {
            let y = self.conv(x, grid, unit.conv, unit.window)?;
            return self.batch_norm(&y, &unit.norm, residual);
        }
        let residual = residual.map(|residual| &*residual.value);
        Ok(self.plain("conv_norm", &[unit.conv], self.backend.conv_norm(&x.value, grid, unit, residual)?))
    }
}

impl Kernels for Host<'_> {
    fn conv_norm(&self, x: &Tensor, grid: Grid, unit: &ConvNorm, residual: Option<&Tensor>) -> Result<Tensor, Self> {
        let (scale, shift) = self.fold(&unit.norm)?;
        let (scale, shift, residual) = (Some(&scale[..]), Some(&shift[..]), residual.map(|residual| &residual[..]));
        let epilogue = Epilogue { scale, shift, residual, activation: unit.norm.activation };
        self.convolve(x, grid, unit.conv, unit.window, epilogue)
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {}
