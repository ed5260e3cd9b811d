//! The way back through operations on images.

use super::images::{by_columns, columns, every, shares};
use super::kernels::{self, column_squares, column_sums};
use super::ops::present;
use super::tape::{DeviceMoments, DeviceTape, Traced};
use crate::kernels::{Grid, Window};
use crate::runtime::{self, BatchNorm, LayerId, LayerKind, Ops, Part};

impl DeviceTape<'_> {
    pub(super) fn record_conv(
        &mut self,
        x: &Traced,
        grid: Grid,
        layer: LayerId,
        window: Window,
    ) -> Result<Traced, runtime::Error> {
        let value = self.eval.conv(&x.value, grid, layer, window)?;
        let task = self.eval.task;
        let (weight, has_bias) = (self.eval.weight(layer)?, task.param(layer, Part::Bias).is_some());
        let depthwise = task.layout().layer(layer).kind == LayerKind::Depthwise;
        let (wanted, node) = (self.wants(layer), x.node);
        let kept = x.value.clone().filter(|_| wanted);
        Ok(self.record(value, wanted || node.is_some(), move |dy, back| {
            if let Some(x) = kept {
                let x = x.whole()?;
                let gradient = match depthwise {
                    true => kernels::depthwise_sums(&x, dy, grid, window)?,
                    false => {
                        // `[outputs, offsets, inputs]`, and in the order of the weight.
                        let gradient = dy.t()?.matmul(&columns(&x, grid, window)?)?;
                        let inputs = x.dim(1)?;
                        let offsets = gradient.dim(1)? / inputs;
                        gradient.reshape((dy.dim(1)?, offsets, inputs))?.transpose(1, 2)?.contiguous()?
                    }
                };
                back.give(layer, gradient, has_bias.then(|| column_sums(dy)).transpose()?);
            }
            if node.is_none() {
                return Ok(());
            }
            let dx = match depthwise {
                true => kernels::depthwise_grad(dy, &weight.flatten_from(1)?, grid, window)?,
                false => {
                    let dx = dy.matmul(&by_columns(&weight, window)?)?;
                    if window.is_pointwise() { dx } else { kernels::window_columns_grad(&dx, grid, window)? }
                }
            };
            back.flow(node, dx)
        }))
    }

    pub(super) fn record_batch_norm(
        &mut self,
        x: &Traced,
        norm: &BatchNorm,
        residual: Option<&Traced>,
    ) -> Result<Traced, runtime::Error> {
        let (layer, eps, activation) = (norm.layer, norm.eps, norm.activation);
        let part = |part| self.eval.task.required(layer, part).cloned();
        let [weight, bias] = [part(Part::Weight)?, part(Part::Bias)?];
        let running = [part(Part::Mean)?, part(Part::Variance)?];
        let by_batch = self.batch_statistics;
        let (mut spread, mut seen) = (None, None);
        let value = self.eval.run(|_| {
            let whole = present(x.value.clone())?;
            let [mean, variance] = match by_batch {
                true => {
                    let rows = whole.dim(0)?;
                    let mean = (column_sums(&whole)? / rows as f64)?;
                    let variance = (column_squares(&whole, &mean)? / rows as f64)?;
                    seen = Some(DeviceMoments { layer, mean: mean.clone(), variance: variance.clone(), rows });
                    [mean, variance]
                }
                false => running,
            };
            let residual = residual.map(|residual| present(residual.value.clone())).transpose()?;
            let of = kernels::channel_spread(&mean, &variance, eps)?;
            let y = kernels::channel_norm(&whole, residual.as_ref(), [&weight, &bias, &of], activation)?;
            spread = Some(of);
            Ok(y)
        });
        self.moments.extend(seen);
        let (wanted, node, to_residual) = (self.wants(layer), x.node, residual.and_then(|residual| residual.node));
        let flows = wanted || node.is_some() || to_residual.is_some();
        let (x, result) = (x.value.clone(), value.clone());
        Ok(self.record(value, flows, move |dy, back| {
            // With the result there is what it came from.
            let Some(spread) = spread else { return Ok(()) };
            let (x, dy) = (present(x)?, kernels::activation_grad(&present(result)?, dy, activation)?);
            let sums = (wanted || by_batch).then(|| kernels::channel_norm_sums(&x, &dy, &spread)).transpose()?;
            if let Some(sums) = sums.as_ref().filter(|_| wanted) {
                back.give(layer, sums.get(0)?, Some(sums.get(1)?));
            }
            if node.is_some() {
                let sums = sums.as_ref().filter(|_| by_batch);
                back.flow(node, kernels::channel_norm_grad(&x, &dy, [&weight, &spread], sums)?)?;
            }
            back.flow(to_residual, dy)
        }))
    }

    pub(super) fn record_max_pool(&mut self, x: Traced, grid: Grid, window: Window) -> Traced {
        let value = self.eval.max_pool(x.value.clone(), grid, window);
        self.record(value, x.node.is_some(), move |dy, back| {
            back.flow(x.node, kernels::max_pool_grad(&present(x.value)?, dy, grid, window)?)
        })
    }

    pub(super) fn record_average_pool(&mut self, x: Traced, grid: Grid, window: Window) -> Traced {
        let value = self.eval.average_pool(x.value, grid, window);
        self.record(value, x.node.is_some(), move |dy, back| {
            back.flow(x.node, kernels::depthwise_grad(dy, &shares(dy, window)?, grid, window)?)
        })
    }

    pub(super) fn record_subsample_pad(
        &mut self,
        x: &Traced,
        grid: Grid,
        stride: usize,
        [before, after]: [usize; 2],
    ) -> Traced {
        let channels = x.cols();
        let value = self.eval.subsample_pad(&x.value, grid, stride, before, after);
        let node = x.node;
        self.record(value, node.is_some(), move |dy, back| {
            let dy = dy.narrow(1, before, channels)?.contiguous()?;
            back.flow(node, kernels::window_columns_grad(&dy, grid, every(stride))?)
        })
    }
}
