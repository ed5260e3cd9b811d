//! One launch of a kernel, on whichever device its tensors are.

use candle_core::{DType, Device, InplaceOp3, Result, Shape, Storage, Tensor};

/// The most threads of a group, `MOST_LANES` of the kernels.
const MOST_LANES: usize = 256;
/// Elements for each thread of a kernel that goes through elements, `EACH` of the kernels.
const EACH: usize = 4;

/// A file of kernels, which is compiled when one of them is first launched.
pub(super) struct Source {
    pub(super) name: &'static str,
    #[cfg_attr(not(any(test, feature = "cuda", feature = "metal")), expect(dead_code))]
    pub(super) text: &'static str,
    /// As NVIDIA's driver reads it.
    #[cfg(feature = "cuda")]
    pub(super) ptx: std::sync::OnceLock<std::result::Result<String, String>>,
}

impl Source {
    pub(super) const fn new(name: &'static str, text: &'static str) -> Self {
        Self {
            name,
            text,
            #[cfg(feature = "cuda")]
            ptx: std::sync::OnceLock::new(),
        }
    }
}

/// What a launch states besides its tensors, as the kernels have it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Settings {
    pub(super) counts: [u32; 12],
    pub(super) numbers: [f32; 8],
}

impl Settings {
    /// The first of both; the rest are 0.
    ///
    /// # Errors
    /// If a count is more than the kernels can count to.
    pub(super) fn new<const C: usize, const N: usize>(counts: [usize; C], numbers: [f32; N]) -> Result<Self> {
        let mut this = Self::default();
        for (to, count) in this.counts.iter_mut().zip(counts) {
            *to = u32::try_from(count)
                .map_err(|_| candle_core::Error::Msg(format!("{count} are more than a kernel can count to")))?;
        }
        this.numbers.iter_mut().zip(numbers).for_each(|(to, number)| *to = number);
        Ok(this)
    }
}

/// Refuses tensors of other numbers of values than a kernel goes through, so that none reads or writes beside them.
pub(super) fn check<const N: usize>(name: &str, lengths: [(&Tensor, usize); N]) -> Result<()> {
    for (tensor, expected) in lengths {
        let found = tensor.elem_count();
        if found != expected {
            return Err(candle_core::Error::Msg(format!("{name}: {found} values in place of {expected}")));
        }
    }
    Ok(())
}

/// The most values of a tensor that kernels can count through.
const MOST: usize = i32::MAX as usize;

/// How many threads there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Threads {
    pub(super) groups: usize,
    /// Threads of a group, a power of two. The processor has none.
    #[cfg_attr(not(any(test, feature = "cuda", feature = "metal")), expect(dead_code))]
    pub(super) lanes: usize,
}

impl Threads {
    /// A group for each of `rows` of `cols` elements.
    pub(super) fn of_rows(rows: usize, cols: usize) -> Self {
        Self { groups: rows, lanes: cols.div_ceil(EACH).next_power_of_two().clamp(32, MOST_LANES) }
    }

    /// As many as go through `elements`.
    pub(super) fn of_elements(elements: usize) -> Self {
        Self { groups: elements.div_ceil(MOST_LANES * EACH), lanes: MOST_LANES }
    }

    /// As many groups of most threads.
    pub(super) fn of_groups(groups: usize) -> Self {
        Self { groups, lanes: MOST_LANES }
    }
}

/// A kernel and what it is launched with.
pub(super) struct Launch<'a> {
    /// Where it stands.
    pub(super) source: &'static Source,
    /// Its entry point, without the kind of numbers.
    pub(super) name: &'static str,
    /// The kind of numbers that the entry point is for, where there is one for each.
    pub(super) number: Option<DType>,
    pub(super) threads: Threads,
    pub(super) settings: Settings,
    /// The same on the processor: what comes of the values of the tensors, the last of which is what is updated where
    /// a tensor is.
    pub(super) host: &'a dyn Fn(&[Vec<f32>]) -> Vec<f32>,
}

impl Launch<'_> {
    /// The entry point of the kernel.
    pub(super) fn entry(&self) -> String {
        match self.number {
            Some(number) => format!("{}_{}", self.name, number.as_str()),
            None => self.name.to_owned(),
        }
    }

    /// Kernels count in 32 bits.
    fn check_counts(&self, mut counts: impl Iterator<Item = usize>) -> Result<()> {
        match counts.find(|&count| count > MOST) {
            None => Ok(()),
            Some(count) => {
                Err(candle_core::Error::Msg(format!("{}: a tensor of {count} values, of up to {MOST}", self.name)))
            }
        }
    }

    /// What the kernel makes of `inputs`: a tensor of this shape and kind.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn run(&self, inputs: &[&Tensor], shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        let shape = shape.into();
        let inputs = inputs.iter().map(|input| input.contiguous()).collect::<Result<Vec<_>>>()?;
        let device = inputs.first().map_or(&Device::Cpu, Tensor::device);
        self.check_counts(inputs.iter().map(Tensor::elem_count).chain([shape.elem_count()]))?;
        if self.threads.groups == 0 || shape.elem_count() == 0 {
            return Tensor::zeros(shape, dtype, device);
        }
        match device {
            Device::Cpu => {
                let values = inputs.iter().map(floats).collect::<Result<Vec<_>>>()?;
                let out = Tensor::from_vec((self.host)(&values), shape, &Device::Cpu)?.to_dtype(dtype)?;
                #[cfg(test)]
                super::tests::record(self, &inputs, &out);
                Ok(out)
            }
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => super::cuda::run(device, self, &inputs, shape, dtype),
            #[cfg(feature = "metal")]
            Device::Metal(device) => super::metal::run(device, self, &inputs, shape, dtype),
            #[cfg(not(all(feature = "cuda", feature = "metal")))]
            _ => {
                let (kernel, of) = (self.entry(), self.source.name);
                Err(candle_core::Error::Msg(format!("{kernel} of {of}: not built for this device")))
            }
        }
    }

    /// Lets the kernel change `updated`, from two other tensors.
    ///
    /// # Errors
    /// If `updated` is not contiguous, a tensor has more values than a kernel counts, or the device fails.
    pub(super) fn update(&self, inputs: [&Tensor; 2], updated: &Tensor) -> Result<()> {
        // What is updated cannot be replaced by a contiguous copy, as inputs can.
        if !updated.is_contiguous() {
            return Err(candle_core::Error::Msg(format!("{}: a tensor to update that is not contiguous", self.name)));
        }
        let inputs = [inputs[0].contiguous()?, inputs[1].contiguous()?];
        self.check_counts(inputs.iter().chain([updated]).map(Tensor::elem_count))?;
        if self.threads.groups == 0 || updated.elem_count() == 0 {
            return Ok(());
        }
        let inputs = [&inputs[0], &inputs[1]];
        updated.inplace_op3(inputs[0], inputs[1], self)
    }
}

impl InplaceOp3 for Launch<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        updated: &mut candle_core::CpuStorage,
        layout: &candle_core::Layout,
        first: &candle_core::CpuStorage,
        first_layout: &candle_core::Layout,
        second: &candle_core::CpuStorage,
        second_layout: &candle_core::Layout,
    ) -> Result<()> {
        use candle_core::CpuStorage::F32;
        let (F32(updated), F32(first), F32(second)) = (updated, first, second) else {
            return Err(candle_core::Error::Msg(format!("{}: not of f32", self.name)));
        };
        let range =
            |layout: &candle_core::Layout| layout.start_offset()..layout.start_offset() + layout.shape().elem_count();
        let updated = &mut updated[range(layout)];
        let values = [first[range(first_layout)].to_vec(), second[range(second_layout)].to_vec(), updated.to_vec()];
        updated.copy_from_slice(&(self.host)(&values));
        #[cfg(test)]
        super::tests::record_update(self, &values, updated);
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        updated: &mut candle_core::CudaStorage,
        layout: &candle_core::Layout,
        first: &candle_core::CudaStorage,
        first_layout: &candle_core::Layout,
        second: &candle_core::CudaStorage,
        second_layout: &candle_core::Layout,
    ) -> Result<()> {
        super::cuda::update(self, [(first, first_layout), (second, second_layout)], (updated, layout))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(
        &self,
        updated: &mut candle_core::MetalStorage,
        layout: &candle_core::Layout,
        first: &candle_core::MetalStorage,
        first_layout: &candle_core::Layout,
        second: &candle_core::MetalStorage,
        second_layout: &candle_core::Layout,
    ) -> Result<()> {
        super::metal::update(self, [(first, first_layout), (second, second_layout)], (updated, layout))
    }
}

/// The values of a tensor of the processor.
fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    debug_assert!(matches!(&*tensor.storage_and_layout().0, Storage::Cpu(_)));
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}
