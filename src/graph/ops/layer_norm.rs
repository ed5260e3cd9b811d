//! Layer normalization (Ba, Kiros and Hinton 2016).

use std::rc::Rc;

use super::super::host::Scaled;
#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, LayerGrad, LayerId, Output, Result, Tensors, Var};
#[cfg(feature = "candle")]
use crate::gpu;
use crate::kernels::{self, Normalized, Purpose, Tensor};

/// Kernels of [`Graph::layer_norm`].
pub trait Kernels: Tensors {
    /// What the backward pass needs of the forward pass.
    type Normalized: 'static;

    /// The normalization of each row.
    fn layer_norm(&self, x: &Self::Tensor, layer: LayerId, eps: f32) -> Result<Self::Tensor, Self>;

    /// The same, and what the backward pass needs.
    fn layer_norm_saved(
        &self,
        x: &Rc<Self::Tensor>,
        layer: LayerId,
        eps: f32,
    ) -> Result<(Self::Tensor, Self::Normalized), Self>;

    /// What the result can be formed from again with what is saved anyway.
    fn recipe(&self, normalized: &Rc<Self::Normalized>, layer: LayerId) -> Option<Self::Recipe>;

    /// The gradients of scale and bias.
    fn layer_norm_affine_grad(
        &self,
        dy: &Self::Tensor,
        normalized: &Self::Normalized,
        layer: LayerId,
    ) -> Result<LayerGrad<Self::Tensor>, Self>;

    /// The gradient of the input.
    fn layer_norm_grad(
        &self,
        dy: Self::Tensor,
        normalized: &Self::Normalized,
        layer: LayerId,
    ) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// Layer normalization of each row, with `eps` added to the variance.
    ///
    /// # Errors
    /// If the task lacks the layer.
    pub fn layer_norm(&mut self, x: &Var<B>, layer: LayerId, eps: f32) -> Output<B> {
        let (wanted, node) = (self.wants(layer), x.node);
        if !wanted && node.is_none() {
            return Ok(self.plain("layer_norm", &[], self.backend.layer_norm(&x.value, layer, eps)?));
        }
        let (y, normalized) = self.backend.layer_norm_saved(&x.value, layer, eps)?;
        let normalized = Rc::new(normalized);
        let recipe = self.backend.recipe(&normalized, layer);
        let y = self.record("layer_norm", &[], y, move |dy, back| {
            if wanted {
                let LayerGrad { weight, bias } = back.backend.layer_norm_affine_grad(&dy, &normalized, layer)?;
                back.give(layer, weight, bias)?;
            }
            match node {
                Some(node) => back.flow(node, back.backend.layer_norm_grad(dy, &normalized, layer)?),
                None => Ok(()),
            }
        });
        Ok(Var { recipe, ..y })
    }
}

impl Kernels for Host<'_> {
    type Normalized = Normalized;

    fn layer_norm(&self, x: &Tensor, layer: LayerId, eps: f32) -> Result<Tensor, Self> {
        let (scale, bias) = (self.scale(layer)?, self.bias(layer));
        Ok(kernels::layer_norm(self.workspace, x, &scale, bias.as_deref(), eps))
    }

    fn layer_norm_saved(&self, x: &Rc<Tensor>, layer: LayerId, eps: f32) -> Result<(Tensor, Normalized), Self> {
        let (scale, bias) = (self.scale(layer)?, self.bias(layer));
        let (y, normalized) = kernels::layer_norm_kept(self.workspace, x, &scale, bias.as_deref(), eps);
        normalized.values.mark(Purpose::Activation);
        normalized.inverse_deviation.mark(Purpose::Activation);
        Ok((y, normalized))
    }

    fn recipe(&self, normalized: &Rc<Normalized>, layer: LayerId) -> Option<Scaled> {
        Some(Scaled { normalized: normalized.clone(), layer })
    }

    fn layer_norm_affine_grad(&self, dy: &Tensor, normalized: &Normalized, layer: LayerId) -> Result<LayerGrad, Self> {
        let [mut weight, mut bias] = [(); 2].map(|()| self.workspace.zeros(1, dy.cols()));
        kernels::layer_norm_affine_grad(dy, normalized, &mut weight, &mut bias);
        Ok(LayerGrad { weight, bias: self.has_bias(layer).then_some(bias) })
    }

    fn layer_norm_grad(&self, mut dy: Tensor, normalized: &Normalized, layer: LayerId) -> Result<Tensor, Self> {
        kernels::layer_norm_grad(self.workspace, &mut dy, normalized, &self.scale(layer)?);
        Ok(dy)
    }
}

#[cfg(feature = "candle")]
impl Gpu<'_> {
    fn scale_and_bias(&self, layer: LayerId) -> Result<[candle_core::Tensor; 2], Self> {
        let scale = self.weight(layer)?;
        let bias = self.bias(layer).map_or_else(|| scale.zeros_like(), Ok)?;
        Ok([scale, bias])
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    /// What was normalized, and what was added to its variance.
    type Normalized = (Rc<Rows>, f32);

    fn layer_norm(&self, x: &Rows, layer: LayerId, eps: f32) -> Result<Rows, Self> {
        let [scale, bias] = self.scale_and_bias(layer)?;
        Ok(gpu::layer_norm(&x.whole()?, &scale, &bias, eps)?.into())
    }

    fn layer_norm_saved(&self, x: &Rc<Rows>, layer: LayerId, eps: f32) -> Result<(Rows, (Rc<Rows>, f32)), Self> {
        Ok((self.layer_norm(x, layer, eps)?, (x.clone(), eps)))
    }

    fn recipe(&self, _: &Rc<(Rc<Rows>, f32)>, _: LayerId) -> Option<Self::Recipe> {
        None
    }

    fn layer_norm_affine_grad(
        &self,
        dy: &Rows,
        (x, eps): &(Rc<Rows>, f32),
        layer: LayerId,
    ) -> Result<LayerGrad<Rows>, Self> {
        let [scale, bias] = gpu::layer_norm_sums(&x.whole()?, &dy.rows, *eps)?;
        Ok(LayerGrad { weight: scale.into(), bias: self.has_bias(layer).then(|| bias.into()) })
    }

    fn layer_norm_grad(&self, dy: Rows, (x, eps): &(Rc<Rows>, f32), layer: LayerId) -> Result<Rows, Self> {
        Ok(gpu::layer_norm_grad(&x.whole()?, &self.weight(layer)?, &dy.rows, *eps)?.into())
    }
}
