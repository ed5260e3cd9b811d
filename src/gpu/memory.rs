//! The memory of a device: what goes there, and how much of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Result, Tensor};

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

    /// Uploads little-endian values of a dtype, and brings them to the one that is computed with there.
    pub(crate) fn send_bytes(&self, bytes: &[u8], dtype: DType, shape: &[usize]) -> Result<Tensor> {
        self.count(bytes.len());
        Tensor::from_raw_buffer(bytes, dtype, shape, &self.device)?.to_dtype(self.dtype)
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
