//! The way back through linear layers, their activation, and norms of rows.

use candle_core::Tensor;

use super::kernels;
use super::ops::{Value, present};
use super::tape::{DeviceTape, Traced};
use crate::runtime::{self, LayerId, Ops, Part};

impl DeviceTape<'_> {
    /// A linear layer without its bias, for whoever adds it: what comes back is the gradient of the sum.
    fn record_product(&mut self, x: &Traced, layer: LayerId) -> Result<Traced, runtime::Error> {
        let value = self.eval.product(&x.value, layer)?;
        self.record_linear(x, value, layer)
    }

    pub(super) fn record_linear(&mut self, x: &Traced, value: Value, layer: LayerId) -> Result<Traced, runtime::Error> {
        let weight = self.eval.weight(layer)?;
        let (wanted, node, has_bias) = (self.wants(layer), x.node, self.eval.task.param(layer, Part::Bias).is_some());
        let kept = x.value.clone().filter(|_| wanted);
        Ok(self.record(value, wanted || node.is_some(), move |dy, back| {
            if let Some(x) = kept {
                back.give(layer, dy.t()?.matmul(&x)?, has_bias.then(|| dy.sum(0)).transpose()?);
            }
            match node {
                Some(_) => back.flow(node, dy.matmul(&weight.flatten_from(1)?)?),
                None => Ok(()),
            }
        }))
    }

    pub(super) fn record_layer_norm(&mut self, x: &Traced, layer: LayerId, eps: f32) -> Result<Traced, runtime::Error> {
        let weight = self.eval.weight(layer)?;
        let has_bias = self.eval.task.param(layer, Part::Bias).is_some();
        let value = self.eval.layer_norm(&x.value, layer, eps)?;
        let (wanted, node, x) = (self.wants(layer), x.node, x.value.clone());
        Ok(self.record(value, wanted || node.is_some(), move |dy, back| {
            let x = present(x)?;
            if wanted {
                let [scale, bias] = kernels::layer_norm_sums(&x, dy, eps)?;
                back.give(layer, scale, has_bias.then_some(bias));
            }
            match node {
                Some(_) => back.flow(node, kernels::layer_norm_grad(&x, &weight, dy, eps)?),
                None => Ok(()),
            }
        }))
    }

    pub(super) fn record_gelu(&mut self, x: Traced) -> Traced {
        let value = self.eval.gelu(x.value.clone());
        self.record(value, x.node.is_some(), move |dy, back| {
            let kept = present(x.value)?;
            let none = Tensor::zeros(1, kept.dtype(), kept.device())?;
            back.flow(x.node, kernels::bias_gelu_grad(&kept, &none, dy)?)
        })
    }

    pub(super) fn record_feed_forward(&mut self, x: &Traced, layers: [LayerId; 2]) -> Result<Traced, runtime::Error> {
        let middle = self.record_product(x, layers[0])?;
        let value = self.eval.activated(middle.value.clone(), layers[0]);
        let bias = self.eval.task.param(layers[0], Part::Bias).cloned();
        let middle = self.record(value, middle.node.is_some(), move |dy, back| {
            let kept = present(middle.value)?;
            let bias = bias.map_or_else(|| Tensor::zeros(1, kept.dtype(), kept.device()), Ok)?;
            back.flow(middle.node, kernels::bias_gelu_grad(&kept, &bias, dy)?)
        });
        self.linear(&middle, layers[1])
    }
}
