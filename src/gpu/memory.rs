//! The memory of a device: what goes there, and how much of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Result, Tensor};

use crate::base::{Dtype, TensorView};

/// The dtype of candle that a weight of the base has.
pub(crate) fn dtype(dtype: Dtype) -> DType {
    match dtype {
        Dtype::F16 => DType::F16,
        Dtype::Bf16 => DType::BF16,
        _ => DType::F32,
    }
}

/// A tensor of the base on a device, in the dtype that it has in its file.
pub(crate) fn stored(view: &TensorView<'_>, device: &Device) -> Result<Tensor> {
    Tensor::from_raw_buffer(view.bytes, dtype(view.dtype), view.shape, device)
}

/// A device that is computed on, the dtype that is computed with, and what has been brought there.
pub(crate) struct Memory {
    pub(crate) device: Device,
    pub(crate) dtype: DType,
    /// Bytes that have gone to the device.
    uploaded: AtomicUsize,
}

impl Memory {
    /// The memory of a device to which nothing has gone.
    pub(crate) fn new(device: Device, dtype: DType) -> Self {
        Self { device, dtype, uploaded: AtomicUsize::new(0) }
    }

    /// Waits until what was uploaded is there, for whichever thread uses it.
    pub(crate) fn wait(&self) -> Result<()> {
        self.device.synchronize()
    }

    /// Uploads values, to compute with.
    pub(crate) fn send(&self, values: &[f32], shape: &[usize]) -> Result<Tensor> {
        self.send_floats(values, shape)?.to_dtype(self.dtype)
    }

    /// Uploads values as f32.
    pub(crate) fn send_floats(&self, values: &[f32], shape: &[usize]) -> Result<Tensor> {
        self.count(size_of_val(values));
        Tensor::from_slice(values, shape, &self.device)
    }

    /// Uploads numbers of rows.
    pub(crate) fn send_rows(&self, rows: &[u32]) -> Result<Tensor> {
        self.count(size_of_val(rows));
        Tensor::from_slice(rows, rows.len(), &self.device)
    }

    /// Uploads a tensor of the base straight from the mapping, and brings it to the dtype that is computed with there.
    pub(crate) fn send_view(&self, view: &TensorView<'_>) -> Result<Tensor> {
        self.count(view.bytes.len());
        stored(view, &self.device)?.to_dtype(self.dtype)
    }

    /// Counts bytes that go to the device in another way.
    pub(crate) fn count(&self, bytes: usize) {
        self.uploaded.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that have gone to the device so far.
    pub(crate) fn uploaded(&self) -> usize {
        self.uploaded.load(Ordering::Relaxed)
    }
}
