//! The forward pass on a device.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;

use super::{DeviceTask, Error, fetch, images, kernels};
use crate::kernels::{self as host, Grid, Heads, Interpolation, Segments, Window, Workspace};
use crate::runtime::{self, BatchNorm, Images, LayerId, Ops, Part};

/// Computes the operations of a network on the device that a task is on.
///
/// Of what the device refuses the first is kept, and nothing is computed after it: [`DeviceEval::receive`] tells it.
pub struct DeviceEval<'a> {
    pub(super) task: &'a DeviceTask,
    pub(super) workspace: &'a Workspace,
    failed: Option<candle_core::Error>,
    /// Where the examples of the batch begin, once that is known.
    starts: Option<(Segments, Tensor)>,
}

/// An activation on the device; none after a failure.
pub type Value = Option<Rows>;

/// Rows on the device, to which a bias may still have to be added: what reads them does both at once where it can.
#[derive(Clone)]
pub struct Rows {
    pub(super) rows: Tensor,
    pub(super) bias: Option<Tensor>,
}

impl Rows {
    /// The rows with their bias.
    pub(super) fn whole(&self) -> candle_core::Result<Tensor> {
        match &self.bias {
            Some(bias) => self.rows.broadcast_add(bias),
            None => Ok(self.rows.clone()),
        }
    }

    /// The bias, or 0 for all columns.
    pub(super) fn bias_or_zero(&self) -> candle_core::Result<Tensor> {
        let zero = || Tensor::zeros(1, self.rows.dtype(), self.rows.device());
        self.bias.clone().map_or_else(zero, Ok)
    }

    /// Rows and columns.
    pub(super) fn dims(&self) -> [usize; 2] {
        self.rows.dims2().map(Into::into).unwrap_or_default()
    }
}

impl From<Tensor> for Rows {
    fn from(rows: Tensor) -> Self {
        Self { rows, bias: None }
    }
}

impl<'a> DeviceEval<'a> {
    /// A forward pass of `task`; `workspace` is for what is made ready on the host.
    pub fn new(task: &'a DeviceTask, workspace: &'a Workspace) -> Self {
        Self { task, workspace, failed: None, starts: None }
    }

    /// The values of an activation, copied from the device: `[rows, features]`.
    ///
    /// # Errors
    /// What the device refused first.
    pub fn receive(&mut self, value: Value) -> Result<host::Tensor, Error> {
        fetch(&self.take(value)?)
    }

    /// An activation, or what the device refused first.
    pub(super) fn take(&mut self, value: Value) -> candle_core::Result<Tensor> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => present(value),
        }
    }

    pub(super) fn run<A: Into<Rows>>(&mut self, body: impl FnOnce(&mut Self) -> candle_core::Result<A>) -> Value {
        if self.failed.is_some() {
            return None;
        }
        match body(self) {
            Ok(value) => Some(value.into()),
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    pub(super) fn weight(&self, layer: LayerId) -> Result<Tensor, runtime::Error> {
        self.task.required(layer, Part::Weight).cloned()
    }

    /// Entries and features of a table.
    pub(super) fn table(&self, layer: LayerId) -> [usize; 2] {
        let param = &self.task.layout().layer(layer).weight;
        let features = param.shape.last().copied().unwrap_or(1);
        [param.elements() / features.max(1), features]
    }

    /// The first row of each example, and the end of the last: `[examples + 1]`.
    pub(super) fn starts(&mut self, segments: &Segments, rows: usize) -> candle_core::Result<Tensor> {
        if rows != segments.rows() {
            let message = format!("{rows} rows of examples that have {}", segments.rows());
            return Err(candle_core::Error::Msg(message));
        }
        if let Some((_, starts)) = self.starts.as_ref().filter(|(of, _)| of == segments) {
            return Ok(starts.clone());
        }
        let starts: Vec<u32> =
            segments.ranges().map(|range| range.start as u32).chain([segments.rows() as u32]).collect();
        let starts = self.task.base().send_rows(&starts)?;
        self.starts = Some((segments.clone(), starts.clone()));
        Ok(starts)
    }

    /// An interpolation of a table as a matrix: what it makes of the unit vectors.
    pub(super) fn interpolation(&mut self, layer: LayerId, map: &Interpolation) -> Value {
        let [entries, _] = self.table(layer);
        self.run(|this| {
            let mut unit = vec![0.0; entries * entries];
            unit.iter_mut().step_by(entries + 1).for_each(|value| *value = 1.0);
            let matrix = host::interpolate(this.workspace, &unit, entries, map);
            this.task.base().send(&matrix, &[map.rows(), entries])
        })
    }
}

impl Ops for DeviceEval<'_> {
    type Value = Value;

    fn workspace(&self) -> &Workspace {
        self.workspace
    }

    fn constant(&mut self, tensor: host::Tensor) -> Value {
        self.run(|this| this.task.base().send(&tensor, &[tensor.rows(), tensor.cols()]))
    }

    fn patches(&mut self, images: &Images, size: usize) -> Value {
        self.run(|this| {
            let Images { batch, channels, height, width, .. } = *images;
            let (down, across) = (height / size, width / size);
            let pixels = this.task.base().send(&images.pixels, &[batch, channels, down, size, across, size])?;
            let patches = pixels.permute([0, 2, 4, 1, 3, 5])?.contiguous()?;
            patches.reshape((batch * down * across, channels * size * size))
        })
    }

    fn gather(&mut self, layer: LayerId, indices: &[u32], onto: Option<Value>) -> Result<Value, runtime::Error> {
        let table = self.weight(layer)?;
        let param = &self.task.layout().layer(layer).weight;
        let [entries, features] = self.table(layer);
        if let Some(index) = indices.iter().find(|&&index| index as usize >= entries) {
            let message = format!("{}: entry {index} is outside the table of {entries}", param.name);
            return Err(runtime::Error::Input { message });
        }
        Ok(self.run(|this| {
            let indices = this.task.base().send_rows(indices)?;
            let rows = table.reshape((entries, features))?.index_select(&indices, 0)?;
            match onto.flatten() {
                Some(onto) => rows + onto.whole()?,
                None => Ok(rows),
            }
        }))
    }

    fn gather_interpolated(
        &mut self,
        layer: LayerId,
        map: &Arc<Interpolation>,
        indices: &[u32],
        onto: Value,
    ) -> Result<Value, runtime::Error> {
        let table = self.weight(layer)?;
        let [entries, features] = self.table(layer);
        let matrix = self.interpolation(layer, map);
        Ok(self.run(|this| {
            let rows = present(matrix)?.matmul(&table.reshape((entries, features))?)?;
            let rows = rows.index_select(&this.task.base().send_rows(indices)?, 0)?;
            present(onto)? + rows
        }))
    }

    fn prepend(&mut self, x: &Value, layer: LayerId, segments: &Segments) -> Result<Value, runtime::Error> {
        let row = self.weight(layer)?;
        Ok(self.run(|this| this.prepended(present(x.clone())?, &row, segments)))
    }

    fn linear(&mut self, x: &Value, layer: LayerId) -> Result<Value, runtime::Error> {
        let weight = self.weight(layer)?;
        let bias = self.task.param(layer, Part::Bias).cloned();
        Ok(self.run(|_| {
            let rows = present(x.clone())?.matmul(&weight.flatten_from(1)?.t()?)?;
            Ok(Rows { rows, bias })
        }))
    }

    fn conv(&mut self, x: &Value, grid: Grid, layer: LayerId, window: Window) -> Result<Value, runtime::Error> {
        let weight = self.weight(layer)?;
        let bias = self.task.param(layer, Part::Bias).cloned();
        let depthwise = self.task.layout().layer(layer).kind == runtime::LayerKind::Depthwise;
        Ok(self.run(|_| {
            let x = present(x.clone())?;
            let rows = match depthwise {
                true => kernels::depthwise(&x, &weight.flatten_from(1)?, grid, window)?,
                false => images::convolved(&x, grid, &weight, window)?,
            };
            Ok(Rows { rows, bias })
        }))
    }

    fn batch_norm(&mut self, x: &Value, norm: &BatchNorm, residual: Option<&Value>) -> Result<Value, runtime::Error> {
        let part = |part| self.task.required(norm.layer, part).cloned();
        let [weight, bias] = [part(Part::Weight)?, part(Part::Bias)?];
        let [mean, variance] = [part(Part::Mean)?, part(Part::Variance)?];
        Ok(self.run(|_| {
            let residual = residual.map(|residual| present(residual.clone())).transpose()?;
            let spread = kernels::channel_spread(&mean, &variance, norm.eps)?;
            let x = present(x.clone())?;
            kernels::channel_norm(&x, residual.as_ref(), [&weight, &bias, &spread], norm.activation)
        }))
    }

    fn max_pool(&mut self, x: Value, grid: Grid, window: Window) -> Value {
        self.run(|_| kernels::max_pool(&present(x)?, grid, window))
    }

    fn average_pool(&mut self, x: Value, grid: Grid, window: Window) -> Value {
        self.run(|_| {
            let x = present(x)?;
            kernels::depthwise(&x, &images::shares(&x, window)?, grid, window)
        })
    }

    fn concat(&mut self, parts: &[&Value]) -> Value {
        self.run(|_| {
            let parts = parts.iter().map(|&part| present(part.clone())).collect::<candle_core::Result<Vec<_>>>()?;
            Tensor::cat(&parts, 1)
        })
    }

    fn columns(&mut self, x: &Value, range: Range<usize>) -> Value {
        self.run(|_| present(x.clone())?.narrow(1, range.start, range.len())?.contiguous())
    }

    fn subsample_pad(&mut self, x: &Value, grid: Grid, stride: usize, before: usize, after: usize) -> Value {
        self.run(|_| {
            kernels::window_columns(&present(x.clone())?, grid, images::every(stride))?.pad_with_zeros(1, before, after)
        })
    }

    fn layer_norm(&mut self, x: &Value, layer: LayerId, eps: f32) -> Result<Value, runtime::Error> {
        let weight = self.weight(layer)?;
        let bias = self.task.param(layer, Part::Bias).cloned();
        Ok(self.run(|_| {
            let bias = bias.map_or_else(|| weight.zeros_like(), Ok)?;
            kernels::layer_norm(&present(x.clone())?, &weight, &bias, eps)
        }))
    }

    fn gelu(&mut self, x: Value) -> Value {
        self.run(|_| {
            let x = there(x)?;
            kernels::bias_gelu(&x.rows, &x.bias_or_zero()?)
        })
    }

    fn tanh(&mut self, x: Value) -> Value {
        self.run(|_| present(x)?.tanh())
    }

    fn add(&mut self, x: Value, y: &Value) -> Value {
        self.run(|_| {
            let (x, y) = (there(x)?, there(y.clone())?);
            match (&x.bias, &y.bias) {
                (Some(bias), _) => kernels::add_bias(&x.rows, bias, &y.whole()?),
                (None, Some(bias)) => kernels::add_bias(&y.rows, bias, &x.rows),
                (None, None) => x.rows + y.rows,
            }
        })
    }

    fn attention(&mut self, q: Value, k: Value, v: Value, heads: Heads, segments: &Segments) -> Value {
        self.run(|this| Ok(this.attended([there(q)?, there(k)?, there(v)?], heads, segments)?.0))
    }

    fn mean_rows(&mut self, x: Value, segments: &Segments, skip: usize) -> Value {
        self.run(|this| {
            let x = present(x)?;
            kernels::mean_rows(&x, &this.starts(segments, x.dim(0)?)?, skip)
        })
    }

    fn max_rows(&mut self, x: Value, segments: &Segments) -> Value {
        self.run(|this| this.side_by_side(&present(x)?, segments)?.0.max(1))
    }

    fn rows_at(&mut self, x: &Value, segments: &Segments, at: usize) -> Value {
        self.run(|this| present(x.clone())?.index_select(&this.numbers_at(segments, at)?, 0))
    }
}

/// An activation, which is there as long as nothing has failed.
pub(super) fn there(value: Value) -> candle_core::Result<Rows> {
    value.ok_or_else(|| candle_core::Error::Msg("an activation is missing".to_owned()))
}

/// The same with its bias.
pub(super) fn present(value: Value) -> candle_core::Result<Tensor> {
    there(value)?.whole()
}
