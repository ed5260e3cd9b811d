//! The way back through linear layers, their activation, and norms of rows.

use super::kernels;
use super::ops::{present, there};
use super::tape::{DeviceTape, Traced};
use crate::runtime::{self, LayerId, Ops, Part};

impl DeviceTape<'_> {
    pub(super) fn record_linear(&mut self, x: &Traced, layer: LayerId) -> Result<Traced, runtime::Error> {
        let value = self.eval.linear(&x.value, layer)?;
        let weight = self.eval.weight(layer)?;
        let (wanted, node, has_bias) = (self.wants(layer), x.node, self.eval.task.param(layer, Part::Bias).is_some());
        let kept = x.value.clone().filter(|_| wanted);
        Ok(self.record(value, wanted || node.is_some(), move |dy, back| {
            if let Some(x) = kept {
                let bias = has_bias.then(|| kernels::column_sums(dy)).transpose()?;
                back.give(layer, dy.t()?.matmul(&x.whole()?)?, bias);
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
            let kept = there(x.value)?;
            back.flow(x.node, kernels::bias_gelu_grad(&kept.rows, &kept.bias_or_zero()?, dy)?)
        })
    }
}
