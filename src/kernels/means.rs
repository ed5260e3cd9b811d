//! Running means that an optimizer keeps of a parameter, in f32 or in fewer bits.

use serde::{Deserialize, Serialize};

use super::pack::{BLOCK, pack_any, pack_bf16, pack_positive, unpack_any, unpack_bf16, unpack_positive};

/// Parameters of fewer values have their means in f32: they take next to nothing.
const SMALL: usize = 4096;

/// How running means are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// Their upper halves.
    Bf16,
    /// A byte each and a scale for each 256, with finer steps towards zero, as 8-bit optimizers have them
    /// (arXiv 2110.02861).
    Int8,
}

impl Precision {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        }
    }

    /// Bytes that one mean of each of `elements` values takes.
    pub fn bytes(self, elements: usize) -> usize {
        match self.of(elements) {
            Precision::F32 => 4 * elements,
            Precision::Bf16 => 2 * elements,
            Precision::Int8 => elements + 4 * elements.div_ceil(BLOCK),
        }
    }

    fn of(self, elements: usize) -> Self {
        if elements < SMALL { Precision::F32 } else { self }
    }
}

/// One running mean of each value of a parameter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Means(Store);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Store {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
    Int8(Vec<u8>, Vec<f32>),
}

/// None, of a parameter without values.
impl Default for Means {
    fn default() -> Self {
        Self(Store::F32(Vec::new()))
    }
}

impl Means {
    /// Means of `elements` values that have seen nothing: zeros.
    pub fn zeros(elements: usize, precision: Precision) -> Self {
        Self(match precision.of(elements) {
            Precision::F32 => Store::F32(vec![0.0; elements]),
            Precision::Bf16 => Store::Bf16(vec![0; elements]),
            Precision::Int8 => Store::Int8(vec![0; elements], vec![0.0; elements.div_ceil(BLOCK)]),
        })
    }

    /// These as they are.
    pub fn of_floats(values: Vec<f32>) -> Self {
        Self(Store::F32(values))
    }

    /// All of them where they are kept in f32, and else none.
    pub fn floats(&self) -> &[f32] {
        match &self.0 {
            Store::F32(values) => values,
            _ => &[],
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Store::F32(values) => values.len(),
            Store::Bf16(values) => values.len(),
            Store::Int8(codes, _) => codes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether these are whole: in 8 bits a scale belongs to each block.
    pub fn is_whole(&self) -> bool {
        match &self.0 {
            Store::Int8(codes, scales) => scales.len() == codes.len().div_ceil(BLOCK),
            _ => true,
        }
    }

    /// Bytes they take.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Store::F32(values) => size_of_val(&values[..]),
            Store::Bf16(values) => size_of_val(&values[..]),
            Store::Int8(codes, scales) => codes.len() + size_of_val(&scales[..]),
        }
    }

    pub(super) fn stretch(&mut self) -> Stretch<'_> {
        match &mut self.0 {
            Store::F32(values) => Stretch::F32(values),
            Store::Bf16(values) => Stretch::Bf16(values),
            Store::Int8(codes, scales) => Stretch::Int8(codes, scales),
        }
    }
}

/// Some of the means of a parameter, from a whole number of blocks on.
pub(super) enum Stretch<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [u16]),
    Int8(&'a mut [u8], &'a mut [f32]),
}

impl<'a> Stretch<'a> {
    /// Cuts off the first `length`, a multiple of a block unless it is all.
    pub(super) fn cut(&mut self, length: usize) -> Stretch<'a> {
        fn first<'a, T>(values: &mut &'a mut [T], length: usize) -> &'a mut [T] {
            let (part, rest) = std::mem::take(values).split_at_mut(length);
            *values = rest;
            part
        }
        match self {
            Stretch::F32(values) => Stretch::F32(first(values, length)),
            Stretch::Bf16(values) => Stretch::Bf16(first(values, length)),
            Stretch::Int8(codes, scales) => Stretch::Int8(first(codes, length), first(scales, length.div_ceil(BLOCK))),
        }
    }

    /// The means where they are f32.
    pub(super) fn plain(self) -> &'a mut [f32] {
        match self {
            Stretch::F32(values) => values,
            _ => &mut [],
        }
    }

    /// Writes the means of the block that begins at `from` to `out`.
    pub(super) fn unpack(&self, from: usize, out: &mut [f32], sign: Sign) {
        match (self, sign) {
            (Stretch::F32(values), _) => out.copy_from_slice(&values[from..from + out.len()]),
            (Stretch::Bf16(values), _) => unpack_bf16(&values[from..from + out.len()], out),
            (Stretch::Int8(codes, scales), Sign::Any) => {
                unpack_any(&codes[from..from + out.len()], scales[from / BLOCK], out)
            }
            (Stretch::Int8(codes, scales), Sign::Positive) => {
                unpack_positive(&codes[from..from + out.len()], scales[from / BLOCK], out)
            }
        }
    }

    /// Keeps `values` as the means of the block that begins at `from`, rounded by `chance`.
    pub(super) fn pack(&mut self, from: usize, values: &[f32], sign: Sign, chance: &[u32; BLOCK]) {
        match (self, sign) {
            (Stretch::F32(kept), _) => kept[from..from + values.len()].copy_from_slice(values),
            (Stretch::Bf16(kept), _) => pack_bf16(values, chance, &mut kept[from..from + values.len()]),
            (Stretch::Int8(codes, scales), Sign::Any) => {
                pack_any(values, chance, &mut codes[from..from + values.len()], &mut scales[from / BLOCK]);
            }
            (Stretch::Int8(codes, scales), Sign::Positive) => {
                pack_positive(values, chance, &mut codes[from..from + values.len()], &mut scales[from / BLOCK]);
            }
        }
    }
}

/// Whether means may be negative.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    Any,
    Positive,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_take_the_bytes_that_are_stated() {
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            for elements in [0, 1, 100, SMALL - 1, SMALL, SMALL + 1, 100_001] {
                let means = Means::zeros(elements, precision);
                assert_eq!((means.bytes(), means.len()), (precision.bytes(elements), elements), "{precision:?}");
                assert!(means.is_whole());
            }
        }
        assert_eq!(Precision::Int8.bytes(2560), 4 * 2560);
        assert_eq!(Precision::Int8.bytes(25600), 25600 + 400);
    }
}
