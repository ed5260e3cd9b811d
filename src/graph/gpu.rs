//! One of candle's devices as a backend.

use std::cell::RefCell;
use std::convert::Infallible;

use candle_core::{DType, Tensor};

use super::backend::Tensors;
use super::device_error::DeviceError;
use super::error::Error;
use super::layout::{LayerId, Layout, Part};
use super::record::Saved;
use crate::gpu::{self, Memory};
use crate::kernels::{self, Segments, Workspace};

/// The tensors of each layer in a device's memory, where there are any.
pub type Slots = [[Option<Tensor>; Part::ALL.len()]];

/// Kernels of a device with the weights of one task, which are in its memory.
pub struct Gpu<'a> {
    pub(super) slots: &'a Slots,
    pub(super) layout: &'a Layout,
    pub(super) task: &'a str,
    pub(super) memory: &'a Memory,
    pub(super) workspace: &'a Workspace,
    /// Where the examples of the batch begin, once that is known.
    starts: RefCell<Option<(Segments, Tensor)>>,
}

/// Rows on the device, to which a bias may still have to be added: what reads them does both at once where it can.
#[derive(Clone)]
pub struct Rows {
    pub(crate) rows: Tensor,
    pub(crate) bias: Option<Tensor>,
}

impl Rows {
    /// The rows with their bias.
    pub(crate) fn whole(&self) -> candle_core::Result<Tensor> {
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

    /// Zeros where and as these rows are, in another shape.
    pub(super) fn zeros(&self, shape: [usize; 2]) -> candle_core::Result<Tensor> {
        Tensor::zeros(&shape[..], self.rows.dtype(), self.rows.device())
    }
}

impl Rows {
    /// Sum of the squares of all values.
    ///
    /// # Errors
    /// If the device fails.
    pub fn squared_norm(&self) -> Result<f32, DeviceError> {
        Ok(self.whole()?.to_dtype(DType::F32)?.sqr()?.sum_all()?.to_scalar()?)
    }
}

impl From<Tensor> for Rows {
    fn from(rows: Tensor) -> Self {
        Self { rows, bias: None }
    }
}

impl Saved<Gpu<'_>> {
    pub(super) fn value(&self) -> &Rows {
        match self {
            Saved::Value(value) => value,
            Saved::Recipe(recipe) => match *recipe {},
        }
    }
}

impl<'a> Gpu<'a> {
    /// Computes with the tensors in `slots`, those that the task called `task` has for the layers of `layout`; `workspace` is
    /// for what is made ready on the host.
    pub(crate) fn new(
        slots: &'a Slots,
        layout: &'a Layout,
        task: &'a str,
        memory: &'a Memory,
        workspace: &'a Workspace,
    ) -> Self {
        Self { slots, layout, task, memory, workspace, starts: RefCell::new(None) }
    }

    /// The memory that it computes in.
    #[cfg_attr(not(feature = "train"), allow(dead_code))]
    pub(crate) fn memory(&self) -> &'a Memory {
        self.memory
    }

    /// Losses of class scores against two labels of each example, and their gradient.
    #[cfg_attr(not(feature = "train"), allow(dead_code))]
    pub(crate) fn cross_entropy(
        &self,
        logits: &Rows,
        labels: &[u32],
        numbers: [f32; 3],
    ) -> candle_core::Result<[Tensor; 2]> {
        gpu::cross_entropy(&logits.whole()?, &self.memory.send_rows(labels)?, numbers)
    }

    pub(super) fn required(&self, layer: LayerId, part: Part) -> Result<Tensor, DeviceError> {
        let tensor = self.slots[layer.index()][part as usize].clone();
        tensor.ok_or_else(|| Error::NoHead { task: self.task.to_owned() }.into())
    }

    pub(super) fn weight(&self, layer: LayerId) -> Result<Tensor, DeviceError> {
        self.required(layer, Part::Weight)
    }

    pub(super) fn bias(&self, layer: LayerId) -> Option<Tensor> {
        self.slots[layer.index()][Part::Bias as usize].clone()
    }

    /// Entries and features of a table.
    pub(super) fn table(&self, layer: LayerId) -> [usize; 2] {
        let param = &self.layout.layer(layer).weight;
        let features = param.shape.last().copied().unwrap_or(1);
        [param.elements() / features.max(1), features]
    }

    /// The first row of each example, and the end of the last: `[examples + 1]`.
    pub(super) fn starts(&self, segments: &Segments, rows: usize) -> Result<Tensor, DeviceError> {
        if rows != segments.rows() {
            let message = format!("{rows} rows of examples that have {}", segments.rows());
            return Err(Error::Input { message }.into());
        }
        if let Some((_, starts)) = self.starts.borrow().as_ref().filter(|(of, _)| of == segments) {
            return Ok(starts.clone());
        }
        let starts: Vec<u32> =
            segments.ranges().map(|range| range.start as u32).chain([segments.rows() as u32]).collect();
        let starts = self.memory.send_rows(&starts)?;
        *self.starts.borrow_mut() = Some((segments.clone(), starts.clone()));
        Ok(starts)
    }
}

impl Tensors for Gpu<'_> {
    type Tensor = Rows;
    type Recipe = Infallible;
    type Error = DeviceError;

    fn layout(&self) -> &Layout {
        self.layout
    }

    fn workspace(&self) -> &Workspace {
        self.workspace
    }

    fn has_bias(&self, layer: LayerId) -> bool {
        self.bias(layer).is_some()
    }

    fn dims(rows: &Rows) -> [usize; 2] {
        assert_eq!(rows.rows.rank(), 2, "an activation is [rows, cols]");
        [rows.rows.dims()[0], rows.rows.dims()[1]]
    }

    fn send(&self, values: kernels::Tensor) -> Result<Rows, DeviceError> {
        Ok(self.memory.send(&values, &[values.rows(), values.cols()])?.into())
    }

    fn copy(&self, tensor: &Rows) -> Result<Rows, DeviceError> {
        Ok(tensor.clone())
    }

    fn sum(&self, a: Rows, b: Rows) -> Result<Rows, DeviceError> {
        Ok((a.rows + b.rows)?.into())
    }

    fn column_sums(&self, dy: &Rows) -> Result<Rows, DeviceError> {
        Ok(gpu::column_sums(&dy.rows)?.into())
    }
}
