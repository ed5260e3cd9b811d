//! Some columns of an activation.

use std::ops::Range;

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, Output, Result, Tensors, Var};
use crate::kernels::{self, Tensor};

/// Kernels of [`Graph::columns`].
pub trait Kernels: Tensors {
    /// A copy of the columns `range`.
    fn columns(&self, x: &Self::Tensor, range: Range<usize>) -> Result<Self::Tensor, Self>;

    /// The gradient of an input of `cols` columns from that of its columns from `first` on, added to `onto` where given.
    fn columns_grad(
        &self,
        dy: &Self::Tensor,
        onto: Option<Self::Tensor>,
        first: usize,
        cols: usize,
    ) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// Some columns of an activation.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn columns(&mut self, x: &Var<B>, range: Range<usize>) -> Output<B> {
        let (first, cols) = (range.start, x.dims()[1]);
        let y = self.backend.columns(&x.value, range)?;
        let Some(node) = x.node else { return Ok(self.plain("columns", &[], y)) };
        Ok(self.record("columns", &[], y, move |dy, back| {
            let onto = back.take(node);
            back.flow(node, back.backend.columns_grad(&dy, onto, first, cols)?)
        }))
    }
}

impl Kernels for Host<'_> {
    fn columns(&self, x: &Tensor, range: Range<usize>) -> Result<Tensor, Self> {
        Ok(kernels::columns(self.workspace, x, range))
    }

    fn columns_grad(&self, dy: &Tensor, onto: Option<Tensor>, first: usize, cols: usize) -> Result<Tensor, Self> {
        let mut dx = onto.unwrap_or_else(|| self.workspace.zeros(dy.rows(), cols));
        kernels::add_columns(&mut dx, dy, first);
        Ok(dx)
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn columns(&self, x: &Rows, range: Range<usize>) -> Result<Rows, Self> {
        Ok(x.whole()?.narrow(1, range.start, range.len())?.contiguous()?.into())
    }

    fn columns_grad(&self, dy: &Rows, onto: Option<Rows>, first: usize, cols: usize) -> Result<Rows, Self> {
        let [_, count] = Self::dims(dy);
        let dx = dy.rows.pad_with_zeros(1, first, cols - first - count)?;
        Ok(match onto {
            Some(onto) => (onto.rows + dx)?.into(),
            None => dx.into(),
        })
    }
}
