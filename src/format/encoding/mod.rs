//! How a payload holds values. One file per encoding, each with the same three functions: `check` refuses values that
//! are not allowed, `apply` hands out the values of a checked payload, `encode` writes values.

mod int8;
mod plain;

use serde::{Deserialize, Serialize};

use super::{Error, Shape};

/// How a payload holds the values of a tensor. The order of the variants is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Encoding {
    /// IEEE 754 binary32, little-endian.
    F32,
    /// IEEE 754 binary16, little-endian. A value beyond its range cannot be written.
    F16,
    /// One f32 scale for each index of the first dimension, then one signed byte per element: `value = scale * byte`.
    /// For shapes of two dimensions and more.
    Int8,
}

impl Encoding {
    /// The length in bytes of a payload of this shape, or `None` where the encoding does not take the shape, or
    /// 64 bits cannot hold the length.
    pub fn payload_len(self, shape: &Shape) -> Option<u64> {
        let elements = shape.elements()?;
        match self {
            Encoding::F32 => elements.checked_mul(4),
            Encoding::F16 => elements.checked_mul(2),
            Encoding::Int8 => match shape.dims() {
                [rows, _, ..] => elements.checked_add(u64::from(*rows) * 4),
                _ => None,
            },
        }
    }

    pub(super) fn from_code(code: u32) -> Option<Encoding> {
        match code {
            0 => Some(Encoding::F32),
            1 => Some(Encoding::F16),
            2 => Some(Encoding::Int8),
            _ => None,
        }
    }

    /// As [`payload_len`](Encoding::payload_len), with the reason for `None`.
    pub(super) fn expect_len(self, shape: &Shape, entry: usize) -> Result<u64, Error> {
        let found = shape.dims().len();
        if self == Encoding::Int8 && found < 2 {
            return Err(Error::Rank { entry, found });
        }
        self.payload_len(shape).ok_or(Error::Oversized { entry })
    }

    /// Refuses values that the encoding does not allow. `payload` has the length for `shape`.
    pub(super) fn check(self, shape: &Shape, payload: &[u8], entry: usize) -> Result<(), Error> {
        match self {
            Encoding::F32 => plain::check_f32(payload, entry),
            Encoding::F16 => plain::check_f16(payload, entry),
            Encoding::Int8 => int8::check(rows(shape), payload, entry),
        }
    }

    /// Calls `each` with every element of `out` and its value. `payload` has passed the check.
    pub(super) fn apply(self, shape: &Shape, payload: &[u8], out: &mut [f32], each: impl Fn(&mut f32, f32)) {
        match self {
            Encoding::F32 => plain::apply_f32(payload, out, each),
            Encoding::F16 => plain::apply_f16(payload, out, each),
            Encoding::Int8 => int8::apply(rows(shape), payload, out, each),
        }
    }

    /// Writes `values`, which fill `shape`, to `payload`, which has the length for it.
    pub(super) fn encode(self, shape: &Shape, values: &[f32], payload: &mut [u8], entry: usize) -> Result<(), Error> {
        if let Some(element) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::NotFinite { entry, element });
        }
        match self {
            Encoding::F32 => plain::encode_f32(values, payload),
            Encoding::F16 => plain::encode_f16(values, payload, entry)?,
            Encoding::Int8 => int8::encode(rows(shape), values, payload, entry)?,
        }
        Ok(())
    }
}

fn rows(shape: &Shape) -> usize {
    let rows = shape.dims().first().and_then(|&rows| usize::try_from(rows).ok());
    rows.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_serde_writes() {
        for code in 0..3 {
            let encoding = Encoding::from_code(code).unwrap();
            assert_eq!(postcard::to_slice(&encoding, &mut [0; 1]).unwrap(), &[code as u8]);
        }
        assert_eq!(Encoding::from_code(3), None);
    }

    #[test]
    fn lengths_follow_from_shapes() {
        let shape = Shape::new(&[3, 2, 5]).unwrap();
        assert_eq!(Encoding::F32.expect_len(&shape, 0), Ok(120));
        assert_eq!(Encoding::F16.expect_len(&shape, 0), Ok(60));
        assert_eq!(Encoding::Int8.expect_len(&shape, 0), Ok(42));
        let vector = Shape::new(&[3]).unwrap();
        assert_eq!(Encoding::Int8.expect_len(&vector, 5), Err(Error::Rank { entry: 5, found: 1 }));
        assert_eq!(Encoding::F16.expect_len(&Shape::scalar(), 0), Ok(2));
        let huge = Shape::new(&[u32::MAX, u32::MAX]).unwrap();
        assert_eq!(Encoding::F32.expect_len(&huge, 6), Err(Error::Oversized { entry: 6 }));
    }
}
