//! A task's weights as candle tensors: the way to candle's models and to its devices.

use candle_core::{Device, Tensor};

use super::{Part, Task, WeightRef, Weights};
use crate::gpu;
use crate::kernels::Workspace;

impl Task {
    /// The tensor called `name` as this task sees it, on one of candle's devices: a base tensor in the
    /// base's dtype straight from the mapping, a layer of the task's own as f32. `None` where the
    /// network has no such tensor, or the task no such head.
    ///
    /// candle's CPU tensors own their memory: on [`Device::Cpu`] this copies. What the crate computes
    /// itself on the CPU never goes through here.
    ///
    /// # Errors
    /// If the device refuses the tensor.
    pub fn candle_tensor(&self, name: &str, device: &Device) -> candle_core::Result<Option<Tensor>> {
        let Some((id, part)) = self.layout().find(name) else { return Ok(None) };
        match self.param(id, part) {
            None => Ok(None),
            Some(weight @ (WeightRef::Merged(_) | WeightRef::Sum(..) | WeightRef::Absent(_))) => {
                let values = &*weight.floats(&Workspace::new(1));
                let shape = self.layout().layer(id).param(part).map(|param| param.shape.clone()).unwrap_or_default();
                let rest: usize = shape.iter().skip(1).product();
                // The first dimension of a head is the task's own.
                let first = values.len() / rest.max(1);
                let shape: Vec<usize> =
                    shape.iter().enumerate().map(|(at, &size)| if at == 0 { first } else { size }).collect();
                Tensor::from_slice(values, shape, device).map(Some)
            }
            Some(WeightRef::Base(view)) => gpu::stored(&view, device).map(Some),
        }
    }

    /// All tensors of the network as this task sees them, by name: what candle's `VarBuilder::from_tensors`
    /// takes.
    ///
    /// # Errors
    /// As [`Task::candle_tensor`].
    pub fn candle_tensors(&self, device: &Device) -> candle_core::Result<std::collections::HashMap<String, Tensor>> {
        let mut tensors = std::collections::HashMap::new();
        for (_, layer) in self.layout().layers() {
            for param in Part::ALL.into_iter().filter_map(|part| layer.param(part)) {
                if let Some(tensor) = self.candle_tensor(&param.name, device)? {
                    tensors.insert(param.name.clone(), tensor);
                }
            }
        }
        Ok(tensors)
    }
}
