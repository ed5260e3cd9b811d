//! The forward pass on a device recorded, and the way back.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::ops::{Value, present};
use super::{DeviceEval, DeviceTask, Error, fetch, kernels as device};
use crate::kernels::{self, Grid, Heads, Interpolation, Segments, Window, Workspace};
use crate::runtime::{self, BatchNorm, Images, LayerId, Ops};

/// Gradients of one layer on the device.
pub struct DeviceGrad {
    /// Of the weight, as many values as it has; of a table or a norm's scale as well.
    pub(super) weight: Tensor,
    /// Of the bias, where the layer has one.
    pub(super) bias: Option<Tensor>,
}

impl DeviceGrad {
    /// The gradients of the weight, and of the bias where the layer has one, copied from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fetch(&self) -> Result<(kernels::Tensor, Option<kernels::Tensor>), Error> {
        Ok((fetch(&self.weight)?, self.bias.as_ref().map(fetch).transpose()?))
    }

    /// Sum of the squares of all its values.
    ///
    /// # Errors
    /// If the device fails.
    pub fn squared_norm(&self) -> Result<f32, Error> {
        let norm = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.sqr()?.sum_all()?.to_scalar::<f32>();
        Ok(norm(&self.weight)? + self.bias.as_ref().map_or(Ok(0.0), norm)?)
    }
}

/// Mean and variance of the channels that a batch normalization saw.
pub struct DeviceMoments {
    /// The normalization.
    pub layer: LayerId,
    /// `[channels]`.
    pub(super) mean: Tensor,
    /// Mean squared distance from it, `[channels]`.
    pub(super) variance: Tensor,
    /// Rows that they are over.
    pub rows: usize,
}

impl DeviceMoments {
    /// Mean and variance, `[1, channels]` each, copied from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fetch(&self) -> Result<[kernels::Tensor; 2], Error> {
        Ok([fetch(&self.mean)?, fetch(&self.variance)?])
    }
}

/// An activation on the device and, where a gradient flows to it, its place on the tape.
#[derive(Clone)]
pub struct Traced {
    pub(super) value: Value,
    pub(super) node: Option<NodeId>,
}

impl Traced {
    /// Its rows; none after a failure.
    pub(super) fn rows(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.dims()[0])
    }

    /// Its columns.
    pub(super) fn cols(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.dims()[1])
    }
}

pub(super) type NodeId = usize;

/// The way back through one operation: is given the gradient of its result.
pub(super) type Step<'a> = Box<dyn FnOnce(&Tensor, &mut Back<'_>) -> candle_core::Result<()> + 'a>;

/// Computes operations on a device and records those that a gradient flows through, as the trainer's tape does on the
/// host: a frozen layer gets no weight gradient, and what lies before the earliest wanted layer is computed as in
/// evaluation.
pub struct DeviceTape<'a> {
    pub(super) eval: DeviceEval<'a>,
    pub(super) wanted: &'a [bool],
    pub(super) steps: Vec<Step<'a>>,
    pub(super) batch_statistics: bool,
    pub(super) moments: Vec<DeviceMoments>,
    /// Values at the cuts so far, where what lies between them is computed again on the way back.
    pub(super) cuts: Option<Vec<Traced>>,
    /// Whether its first node is the values at a cut, with which it starts.
    pub(super) starts: bool,
}

/// Gradients on their way back.
pub(super) struct Back<'s> {
    pub(super) gradients: Vec<Option<Tensor>>,
    pub(super) sink: &'s mut dyn FnMut(LayerId, DeviceGrad),
}

impl Back<'_> {
    /// Adds a gradient to that of `node`; one that flows to no node ends here.
    pub(super) fn flow(&mut self, node: Option<NodeId>, gradient: Tensor) -> candle_core::Result<()> {
        let Some(node) = node else { return Ok(()) };
        self.gradients[node] = Some(match self.gradients[node].take() {
            Some(sum) => (sum + gradient)?,
            None => gradient,
        });
        Ok(())
    }

    /// Hands out the gradients of a layer.
    pub(super) fn give(&mut self, layer: LayerId, weight: Tensor, bias: Option<Tensor>) {
        (self.sink)(layer, DeviceGrad { weight, bias });
    }
}

impl<'a> DeviceTape<'a> {
    /// An empty tape that will give the gradients of the layers that are true in `wanted`, one for each layer of the
    /// network.
    pub fn new(task: &'a DeviceTask, wanted: &'a [bool], workspace: &'a Workspace) -> Self {
        let eval = DeviceEval::new(task, workspace);
        Self {
            eval,
            wanted,
            steps: Vec::new(),
            batch_statistics: false,
            moments: Vec::new(),
            cuts: None,
            starts: false,
        }
    }

    /// The same with batch normalization by the statistics of each batch.
    pub fn with_batch_statistics(mut self) -> Self {
        self.batch_statistics = true;
        self
    }

    /// The same that keeps of a network no more than the values at its cuts, and computes what lies between again on the way
    /// back.
    pub fn with_recomputation(mut self) -> Self {
        self.cuts = Some(Vec::new());
        self
    }

    /// What batch normalizations saw, in order; none with running statistics.
    pub fn take_moments(&mut self) -> Vec<DeviceMoments> {
        std::mem::take(&mut self.moments)
    }

    /// The values of an activation, copied from the device.
    ///
    /// # Errors
    /// What the device refused first.
    pub fn receive(&mut self, x: &Traced) -> Result<kernels::Tensor, Error> {
        self.eval.receive(x.value.clone())
    }

    pub(super) fn wants(&self, layer: LayerId) -> bool {
        self.wanted[layer.index()]
    }

    /// A result, and the way back through its operation where a gradient flows.
    pub(super) fn record(
        &mut self,
        value: Value,
        flows: bool,
        step: impl FnOnce(&Tensor, &mut Back<'_>) -> candle_core::Result<()> + 'a,
    ) -> Traced {
        let node = (flows && value.is_some()).then(|| {
            self.steps.push(Box::new(step));
            self.steps.len() - 1
        });
        Traced { value, node }
    }
}

impl Ops for DeviceTape<'_> {
    type Value = Traced;

    fn workspace(&self) -> &Workspace {
        self.eval.workspace()
    }

    fn cut(&mut self, x: Traced) -> Traced {
        self.record_cut(x)
    }

    fn constant(&mut self, tensor: kernels::Tensor) -> Traced {
        Traced { value: self.eval.constant(tensor), node: None }
    }

    fn patches(&mut self, images: &Images, size: usize) -> Traced {
        Traced { value: self.eval.patches(images, size), node: None }
    }

    fn gather(&mut self, layer: LayerId, indices: &[u32], onto: Option<Traced>) -> Result<Traced, runtime::Error> {
        let (onto, node) = onto.map_or((None, None), |onto| (Some(onto.value), onto.node));
        let value = self.eval.gather(layer, indices, onto)?;
        let (wanted, task) = (self.wants(layer), self.eval.task);
        let (indices, shape) = (wanted.then(|| indices.to_vec()), self.eval.table(layer));
        Ok(self.record(value, wanted || node.is_some(), move |dy, back| {
            if let Some(indices) = indices {
                let rows = task.base().send_rows(&indices)?;
                back.give(layer, dy.zeros_of(shape)?.index_add(&rows, dy, 0)?, None);
            }
            back.flow(node, dy.clone())
        }))
    }

    fn gather_interpolated(
        &mut self,
        layer: LayerId,
        map: &Arc<Interpolation>,
        indices: &[u32],
        onto: Traced,
    ) -> Result<Traced, runtime::Error> {
        let node = onto.node;
        let value = self.eval.gather_interpolated(layer, map, indices, onto.value)?;
        let (wanted, task) = (self.wants(layer), self.eval.task);
        let matrix = if wanted { self.eval.interpolation(layer, map) } else { None };
        let (indices, rows) = (indices.to_vec(), map.rows());
        Ok(self.record(value, wanted || node.is_some(), move |dy, back| {
            if let Some(matrix) = matrix {
                let indices = task.base().send_rows(&indices)?;
                let rows = dy.zeros_of([rows, dy.dim(1)?])?.index_add(&indices, dy, 0)?;
                back.give(layer, matrix.whole()?.t()?.matmul(&rows)?, None);
            }
            back.flow(node, dy.clone())
        }))
    }

    fn prepend(&mut self, x: &Traced, layer: LayerId, segments: &Segments) -> Result<Traced, runtime::Error> {
        let value = self.eval.prepend(&x.value, layer, segments)?;
        let (wanted, node, task) = (self.wants(layer), x.node, self.eval.task);
        let segments = segments.clone();
        Ok(self.record(value, wanted || node.is_some(), move |dy, back| {
            // Before an example's rows there is one row for it and one for each before it.
            let first = segments.ranges().enumerate().map(|(number, range)| (range.start + number) as u32);
            let rest = segments
                .ranges()
                .enumerate()
                .flat_map(|(number, range)| range.map(move |row| (row + number + 1) as u32));
            if wanted {
                let first = task.base().send_rows(&first.collect::<Vec<_>>())?;
                back.give(layer, dy.index_select(&first, 0)?.sum(0)?, None);
            }
            let rest = task.base().send_rows(&rest.collect::<Vec<_>>())?;
            back.flow(node, dy.index_select(&rest, 0)?)
        }))
    }

    fn linear(&mut self, x: &Traced, layer: LayerId) -> Result<Traced, runtime::Error> {
        self.record_linear(x, layer)
    }

    fn conv(&mut self, x: &Traced, grid: Grid, layer: LayerId, window: Window) -> Result<Traced, runtime::Error> {
        self.record_conv(x, grid, layer, window)
    }

    fn batch_norm(
        &mut self,
        x: &Traced,
        norm: &BatchNorm,
        residual: Option<&Traced>,
    ) -> Result<Traced, runtime::Error> {
        self.record_batch_norm(x, norm, residual)
    }

    fn max_pool(&mut self, x: Traced, grid: Grid, window: Window) -> Traced {
        self.record_max_pool(x, grid, window)
    }

    fn average_pool(&mut self, x: Traced, grid: Grid, window: Window) -> Traced {
        self.record_average_pool(x, grid, window)
    }

    fn concat(&mut self, parts: &[&Traced]) -> Traced {
        let values: Vec<&Value> = parts.iter().map(|part| &part.value).collect();
        let value = self.eval.concat(&values);
        let parts: Vec<(Option<NodeId>, usize)> = parts.iter().map(|part| (part.node, part.cols())).collect();
        let flows = parts.iter().any(|(node, _)| node.is_some());
        self.record(value, flows, move |dy, back| {
            let mut first = 0;
            for (node, cols) in parts {
                back.flow(node, dy.narrow(1, first, cols)?.contiguous()?)?;
                first += cols;
            }
            Ok(())
        })
    }

    fn columns(&mut self, x: &Traced, range: Range<usize>) -> Traced {
        let all = x.cols();
        let value = self.eval.columns(&x.value, range.clone());
        let node = x.node;
        self.record(value, node.is_some(), move |dy, back| {
            back.flow(node, dy.pad_with_zeros(1, range.start, all - range.end)?)
        })
    }

    fn subsample_pad(&mut self, x: &Traced, grid: Grid, stride: usize, before: usize, after: usize) -> Traced {
        self.record_subsample_pad(x, grid, stride, [before, after])
    }

    fn layer_norm(&mut self, x: &Traced, layer: LayerId, eps: f32) -> Result<Traced, runtime::Error> {
        self.record_layer_norm(x, layer, eps)
    }

    fn gelu(&mut self, x: Traced) -> Traced {
        self.record_gelu(x)
    }

    fn tanh(&mut self, x: Traced) -> Traced {
        let value = self.eval.tanh(x.value);
        let y = value.clone();
        self.record(value, x.node.is_some(), move |dy, back| {
            let y = present(y)?;
            back.flow(x.node, (dy - (dy * y.sqr()?)?)?)
        })
    }

    fn add(&mut self, x: Traced, y: &Traced) -> Traced {
        let value = self.eval.add(x.value, &y.value);
        let (x, y) = (x.node, y.node);
        self.record(value, x.is_some() || y.is_some(), move |dy, back| {
            back.flow(x, dy.clone())?;
            back.flow(y, dy.clone())
        })
    }

    fn attention(&mut self, q: Traced, k: Traced, v: Traced, heads: Heads, segments: &Segments) -> Traced {
        self.record_attention([q, k, v], heads, segments)
    }

    fn mean_rows(&mut self, x: Traced, segments: &Segments, skip: usize) -> Traced {
        let rows = x.rows();
        let value = self.eval.mean_rows(x.value, segments, skip);
        let starts = self.eval.starts(segments, rows);
        self.record(value, x.node.is_some(), move |dy, back| {
            back.flow(x.node, device::mean_rows_grad(dy, &starts?, skip, rows)?)
        })
    }

    fn max_rows(&mut self, x: Traced, segments: &Segments) -> Traced {
        self.record_max_rows(x, segments)
    }

    fn rows_at(&mut self, x: &Traced, segments: &Segments, at: usize) -> Traced {
        let rows = x.rows();
        let value = self.eval.rows_at(&x.value, segments, at);
        let (numbers, node) = (self.eval.numbers_at(segments, at), x.node);
        self.record(value, node.is_some(), move |dy, back| {
            back.flow(node, dy.zeros_of([rows, dy.dim(1)?])?.index_add(&numbers?, dy, 0)?)
        })
    }
}

/// Zeros where and as this tensor is, in another shape.
pub(super) trait Zeros {
    fn zeros_of(&self, shape: [usize; 2]) -> candle_core::Result<Tensor>;
}

impl Zeros for Tensor {
    fn zeros_of(&self, shape: [usize; 2]) -> candle_core::Result<Tensor> {
        Tensor::zeros(&shape[..], self.dtype(), self.device())
    }
}
