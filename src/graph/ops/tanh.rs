//! The hyperbolic tangent.

use std::rc::Rc;

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, Output, Result, Tensors, Var};
use crate::kernels::{self, Tensor};

/// Kernels of [`Graph::tanh`].
pub trait Kernels: Tensors {
    /// tanh of each value.
    fn tanh(&self, x: Rc<Self::Tensor>) -> Result<Self::Tensor, Self>;

    /// The gradient of the input from that of the result `y`.
    fn tanh_grad(&self, dy: Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// tanh of each value.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn tanh(&mut self, x: Var<B>) -> Output<B> {
        let (node, y) = (x.node, self.backend.tanh(x.value)?);
        let Some(node) = node else { return Ok(self.plain("tanh", &[], y)) };
        let y = Rc::new(y);
        let saved = B::keep(&y);
        Ok(self.record("tanh", &[], y, move |dy, back| {
            let dx = back.backend.tanh_grad(dy, &saved)?;
            back.flow(node, dx)
        }))
    }
}

impl Kernels for Host<'_> {
    fn tanh(&self, x: Rc<Tensor>) -> Result<Tensor, Self> {
        let mut y = self.owned(x);
        kernels::tanh(self.workspace, &mut y);
        Ok(y)
    }

    fn tanh_grad(&self, mut dy: Tensor, y: &Tensor) -> Result<Tensor, Self> {
        kernels::tanh_grad(self.workspace, &mut dy, y);
        Ok(dy)
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn tanh(&self, x: Rc<Rows>) -> Result<Rows, Self> {
        Ok(x.whole()?.tanh()?.into())
    }

    fn tanh_grad(&self, dy: Rows, y: &Rows) -> Result<Rows, Self> {
        Ok((&dy.rows - (&dy.rows * y.rows.sqr()?)?)?.into())
    }
}
