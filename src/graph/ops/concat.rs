//! The columns of several activations side by side.

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, Output, Result, Var};
use super::columns;
use crate::kernels::{self, Tensor};

/// Kernels of [`Graph::concat`].
pub trait Kernels: columns::Kernels {
    /// The columns of all parts, one after another.
    fn concat(&self, parts: &[&Self::Tensor]) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// The columns of several activations of equal rows, one after another.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn concat(&mut self, parts: &[&Var<B>]) -> Output<B> {
        let values: Vec<&B::Tensor> = parts.iter().map(|part| part.value()).collect();
        let out = self.backend.concat(&values)?;
        if parts.iter().all(|part| part.node.is_none()) {
            return Ok(self.plain("concat", &[], out));
        }
        let parts: Vec<_> = parts.iter().map(|part| (part.node, part.dims()[1])).collect();
        Ok(self.record("concat", &[], out, move |dy, back| {
            let mut first = 0;
            for (node, cols) in parts {
                if let Some(node) = node {
                    back.flow(node, back.backend.columns(&dy, first..first + cols)?)?;
                }
                first += cols;
            }
            Ok(())
        }))
    }
}

impl Kernels for Host<'_> {
    fn concat(&self, parts: &[&Tensor]) -> Result<Tensor, Self> {
        Ok(kernels::concat_columns(self.workspace, parts))
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn concat(&self, parts: &[&Rows]) -> Result<Rows, Self> {
        let parts = parts.iter().map(|part| part.whole()).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(candle_core::Tensor::cat(&parts, 1)?.into())
    }
}
