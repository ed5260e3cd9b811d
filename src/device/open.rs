//! A device of the machine, opened.

use candle_core::{DType, Device, Tensor};

use super::Error;
use crate::kernels;
use crate::runtime::Processor;

/// Opens what is named; the CPU is candle's.
///
/// # Errors
/// [`Error::NotBuilt`] if this program was built without it, [`Error::Absent`] if this machine has none.
pub fn open(processor: Processor) -> Result<Device, Error> {
    match processor {
        Processor::Cpu => Ok(Device::Cpu),
        #[cfg(feature = "cuda")]
        Processor::Cuda => super::cuda::open().map_err(|error| absent(processor, &error)),
        #[cfg(not(feature = "cuda"))]
        Processor::Cuda => Err(Error::NotBuilt { name: processor.name() }),
        #[cfg(feature = "metal")]
        Processor::Metal => Device::new_metal(0).map_err(|error| absent(processor, &error)),
        #[cfg(not(feature = "metal"))]
        Processor::Metal => Err(Error::NotBuilt { name: processor.name() }),
        Processor::Auto => Ok(open(Processor::Cuda).or_else(|_| open(Processor::Metal)).unwrap_or(Device::Cpu)),
    }
}

#[cfg(any(feature = "cuda", feature = "metal"))]
fn absent(processor: Processor, error: &candle_core::Error) -> Error {
    let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
    Error::Absent { name: processor.name(), reason }
}

/// The values of a tensor, copied from its device: `[first dimension, rest]`, one of a single dimension as one row.
///
/// # Errors
/// If the device fails.
pub fn fetch(tensor: &Tensor) -> Result<kernels::Tensor, Error> {
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
