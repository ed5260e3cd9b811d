//! A launch of a kernel, on whichever device its tensors are.

use candle_core::{DType, Device, InplaceOp3, Result, Shape, Storage, Tensor};

use super::launch::{Launch, MOST};

impl Launch<'_> {
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
