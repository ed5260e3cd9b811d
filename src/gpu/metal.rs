//! Kernels on Apple's GPUs, compiled by Metal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::op::BackpropOp;
use candle_core::{DType, Error, Layout, MetalDevice, MetalStorage, Result, Shape, Storage, Tensor};
use candle_metal_kernels::metal::{Buffer, ComputeCommandEncoder, ComputePipeline, Library};
use objc2_metal::{MTLCompileOptions, MTLSize};

use super::COMMON;
use super::launch::Launch;

/// What has been compiled of one file for one device.
struct Compiled {
    library: Library,
    pipelines: BTreeMap<String, ComputePipeline>,
}

/// By the number of the device in the registry of the system, and the name of the file.
static COMPILED: Mutex<BTreeMap<(u64, &str), Compiled>> = Mutex::new(BTreeMap::new());

/// A kernel that is ready to run.
fn pipeline(device: &MetalDevice, launch: &Launch<'_>) -> Result<ComputePipeline> {
    let entry = launch.entry();
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let id = (device.metal_device().registry_id(), launch.source.name);
    if !compiled.contains_key(&id) {
        let source = [include_str!("prelude.metal"), COMMON, launch.source.text].concat();
        let options = MTLCompileOptions::new();
        // Otherwise what is no number may pass for one. The newer setting is not there on older systems.
        #[allow(deprecated)]
        options.setFastMathEnabled(false);
        let library = device.metal_device().new_library_with_source(&source, Some(&options)).map_err(Error::wrap)?;
        compiled.insert(id, Compiled { library, pipelines: BTreeMap::new() });
    }
    let Some(Compiled { library, pipelines }) = compiled.get_mut(&id) else {
        return Err(Error::Msg("kernels are not there".to_owned()));
    };
    if let Some(pipeline) = pipelines.get(&entry) {
        return Ok(pipeline.clone());
    }
    let function = library.get_function(&entry, None).map_err(Error::wrap)?;
    let pipeline = device.metal_device().new_compute_pipeline_state_with_function(&function).map_err(Error::wrap)?;
    pipelines.insert(entry, pipeline.clone());
    Ok(pipeline)
}

/// What a kernel makes of `inputs`, all on `device`.
pub(super) fn run(
    device: &MetalDevice,
    launch: &Launch<'_>,
    inputs: &[Tensor],
    shape: Shape,
    dtype: DType,
) -> Result<Tensor> {
    let count = shape.elem_count();
    let out = device.new_buffer(count, dtype, launch.name)?;
    let guards: Vec<_> = inputs.iter().map(Tensor::storage_and_layout).collect();
    let places = guards.iter().map(|(storage, layout)| match &**storage {
        Storage::Metal(storage) => Ok(place(storage, layout)),
        _ => Err(Error::Msg(format!("{}: a tensor is on another device", launch.name))),
    });
    dispatch(device, launch, &places.collect::<Result<Vec<_>>>()?, (&out, 0))?;
    let storage = MetalStorage::new(Arc::clone(&out), device.clone(), count, dtype);
    Ok(Tensor::from_storage(Storage::Metal(storage), shape, BackpropOp::none(), false))
}

/// Lets a kernel change a tensor, from two others.
pub(super) fn update(
    launch: &Launch<'_>,
    inputs: [(&MetalStorage, &Layout); 2],
    (updated, layout): (&mut MetalStorage, &Layout),
) -> Result<()> {
    use candle_core::backend::BackendStorage;
    let device = updated.device().clone();
    let inputs = inputs.map(|(storage, layout)| place(storage, layout));
    dispatch(&device, launch, &inputs, place(updated, layout))
}

fn dispatch(
    device: &MetalDevice,
    launch: &Launch<'_>,
    inputs: &[(&Buffer, usize)],
    out: (&Buffer, usize),
) -> Result<()> {
    let pipeline = pipeline(device, launch)?;
    let commands = device.command_encoder()?;
    let encoder: &ComputeCommandEncoder = commands.as_ref();
    encoder.set_compute_pipeline_state(&pipeline);
    for (at, &(buffer, offset)) in inputs.iter().enumerate() {
        encoder.set_input_buffer(at, Some(buffer), offset);
    }
    encoder.set_output_buffer(inputs.len(), Some(out.0), out.1);
    encoder.set_bytes(inputs.len() + 1, &launch.settings);
    let size = |width| MTLSize { width, height: 1, depth: 1 };
    encoder.dispatch_thread_groups(size(launch.threads.groups), size(launch.threads.lanes));
    Ok(())
}

/// The buffer of a contiguous tensor, and the byte at which it begins.
fn place<'a>(storage: &'a MetalStorage, layout: &Layout) -> (&'a Buffer, usize) {
    use candle_core::backend::BackendStorage;
    (storage.buffer(), layout.start_offset() * storage.dtype().size_in_bytes())
}
