//! A base tensor as a view of the mapping.

use super::Dtype;
use crate::kernels::Weight;

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

    /// The elements as kernels read them; those of dtypes that are no weights' are none.
    #[inline]
    pub fn weight(&self) -> Weight<'a> {
        match self.dtype {
            Dtype::F32 => self.as_f32().map_or(Weight::f32_bytes(self.bytes), Weight::f32),
            Dtype::F16 => Weight::f16(self.bytes),
            Dtype::Bf16 => Weight::bf16(self.bytes),
            _ => Weight::absent(self.elements()),
        }
    }

    /// Converts the elements of an f32, f16 or bf16 tensor into `out`; those of other dtypes are not
    /// weights and leave it unchanged.
    ///
    /// # Panics
    /// If `out` has not as many elements as the tensor.
    pub fn convert_into(&self, out: &mut [f32]) {
        assert_eq!(out.len(), self.elements(), "elements of {}", self.name);
        self.weight().convert(0..out.len(), out);
    }

    /// The elements as a new vector of f32.
    pub fn to_vec(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.elements()];
        self.convert_into(&mut values);
        values
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
