//! The way back through operations on images.

use candle_core::{DType, Tensor};

use super::DeviceEval;
use super::images::{activation_of, offsets};
use super::kernels::column_sums;
use super::ops::{Value, present};
use super::tape::{DeviceMoments, DeviceTape, Traced};
use crate::kernels::{Activation, Grid, Window};
use crate::runtime::{self, BatchNorm, LayerId, LayerKind, Ops, Part};

impl DeviceTape<'_> {
    /// A convolution; the way back goes by the offsets within its window, each of which is a product.
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
                let (x, mut parts) = (x.whole()?, Vec::new());
                for pixels in DeviceEval::under(&x, grid, window, 0.0)? {
                    parts.push(match depthwise {
                        true => column_sums(&(dy * pixels?)?)?.unsqueeze(1)?,
                        false => dy.t()?.matmul(&pixels?)?,
                    });
                }
                let last = if depthwise { 1 } else { 2 };
                let gradient = Tensor::stack(&parts, last)?;
                back.give(layer, gradient, has_bias.then(|| column_sums(dy)).transpose()?);
            }
            if node.is_none() {
                return Ok(());
            }
            // `[outputs, inputs, offsets]`
            let weight = weight.flatten_from(2)?;
            for (number, offset) in offsets(window).enumerate() {
                let part = weight.narrow(2, number, 1)?.squeeze(2)?.contiguous()?;
                let dx = match depthwise {
                    true => dy.broadcast_mul(&part.t()?)?,
                    false => dy.matmul(&part)?,
                };
                back.flow(node, DeviceEval::put_back(&dx, grid, window, offset)?)?;
            }
            Ok(())
        }))
    }

    pub(super) fn record_batch_norm(
        &mut self,
        x: &Traced,
        norm: &BatchNorm,
        residual: Option<&Traced>,
    ) -> Result<Traced, runtime::Error> {
        let (layer, eps, activation) = (norm.layer, f64::from(norm.eps), norm.activation);
        let part = |part| self.eval.task.required(layer, part).map(|part| part.to_dtype(DType::F32));
        let (scale, bias) = (part(Part::Weight)?, part(Part::Bias)?);
        let running = (part(Part::Mean)?, part(Part::Variance)?);
        let (scale, bias) = (self.eval.run(|_| scale), self.eval.run(|_| bias));
        let by_batch = self.batch_statistics;
        let (mean, variance) = match by_batch {
            true => {
                let rows = x.rows();
                let mean = self.eval.run(|_| column_means(&wide(x)?));
                let apart = |mean: Value| wide(x)?.broadcast_sub(&present(mean)?)?.sqr();
                let variance = self.eval.run(|_| column_means(&apart(mean.clone())?));
                if let (Some(mean), Some(variance)) = (&mean, &variance) {
                    let (mean, variance) = (mean.rows.clone(), variance.rows.clone());
                    self.moments.push(DeviceMoments { layer, mean, variance, rows });
                }
                (mean, variance)
            }
            false => (self.eval.run(|_| running.0), self.eval.run(|_| running.1)),
        };
        let deviation = self.eval.run(|_| (present(variance)? + eps)?.sqrt());
        let normal =
            self.eval.run(|_| wide(x)?.broadcast_sub(&present(mean)?)?.broadcast_div(&present(deviation.clone())?));
        let value = self.eval.run(|_| {
            let y = present(normal.clone())?.broadcast_mul(&present(scale.clone())?)?.broadcast_add(&present(bias)?)?;
            let mut y = y.to_dtype(present(x.value.clone())?.dtype())?;
            if let Some(residual) = residual {
                y = (y + present(residual.value.clone())?)?;
            }
            activation_of(activation, y)
        });
        let (wanted, node, to_residual) = (self.wants(layer), x.node, residual.and_then(|residual| residual.node));
        let flows = wanted || node.is_some() || to_residual.is_some();
        let result = value.clone();
        Ok(self.record(value, flows, move |dy, back| {
            let dy = passed(activation, dy, &present(result)?)?;
            let (wide, normal) = (dy.to_dtype(DType::F32)?, present(normal)?);
            let along = (&wide * &normal)?;
            if wanted {
                back.give(layer, column_sums(&along)?, Some(column_sums(&wide)?));
            }
            if node.is_some() {
                let centred = match by_batch {
                    true => {
                        let along = normal.broadcast_mul(&column_means(&along)?)?;
                        wide.broadcast_sub(&column_means(&wide)?)?.sub(&along)?
                    }
                    false => wide,
                };
                let dx = centred.broadcast_mul(&(present(scale)? / present(deviation)?)?)?;
                back.flow(node, dx.to_dtype(dy.dtype())?)?;
            }
            back.flow(to_residual, dy)
        }))
    }

    pub(super) fn record_max_pool(&mut self, x: Traced, grid: Grid, window: Window) -> Traced {
        let value = self.eval.max_pool(x.value.clone(), grid, window);
        let highest = value.clone();
        self.record(value, x.node.is_some(), move |dy, back| {
            let (highest, mut left) = (present(highest)?, dy.clone());
            let under = DeviceEval::under(&present(x.value)?, grid, window, f32::NEG_INFINITY)?;
            for (offset, pixels) in offsets(window).zip(under) {
                // The first highest value of each window, by lines, gets its gradient.
                let is_highest = pixels?.eq(&highest)?.to_dtype(dy.dtype())?;
                let taken = (&left * is_highest)?;
                left = (left - &taken)?;
                back.flow(x.node, DeviceEval::put_back(&taken, grid, window, offset)?)?;
            }
            Ok(())
        })
    }

    pub(super) fn record_average_pool(&mut self, x: Traced, grid: Grid, window: Window) -> Traced {
        let value = self.eval.average_pool(x.value, grid, window);
        self.record(value, x.node.is_some(), move |dy, back| {
            let share = (dy / (window.size[0] * window.size[1]) as f64)?;
            offsets(window)
                .try_for_each(|offset| back.flow(x.node, DeviceEval::put_back(&share, grid, window, offset)?))
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
            back.flow(node, DeviceEval::put_back(&dy, grid, Window::square(1, stride, 0), [0, 0])?)
        })
    }
}

/// An activation in f32.
fn wide(x: &Traced) -> candle_core::Result<Tensor> {
    present(x.value.clone())?.to_dtype(DType::F32)
}

/// The mean of each column, in f32.
fn column_means(x: &Tensor) -> candle_core::Result<Tensor> {
    column_sums(x)? / x.dim(0)? as f64
}

/// The part of a gradient that an activation with this result lets through.
fn passed(activation: Activation, dy: &Tensor, y: &Tensor) -> candle_core::Result<Tensor> {
    match activation {
        Activation::None => Ok(dy.clone()),
        Activation::Relu => dy * y.gt(0f32)?.to_dtype(dy.dtype())?,
        Activation::Relu6 => (dy * y.gt(0f32)?.to_dtype(dy.dtype())?)? * y.lt(6f32)?.to_dtype(dy.dtype())?,
    }
}
