//! A weight as kernels read it: its values in the numbers they are stored in.

use std::ops::Range;

use half::slice::HalfFloatSliceExt;

use super::Tensor;

/// The values of a weight, row-major, in an order and a number of rows that the kernel knows by its other arguments.
///
/// What is not f32 in its place is converted tile by tile inside the kernel, and never whole.
#[derive(Clone, Copy, Debug)]
pub struct Weight<'a> {
    elements: usize,
    values: Values<'a>,
}

/// Little-endian values.
#[derive(Clone, Copy, Debug)]
enum Values<'a> {
    F32(&'a [f32]),
    /// Not where an f32 may lie.
    F32Bytes(&'a [u8]),
    F16(&'a [u8]),
    Bf16(&'a [u8]),
    /// There are none, in a dry workspace.
    Absent,
}

impl<'a> Weight<'a> {
    /// f32 values.
    pub const fn f32(values: &'a [f32]) -> Self {
        Self { elements: values.len(), values: Values::F32(values) }
    }

    /// f32 values that may lie anywhere.
    pub fn f32_bytes(bytes: &'a [u8]) -> Self {
        Self { elements: bytes.len() / 4, values: Values::F32Bytes(bytes) }
    }

    /// Values of 16 bits.
    pub fn f16(bytes: &'a [u8]) -> Self {
        Self { elements: bytes.len() / 2, values: Values::F16(bytes) }
    }

    /// Values of 16 bits with the range of f32.
    pub fn bf16(bytes: &'a [u8]) -> Self {
        Self { elements: bytes.len() / 2, values: Values::Bf16(bytes) }
    }

    /// A weight of which only the size is known: for a dry [`Workspace`](super::Workspace).
    pub fn absent(elements: usize) -> Self {
        Self { elements, values: Values::Absent }
    }

    /// Number of values.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Rows of a matrix of `cols` columns.
    ///
    /// # Panics
    /// If there are not so many values.
    pub(super) fn rows(&self, cols: usize) -> usize {
        let rows = self.elements / cols.max(1);
        assert_eq!(self.elements, rows * cols, "weight of {cols} columns");
        rows
    }

    /// Whether it is to be converted.
    pub(super) fn is_converted(&self) -> bool {
        matches!(self.values, Values::F32Bytes(_) | Values::F16(_) | Values::Bf16(_))
    }

    /// The values in their place, of a weight that is not to be converted.
    pub fn in_place(&self) -> Option<&'a [f32]> {
        match self.values {
            Values::F32(values) => Some(values),
            Values::F32Bytes(_) | Values::F16(_) | Values::Bf16(_) => None,
            Values::Absent => Some(&[]),
        }
    }

    /// Some of the values: in their place, or converted to the beginning of `scratch`.
    ///
    /// # Panics
    /// If there are not these, or `scratch` is too short for values that are converted.
    pub(super) fn read<'s>(&self, range: Range<usize>, scratch: &'s mut [f32]) -> &'s [f32]
    where
        'a: 's,
    {
        if let Values::F32(values) = self.values {
            return &values[range];
        }
        let out = &mut scratch[..range.len()];
        self.convert(range, out);
        out
    }

    /// Converts some of the values.
    ///
    /// # Panics
    /// If there are not these.
    pub fn convert(&self, range: Range<usize>, out: &mut [f32]) {
        match self.values {
            Values::F32(values) => out.copy_from_slice(&values[range]),
            Values::F32Bytes(bytes) => {
                for (value, bytes) in out.iter_mut().zip(bytes[4 * range.start..4 * range.end].as_chunks::<4>().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
            Values::F16(bytes) => halves(&bytes[2 * range.start..2 * range.end], half::f16::from_le_bytes, out),
            Values::Bf16(bytes) => halves(&bytes[2 * range.start..2 * range.end], half::bf16::from_le_bytes, out),
            Values::Absent => {}
        }
    }
}

/// Converts by blocks, so that the library's vector conversions see aligned values.
fn halves<H: Copy + Default>(bytes: &[u8], read: fn([u8; 2]) -> H, out: &mut [f32])
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

impl<'a> From<&'a [f32]> for Weight<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::f32(values)
    }
}

/// The values of a tensor, also where they are not there.
impl<'a> From<&'a Tensor> for Weight<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Self { elements: tensor.elements(), values: Values::F32(tensor) }
    }
}

impl<'a> From<&'a Vec<f32>> for Weight<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        Self::f32(values)
    }
}
