//! GELU (Hendrycks and Gimpel 2016) with the exact error function.

use std::rc::Rc;

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, Output, Result, Tensors, Var};
#[cfg(feature = "candle")]
use crate::gpu;
use crate::kernels::{self, Tensor};

/// Kernels of [`Graph::gelu`].
pub trait Kernels: Tensors {
    /// GELU of each value.
    fn gelu(&self, x: Rc<Self::Tensor>) -> Result<Self::Tensor, Self>;

    /// The gradient of `x` from that of the result.
    fn gelu_grad(&self, dy: Self::Tensor, x: &Self::Tensor) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// GELU of each value, with the exact error function.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn gelu(&mut self, x: Var<B>) -> Output<B> {
        let Some(node) = x.node else { return Ok(self.plain("gelu", &[], self.backend.gelu(x.value)?)) };
        let saved = x.keep();
        let y = self.backend.gelu(x.value)?;
        Ok(self.record("gelu", &[], y, move |dy, back| {
            let dx = back.backend.gelu_grad(dy, &saved)?;
            back.flow(node, dx)
        }))
    }
}

impl Kernels for Host<'_> {
    fn gelu(&self, x: Rc<Tensor>) -> Result<Tensor, Self> {
        let mut y = self.owned(x);
        kernels::gelu(self.workspace, &mut y);
        Ok(y)
    }

    fn gelu_grad(&self, mut dy: Tensor, x: &Tensor) -> Result<Tensor, Self> {
        kernels::gelu_grad(self.workspace, &mut dy, x);
        Ok(dy)
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn gelu(&self, x: Rc<Rows>) -> Result<Rows, Self> {
        Ok(gpu::bias_gelu(&x.rows, &x.bias_or_zero()?)?.into())
    }

    fn gelu_grad(&self, dy: Rows, x: &Rows) -> Result<Rows, Self> {
        Ok(gpu::bias_gelu_grad(&x.rows, &x.bias_or_zero()?, &dy.rows)?.into())
    }
}
