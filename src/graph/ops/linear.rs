//! x Wᵀ + b.

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, LayerId, Output, Result, Saved, Tensors, Var};
use crate::kernels::{self, Tensor};

/// Kernels of [`Graph::linear`].
pub trait Kernels: Tensors {
    /// `[rows, in]` to `[rows, out]`.
    fn linear(&self, x: &Self::Tensor, layer: LayerId) -> Result<Self::Tensor, Self>;

    /// dyᵀ x, `[out, in]`.
    fn linear_weight_grad(&self, dy: &Self::Tensor, x: &Saved<Self>) -> Result<Self::Tensor, Self>;

    /// dy W, `[rows, in]`.
    fn linear_input_grad(&self, dy: &Self::Tensor, layer: LayerId) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// x Wᵀ + b: `[rows, in]` to `[rows, out]`.
    ///
    /// # Errors
    /// If the task lacks the layer, as the head of a base without one.
    pub fn linear(&mut self, x: &Var<B>, layer: LayerId) -> Output<B> {
        let y = self.backend.linear(&x.value, layer)?;
        let (saved, node) = (self.wants(layer).then(|| x.save()), x.node);
        if saved.is_none() && node.is_none() {
            return Ok(self.plain("linear", &[layer], y));
        }
        Ok(self.record("linear", &[layer], y, move |dy, back| {
            if let Some(x) = saved {
                back.give_with_bias(layer, back.backend.linear_weight_grad(&dy, &x)?, &dy)?;
            }
            match node {
                Some(node) => back.flow(node, back.backend.linear_input_grad(&dy, layer)?),
                None => Ok(()),
            }
        }))
    }
}

impl Kernels for Host<'_> {
    fn linear(&self, x: &Tensor, layer: LayerId) -> Result<Tensor, Self> {
        let (weight, bias) = (self.weight(layer)?, self.bias(layer));
        Ok(kernels::linear(self.workspace, x, weight.get(), bias.as_deref()))
    }

    fn linear_weight_grad(&self, dy: &Tensor, x: &Saved<Self>) -> Result<Tensor, Self> {
        self.recall(x, |x| x.with(self.workspace, |x| kernels::linear_weight_grad(self.workspace, dy, x)))
    }

    fn linear_input_grad(&self, dy: &Tensor, layer: LayerId) -> Result<Tensor, Self> {
        Ok(kernels::linear_input_grad(self.workspace, dy, self.weight(layer)?.get()))
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn linear(&self, x: &Rows, layer: LayerId) -> Result<Rows, Self> {
        let rows = x.whole()?.matmul(&self.weight(layer)?.flatten_from(1)?.t()?)?;
        Ok(Rows { rows, bias: self.bias(layer) })
    }

    fn linear_weight_grad(&self, dy: &Rows, x: &Saved<Self>) -> Result<Rows, Self> {
        Ok(dy.rows.t()?.matmul(&x.value().whole()?)?.into())
    }

    fn linear_input_grad(&self, dy: &Rows, layer: LayerId) -> Result<Rows, Self> {
        Ok(dy.rows.matmul(&self.weight(layer)?.flatten_from(1)?)?.into())
    }
}
