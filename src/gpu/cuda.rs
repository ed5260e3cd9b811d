//! Kernels on NVIDIA's GPUs, compiled by NVRTC.

use candle_core::cuda_backend::cudarc::driver::{CudaView, DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::cudarc::nvrtc::compile_ptx;
use candle_core::cuda_backend::{CudaDType, CudaDevice, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, DType, Error, Layout, Result, Shape, Storage, Tensor};
use half::{bf16, f16};

use super::COMMON;
use super::launch::{Launch, Settings, Source};

// SAFETY: plain numbers without padding, laid out as C does it, and as the kernels have it.
unsafe impl DeviceRepr for Settings {}

/// A file of kernels as the driver reads it.
pub(super) fn ptx(source: &'static Source) -> Result<&'static str> {
    let compiled = source.ptx.get_or_init(|| {
        let text = [include_str!("prelude.cu"), COMMON, source.text].concat();
        compile_ptx(text).map(|ptx| ptx.to_src()).map_err(|error| format!("{} does not compile: {error}", source.name))
    });
    compiled.as_deref().map_err(|error| Error::Msg(error.clone()))
}

/// What the compiled file is called among the modules of a device.
fn module(source: &Source) -> String {
    format!("taps_{}", source.name)
}

/// What a kernel makes of `inputs`, all on `device`.
pub(super) fn run(
    device: &CudaDevice,
    launch: &Launch<'_>,
    inputs: &[Tensor],
    shape: Shape,
    dtype: DType,
) -> Result<Tensor> {
    let storage = match dtype {
        DType::F32 => made::<f32>(device, launch, inputs, shape.elem_count()),
        DType::F16 => made::<f16>(device, launch, inputs, shape.elem_count()),
        DType::BF16 => made::<bf16>(device, launch, inputs, shape.elem_count()),
        other => Err(Error::Msg(format!("{}: no kernel gives {}", launch.entry(), other.as_str()))),
    }?;
    Ok(Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false))
}

fn made<T: CudaDType + DeviceRepr>(
    device: &CudaDevice,
    launch: &Launch<'_>,
    inputs: &[Tensor],
    count: usize,
) -> Result<CudaStorage> {
    let (entry, module) = (launch.entry(), module(launch.source));
    let function = device.get_or_load_custom_func(&entry, &module, ptx(launch.source)?)?;
    // SAFETY: every kernel writes all elements of its result.
    let mut out = unsafe { device.alloc::<T>(count) }?;
    let guards: Vec<_> = inputs.iter().map(Tensor::storage_and_layout).collect();
    let views = guards.iter().map(|(storage, layout)| match &**storage {
        Storage::Cuda(storage) => view(storage, layout),
        _ => Err(Error::Msg(format!("{}: a tensor is on another device", launch.name))),
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let mut builder = function.builder();
    views.iter().for_each(|view| _ = builder.arg(view));
    builder.arg(&mut out).arg(&launch.settings);
    // SAFETY: the entry point takes the inputs, the result and the settings in this order, each of the kind that its name
    // says; whoever launches it has checked that these are of the lengths that `launch` states, within which threads stay.
    unsafe { builder.launch(config(launch)) }.w()?;
    Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
}

/// Lets a kernel change a tensor of f32, from two others of f32.
pub(super) fn update(
    launch: &Launch<'_>,
    inputs: [(&CudaStorage, &Layout); 2],
    (updated, layout): (&mut CudaStorage, &Layout),
) -> Result<()> {
    let device = updated.device.clone();
    let (entry, module) = (launch.entry(), module(launch.source));
    let function = device.get_or_load_custom_func(&entry, &module, ptx(launch.source)?)?;
    let [first, second] = inputs.map(|(storage, layout)| view(storage, layout));
    let (first, second) = (first?, second?);
    let range = range(layout);
    let mut updated = updated.as_cuda_slice_mut::<f32>()?.slice_mut(range);
    let mut builder = function.builder();
    builder.arg(&first).arg(&second).arg(&mut updated).arg(&launch.settings);
    // SAFETY: as in `made`, with the updated tensor in the place of the result.
    unsafe { builder.launch(config(launch)) }.w()?;
    Ok(())
}

fn config(launch: &Launch<'_>) -> LaunchConfig {
    let grid_dim = (launch.threads.groups as u32, 1, 1);
    LaunchConfig { grid_dim, block_dim: (launch.threads.lanes as u32, 1, 1), shared_mem_bytes: 0 }
}

/// Where a contiguous tensor begins and ends in its storage.
fn range(layout: &Layout) -> std::ops::Range<usize> {
    layout.start_offset()..layout.start_offset() + layout.shape().elem_count()
}

/// A contiguous tensor, as bytes.
fn view<'a>(storage: &'a CudaStorage, layout: &Layout) -> Result<CudaView<'a, u8>> {
    fn bytes<'a, T: CudaDType + DeviceRepr + 'a>(
        storage: &'a CudaStorage,
        layout: &Layout,
    ) -> Result<CudaView<'a, u8>> {
        let (slice, range) = (storage.as_cuda_slice::<T>()?, range(layout));
        let length = range.len() * size_of::<T>();
        // SAFETY: a view of bytes is read by none but the kernel, which knows what they are.
        let view = unsafe { slice.slice(range).transmute(length) };
        view.ok_or_else(|| Error::Msg("a tensor ends before its elements".to_owned()))
    }
    use candle_core::backend::BackendStorage;
    match storage.dtype() {
        DType::F32 => bytes::<f32>(storage, layout),
        DType::F16 => bytes::<f16>(storage, layout),
        DType::BF16 => bytes::<bf16>(storage, layout),
        DType::U32 => bytes::<u32>(storage, layout),
        DType::U8 => bytes::<u8>(storage, layout),
        other => Err(Error::Msg(format!("no kernel takes {}", other.as_str()))),
    }
}
