//! NVIDIA's GPUs, opened.

use candle_core::backend::BackendDevice;
use candle_core::cuda_backend::cudarc::driver::{result, sys};
use candle_core::cuda_backend::{CudaDevice, WrapErr};
use candle_core::{Device, Result};

/// The first GPU. Each thread that uses it has a queue of its own there.
pub(super) fn open() -> Result<Device> {
    let device = CudaDevice::new(0)?;
    let pool = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // Memory that was freed is used again; by default it would go back to the system each time the device is waited for.
    let mut kept = u64::MAX;
    // SAFETY: the device is one that the driver has given, whose pool is there as long as it is; the attribute is of 64 bits
    // and is read before the call returns.
    unsafe {
        let of = result::device::get_default_mem_pool(device.cuda_stream().context().cu_device());
        of.and_then(|of| result::mem_pool::set_attribute(of, pool, (&raw mut kept).cast())).w()?;
    }
    // SAFETY: events would only be waited for between streams that were made for this context, of which there are none. What
    // one thread has uploaded for others is waited for before it returns, and they keep it until they have results.
    unsafe { device.disable_event_tracking() };
    Ok(Device::Cuda(device))
}
