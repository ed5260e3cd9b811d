//! The mapping of a base as buffers of Apple's GPU, without a copy: memory is shared by both, and holds the base once, as
//! the page cache does.

use std::ptr::NonNull;
use std::sync::Arc;

use block2::RcBlock;
use candle_core::op::BackpropOp;
use candle_core::{MetalDevice, MetalStorage, Storage, Tensor};
use candle_metal_kernels::RESOURCE_OPTIONS;
use candle_metal_kernels::metal::Buffer;
use objc2_metal::MTLDevice as _;

use crate::base::{Base, TensorView};
use crate::gpu;

/// What the start and the length of a buffer over foreign memory are multiples of: a page.
const PAGE: usize = if cfg!(target_arch = "aarch64") { 16 << 10 } else { 4 << 10 };

/// The files of a base as buffers of the GPU, each kept resident.
pub(super) struct Shared {
    device: MetalDevice,
    /// Where the bytes of a file begin, how many there are, and the buffer over them.
    files: Vec<(usize, usize, Arc<Buffer>)>,
}

impl Shared {
    /// Makes one buffer over each file of the base; none where the device refuses one.
    pub(super) fn new(base: &Base, device: &MetalDevice) -> Option<Self> {
        let buffer = |bytes: &[u8]| Some((bytes.as_ptr() as usize, bytes.len(), Arc::new(over(base, bytes, device)?)));
        let files = base.files().filter(|bytes| !bytes.is_empty()).map(buffer).collect::<Option<Vec<_>>>()?;
        device.register_buffers(files.iter().map(|(_, _, buffer)| &**buffer));
        Some(Self { device: device.clone(), files })
    }

    /// A tensor in its place; none where it does not lie on a multiple of the size of its elements.
    pub(super) fn tensor(&self, view: &TensorView<'_>) -> candle_core::Result<Option<Tensor>> {
        let dtype = gpu::dtype(view.dtype);
        let (size, start) = (dtype.size_in_bytes(), view.bytes.as_ptr() as usize);
        let file = self.files.iter().find(|(first, length, _)| (*first..first + length).contains(&start));
        let Some((first, length, buffer)) = file.filter(|(first, ..)| (start - first).is_multiple_of(size)) else {
            return Ok(None);
        };
        let count = length / size;
        let storage = MetalStorage::new(buffer.clone(), self.device.clone(), count, dtype);
        let flat = Tensor::from_storage(Storage::Metal(storage), count, BackpropOp::none(), false);
        flat.narrow(0, (start - first) / size, view.elements())?.reshape(view.shape).map(Some)
    }
}

impl Drop for Shared {
    /// Lets go of the mapping, which the device would keep resident.
    fn drop(&mut self) {
        // What fails here has failed before, where its result was waited for.
        let _ = self.device.wait_until_completed();
        self.device.unregister_buffers(self.files.iter().map(|(_, _, buffer)| &**buffer));
    }
}

/// A buffer over bytes of the mapping, which it keeps.
fn over(base: &Base, bytes: &[u8], device: &MetalDevice) -> Option<Buffer> {
    let pointer = NonNull::from(bytes).cast();
    if !(bytes.as_ptr() as usize).is_multiple_of(PAGE) {
        return None;
    }
    let keep = base.clone();
    let deallocator = RcBlock::new(move |_: NonNull<std::ffi::c_void>, _: usize| _ = &keep);
    // SAFETY: the bytes are a whole mapping, which begins on a page and whose last page is mapped to its end. The block
    // owns the base and with it the mapping, which so outlives the buffer, and may be called and dropped by any thread, since
    // a base is `Send` and `Sync`. The device only reads: tensors over the buffer are never computed in place.
    let buffer = unsafe {
        device.metal_device().as_ref().newBufferWithBytesNoCopy_length_options_deallocator(
            pointer,
            bytes.len().next_multiple_of(PAGE),
            RESOURCE_OPTIONS,
            Some(&deallocator),
        )
    };
    buffer.map(Buffer::new)
}
