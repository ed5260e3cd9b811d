//! Inputs: values as they are, and images cut into patches.

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, Images, Output, Result, Tensors};
use crate::kernels::{self, Tensor};

/// Kernels of [`Graph::patches`].
pub trait Kernels: Tensors {
    /// Patches of `size` by `size` pixels.
    fn patches(&self, images: &Images, size: usize) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// Values that need no gradient.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn input(&mut self, values: Tensor) -> Output<B> {
        Ok(self.plain("input", &[], self.backend.send(values)?))
    }

    /// Patches of `size` by `size` pixels, which need no gradient: `[images * patches, channels * size * size]`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn patches(&mut self, images: &Images, size: usize) -> Output<B> {
        Ok(self.plain("patches", &[], self.backend.patches(images, size)?))
    }
}

impl Kernels for Host<'_> {
    fn patches(&self, images: &Images, size: usize) -> Result<Tensor, Self> {
        let shape = [images.batch, images.channels, images.height, images.width];
        Ok(kernels::patches(self.workspace, &images.pixels, shape, size))
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn patches(&self, images: &Images, size: usize) -> Result<Rows, Self> {
        let Images { batch, channels, height, width, .. } = *images;
        let (down, across) = (height / size, width / size);
        let pixels = self.memory.send(&images.pixels, &[batch, channels, down, size, across, size])?;
        let patches = pixels.permute([0, 2, 4, 1, 3, 5])?.contiguous()?;
        Ok(patches.reshape((batch * down * across, channels * size * size))?.into())
    }
}
