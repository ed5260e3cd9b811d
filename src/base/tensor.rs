//! A base tensor as a view of the mapping.

use half::slice::HalfFloatSliceExt;

use super::Dtype;

/// Position of a tensor in a base's index, which is in order of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub(super) usize);

/// One tensor of a base, read in place.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// Name in the file.
    pub name: &'a str,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions, outermost first.
    pub shape: &'a [usize],
    /// Little-endian elements, row-major.
    pub bytes: &'a [u8],
}

impl<'a> TensorView<'a> {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// The elements in place: for f32 tensors that lie aligned in the file.
    #[inline]
    pub fn as_f32(&self) -> Option<&'a [f32]> {
        if self.dtype != Dtype::F32 || cfg!(target_endian = "big") {
            return None;
        }
        bytemuck::try_cast_slice(self.bytes).ok()
    }

    /// `count` elements from element `start` on, as a view of one dimension or none.
    ///
    /// # Panics
    /// If the tensor has not so many.
    pub fn slice(&self, start: usize, count: usize) -> TensorView<'a> {
        let size = self.dtype.size();
        TensorView { bytes: &self.bytes[start * size..(start + count) * size], shape: &[], ..*self }
    }

    /// Converts the elements of an f32, f16 or bf16 tensor into `out`; those of other dtypes are not
    /// weights and leave it unchanged.
    ///
    /// # Panics
    /// If `out` has not as many elements as the tensor.
    pub fn convert_into(&self, out: &mut [f32]) {
        assert_eq!(out.len(), self.elements(), "elements of {}", self.name);
        match self.dtype {
            Dtype::F32 => {
                for (value, bytes) in out.iter_mut().zip(self.bytes.as_chunks::<4>().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
            Dtype::F16 => convert_half::<half::f16>(self.bytes, half::f16::from_le_bytes, out),
            Dtype::Bf16 => convert_half::<half::bf16>(self.bytes, half::bf16::from_le_bytes, out),
            _ => {}
        }
    }

    /// The elements as a new vector of f32.
    pub fn to_vec(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.elements()];
        self.convert_into(&mut values);
        values
    }
}

/// Converts by blocks, so that the library's vector conversions see aligned values.
fn convert_half<H: Copy + Default>(bytes: &[u8], read: fn([u8; 2]) -> H, out: &mut [f32])
where
    [H]: HalfFloatSliceExt,
{
    const BLOCK: usize = 256;
    let mut block = [H::default(); BLOCK];
    for (source, target) in bytes.as_chunks::<2>().0.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        for (value, bytes) in block.iter_mut().zip(source) {
            *value = read(*bytes);
        }
        block[..source.len()].convert_to_f32_slice(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view<'a>(dtype: Dtype, shape: &'a [usize], bytes: &'a [u8]) -> TensorView<'a> {
        TensorView { name: "w", dtype, shape, bytes }
    }

    #[test]
    fn halves_convert_exactly() {
        let values: Vec<f32> = (0..700).map(|i| (i as f32 - 350.0) / 8.0).collect();
        let f16: Vec<u8> = values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect();
        let bf16: Vec<u8> = values.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect();
        assert_eq!(view(Dtype::F16, &[700], &f16).to_vec(), values);
        let rounded: Vec<f32> = values.iter().map(|&v| half::bf16::from_f32(v).to_f32()).collect();
        assert_eq!(view(Dtype::Bf16, &[700], &bf16).to_vec(), rounded);
    }

    #[test]
    fn unaligned_f32_is_converted_and_not_viewed() {
        let storage = [0f32.to_le_bytes(), 1.5f32.to_le_bytes(), (-2f32).to_le_bytes()].concat();
        let shifted = [&[0u8][..], &storage].concat();
        let offset = if shifted.as_ptr().align_offset(4) == 0 { 1 } else { 0 };
        let unaligned = &shifted[offset..offset + 4];
        assert!(view(Dtype::F32, &[1], unaligned).as_f32().is_none());
        let bytes = &shifted[1..13];
        assert_eq!(view(Dtype::F32, &[3], bytes).to_vec(), [0.0, 1.5, -2.0]);
    }
}
