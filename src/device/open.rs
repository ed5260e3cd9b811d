//! A device of the machine, opened.

use candle_core::{DType, Device as Raw};

use super::Error;
use crate::graph::Rows;
use crate::kernels;
use crate::runtime::Processor;

/// A device to compute on. What this module does there waits wherever another thread could come too early, so that candle's
/// own tracking of who uses what can be off; a tensor of one's own on such a device would not be safe, and there is no way to
/// one.
#[derive(Clone, Debug)]
pub struct Device(pub(super) Raw);

impl Device {
    /// Whether it is the CPU.
    pub fn is_cpu(&self) -> bool {
        self.0.is_cpu()
    }

    /// Whether it is one of NVIDIA's GPUs.
    pub fn is_cuda(&self) -> bool {
        self.0.is_cuda()
    }

    /// Whether it is one of Apple's GPUs.
    pub fn is_metal(&self) -> bool {
        self.0.is_metal()
    }
}

/// A device that candle has opened, with its tracking on.
impl From<Raw> for Device {
    fn from(device: Raw) -> Self {
        Self(device)
    }
}

/// Opens what is named; the CPU is candle's.
///
/// # Errors
/// [`Error::NotBuilt`] if this program was built without it, [`Error::Absent`] if this machine has none.
pub fn open(processor: Processor) -> Result<Device, Error> {
    match processor {
        Processor::Cpu => Ok(Device(Raw::Cpu)),
        #[cfg(feature = "cuda")]
        Processor::Cuda => super::cuda::open().map(Device).map_err(|error| absent(processor, &error)),
        #[cfg(not(feature = "cuda"))]
        Processor::Cuda => Err(Error::NotBuilt { name: processor.name() }),
        #[cfg(feature = "metal")]
        Processor::Metal => Raw::new_metal(0).map(Device).map_err(|error| absent(processor, &error)),
        #[cfg(not(feature = "metal"))]
        Processor::Metal => Err(Error::NotBuilt { name: processor.name() }),
        Processor::Auto => Ok(open(Processor::Cuda).or_else(|_| open(Processor::Metal)).unwrap_or(Device(Raw::Cpu))),
    }
}

#[cfg(any(feature = "cuda", feature = "metal"))]
fn absent(processor: Processor, error: &candle_core::Error) -> Error {
    let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
    Error::Absent { name: processor.name(), reason }
}

/// Values copied from their device: `[first dimension, rest]`, those of a single dimension as one row.
///
/// # Errors
/// If the device fails.
pub fn fetch(rows: &Rows) -> Result<kernels::Tensor, Error> {
    let tensor = &rows.whole()?;
    let rows = if tensor.rank() > 1 { tensor.dim(0)? } else { 1 };
    let cols = tensor.elem_count() / rows.max(1);
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    Ok(kernels::Tensor::from_vec(values, rows, cols))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_said() {
        assert!(open(Processor::Auto).is_ok() && open(Processor::Cpu).unwrap().is_cpu());
        for (processor, is_built) in
            [(Processor::Cuda, cfg!(feature = "cuda")), (Processor::Metal, cfg!(feature = "metal"))]
        {
            match open(processor) {
                Ok(device) => assert!(is_built && !device.is_cpu()),
                Err(Error::NotBuilt { name }) => assert!(!is_built && name == processor.name()),
                Err(error) => assert!(is_built && error.to_string().contains("no device"), "{error}"),
            }
        }
    }
}
