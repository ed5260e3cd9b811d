//! The base in a device's memory.

use candle_core::{DType, Tensor};

use super::{Device, Error};
use crate::base::Base;
use crate::format::Entry;
use crate::gpu::{self, Memory};
use crate::runtime::{Arithmetic, Layout, Param, Part};

/// The tensors of a base that a network uses, in the memory of a device, uploaded once and shared by all tasks.
pub struct DeviceBase {
    device: Device,
    memory: Memory,
    /// For each layer of the network its tensors, where the base has them.
    layers: Vec<[Option<Tensor>; Part::ALL.len()]>,
    bytes: usize,
    #[cfg(feature = "metal")]
    shared: Option<super::metal::Shared>,
}

impl DeviceBase {
    /// Uploads what the layers of `layout` use, straight from the mapping, or makes the mapping the device's own where they
    /// share memory.
    ///
    /// # Errors
    /// If the device refuses a tensor, as when its memory is full.
    pub fn upload(base: &Base, layout: &Layout, device: &Device) -> Result<Self, Error> {
        Self::upload_as(base, layout, device, Arithmetic::F32)
    }

    /// The same, computed with in other numbers: base, tasks and activations take half the memory in 16 bits. Norms and
    /// softmax are computed in f32 all the same.
    ///
    /// # Errors
    /// As [`DeviceBase::upload`].
    pub fn upload_as(base: &Base, layout: &Layout, device: &Device, arithmetic: Arithmetic) -> Result<Self, Error> {
        let dtype = match arithmetic {
            Arithmetic::F32 => DType::F32,
            Arithmetic::Bf16 => DType::BF16,
            Arithmetic::F16 => DType::F16,
        };
        let mut this = Self {
            device: device.clone(),
            memory: Memory::new(device.0.clone(), dtype),
            layers: Vec::new(),
            bytes: 0,
            #[cfg(feature = "metal")]
            shared: match &device.0 {
                candle_core::Device::Metal(device) => super::metal::Shared::new(base, device),
                _ => None,
            },
        };
        for (_, layer) in layout.layers() {
            let mut tensors = [const { None }; Part::ALL.len()];
            for (slot, part) in tensors.iter_mut().zip(Part::ALL) {
                *slot = layer.param(part).map(|param| this.tensor(base, param)).transpose()?.flatten();
                this.bytes += slot.as_ref().map_or(0, bytes);
            }
            this.layers.push(tensors);
        }
        this.memory.wait()?;
        Ok(this)
    }

    /// A tensor of the base in the numbers that are computed in, which it is brought to on the device.
    fn tensor(&self, base: &Base, param: &Param) -> Result<Option<Tensor>, Error> {
        let Some(id) = param.tensor else { return Ok(None) };
        let view = base.tensor(id);
        #[cfg(feature = "metal")]
        if let Some(tensor) = self.shared.as_ref().map(|shared| shared.tensor(&view)).transpose()?.flatten() {
            return Ok(Some(tensor.to_dtype(self.memory.dtype)?));
        }
        Ok(Some(self.memory.send_view(&view)?))
    }

    /// The sum of a weight of the base and a delta that has passed its check, which is uploaded as the adapter holds it; none
    /// where there is no kernel for its encoding.
    pub(super) fn merged(&self, weight: &Tensor, delta: &Entry<'_>) -> candle_core::Result<Option<Tensor>> {
        let merged = gpu::merge(weight, delta)?;
        self.memory.count(merged.as_ref().map_or(0, |_| delta.payload.len()));
        Ok(merged)
    }

    /// The tensors of each layer.
    pub(super) fn layers(&self) -> &[[Option<Tensor>; Part::ALL.len()]] {
        &self.layers
    }

    /// The memory that it is in.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes that the base takes on the device.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that have been copied to the device so far: the base, tasks and inputs.
    pub fn uploaded(&self) -> usize {
        self.memory.uploaded()
    }
}

/// Bytes of a tensor.
pub(super) fn bytes(tensor: &Tensor) -> usize {
    tensor.elem_count() * tensor.dtype().size_in_bytes()
}
