//! The sum of two activations.

use std::rc::Rc;

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, Output, Result, Tensors, Var};
#[cfg(feature = "candle")]
use crate::gpu;
use crate::kernels::{self, Tensor};

/// Kernels of [`Graph::add`].
pub trait Kernels: Tensors {
    /// x + y.
    fn add(&self, x: Rc<Self::Tensor>, y: &Self::Tensor) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// The sum of two activations of one shape.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn add(&mut self, x: Var<B>, y: &Var<B>) -> Output<B> {
        let out = self.backend.add(x.value, &y.value)?;
        let (first, second) = match (x.node, y.node) {
            (Some(x), y) => (x, y),
            (None, Some(y)) => (y, None),
            (None, None) => return Ok(self.plain("add", &[], out)),
        };
        Ok(self.record("add", &[], out, move |dy, back| {
            let Some(second) = second else { return back.flow(first, dy) };
            let copy = back.backend.copy(&dy)?;
            back.flow(first, dy)?;
            back.flow(second, copy)
        }))
    }
}

impl Kernels for Host<'_> {
    fn add(&self, x: Rc<Tensor>, y: &Tensor) -> Result<Tensor, Self> {
        let mut out = self.owned(x);
        kernels::add(self.workspace, &mut out, y);
        Ok(out)
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn add(&self, x: Rc<Rows>, y: &Rows) -> Result<Rows, Self> {
        let sum = match (&x.bias, &y.bias) {
            (Some(bias), _) => gpu::add_bias(&x.rows, bias, &y.whole()?),
            (None, Some(bias)) => gpu::add_bias(&y.rows, bias, &x.rows),
            (None, None) => &x.rows + &y.rows,
        };
        Ok(sum?.into())
    }
}
