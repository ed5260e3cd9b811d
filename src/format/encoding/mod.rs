//! How a payload holds values. One file per encoding, each with the same three functions: `check` refuses values that
//! are not allowed, `apply` hands out the values of a checked payload, `encode` writes values.

mod int4;
mod int8;
mod low_rank;
mod one_bit;
mod plain;
mod rows;
mod sparse;

use core::fmt;

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
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
    /// Four bits per element and a scale of 16 bits for each `group` elements of a row, which is one index of the first
    /// dimension; a shape of one dimension is one row. For all but single values.
    Int4 {
        /// Elements that share a scale: even, and not 0.
        group: u32,
    },
    /// The sign of each element and an f32 scale for each row, which is one index of the first dimension. For shapes of
    /// two dimensions and more.
    OneBit,
    /// Two factors, `rows × rank` and `rank × width`, whose product is the tensor; they are what is written as values.
    /// For shapes of two dimensions and more.
    LowRank {
        /// From 1 to the smaller of both sizes.
        rank: u32,
        /// Whether the factors are binary16 in place of binary32.
        half: bool,
    },
    /// The largest elements as signed bytes under one f32 scale, and where they are; all others are zero. Made by
    /// [`Encoding::sparse`].
    Sparse {
        /// How many there are.
        count: u32,
        /// Bytes that state where.
        places: u32,
    },
}

impl Encoding {
    /// The usual group of [`Encoding::Int4`].
    pub const INT4: Encoding = Encoding::Int4 { group: 32 };

    /// The `count` largest of `values`, or as many as are not zero.
    pub fn sparse(values: &[f32], count: u32) -> Encoding {
        let [count, places] = sparse::measure(values, count);
        Encoding::Sparse { count, places }
    }

    /// The length in bytes of a payload of this shape, or `None` where the encoding does not take the shape, or
    /// 64 bits cannot hold the length.
    pub fn payload_len(self, shape: &Shape) -> Option<u64> {
        self.expect_len(shape, 0).ok()
    }

    /// The numbers that are written as a tensor of this shape: its elements, or those of its factors.
    pub fn values(self, shape: &Shape) -> Option<u64> {
        match self {
            Encoding::LowRank { rank, .. } => low_rank::numbers(rows::of(shape)?, rank),
            _ => shape.elements(),
        }
    }

    /// The lowest version of the format that has it.
    pub(super) fn version(self) -> u16 {
        match self {
            Encoding::F32 | Encoding::F16 | Encoding::Int8 => 1,
            _ => 2,
        }
    }

    pub(super) fn read(cursor: &mut Cursor<'_>, entry: usize) -> Result<Encoding, Error> {
        Ok(match cursor.take()? {
            0_u32 => Encoding::F32,
            1 => Encoding::F16,
            2 => Encoding::Int8,
            3 => Encoding::Int4 { group: cursor.take()? },
            4 => Encoding::OneBit,
            5 => Encoding::LowRank { rank: cursor.take()?, half: cursor.take()? },
            6 => Encoding::Sparse { count: cursor.take()?, places: cursor.take()? },
            found => return Err(Error::Encoding { entry, found }),
        })
    }

    /// As [`payload_len`](Encoding::payload_len), with the reason for `None`.
    pub(super) fn expect_len(self, shape: &Shape, entry: usize) -> Result<u64, Error> {
        let oversized = Error::Oversized { entry };
        let elements = shape.elements().ok_or(oversized)?;
        let rank = Error::Rank { entry, found: shape.dims().len() };
        let sizes = rows::of(shape).ok_or(rank);
        let suits = |suits| if suits { Ok(()) } else { Err(Error::Parameter { entry }) };
        let length = match self {
            Encoding::F32 => elements.checked_mul(4),
            Encoding::F16 => elements.checked_mul(2),
            Encoding::Int8 => elements.checked_add(sizes?[0] * 4),
            Encoding::Int4 { group } => {
                let sizes = rows::or_one(shape).ok_or(rank)?;
                suits(group > 0 && group.is_multiple_of(2))?;
                int4::length(sizes, group)
            }
            Encoding::OneBit => one_bit::length(sizes?),
            Encoding::LowRank { rank, half } => {
                let [rows, width] = sizes?;
                suits((1..=rows.min(width)).contains(&rank.into()))?;
                low_rank::length([rows, width], rank, half)
            }
            Encoding::Sparse { count, places } => {
                suits(u64::from(count) <= elements)?;
                Some(sparse::length(count, places))
            }
        };
        length.ok_or(oversized)
    }

    /// Refuses values that the encoding does not allow. `payload` has the length for `shape`.
    pub(super) fn check(self, shape: &Shape, payload: &[u8], entry: usize) -> Result<(), Error> {
        let sizes = rows::in_memory(shape);
        match self {
            Encoding::F32 => plain::check_f32(payload, entry),
            Encoding::F16 => plain::check_f16(payload, entry),
            Encoding::Int8 => int8::check(sizes[0], payload, entry),
            Encoding::Int4 { group } => int4::check(sizes, group as usize, payload, entry),
            Encoding::OneBit => one_bit::check(sizes, payload, entry),
            Encoding::LowRank { rank, half } => low_rank::check(sizes, rank as usize, half, payload, entry),
            Encoding::Sparse { count, places } => {
                let elements = shape.elements().and_then(|elements| usize::try_from(elements).ok());
                sparse::check(elements.unwrap_or(usize::MAX), count as usize, places as usize, payload, entry)
            }
        }
    }

    /// Calls `each` with every element of `out` and its value; before, line by line, `before` with the number of the first
    /// element of a line, and the line. `payload` has passed the check.
    pub(super) fn apply(
        self,
        shape: &Shape,
        payload: &[u8],
        out: &mut [f32],
        mut before: impl FnMut(usize, &mut [f32]),
        each: impl Fn(&mut f32, f32),
    ) {
        let sizes = rows::in_memory(shape);
        match self {
            Encoding::F32 => plain::apply_f32(payload, rows::lines(out, plain::LINE, before), each),
            Encoding::F16 => plain::apply_f16(payload, rows::lines(out, plain::LINE, before), each),
            Encoding::Int8 => int8::apply(sizes, payload, rows::lines(out, sizes[1], before), each),
            Encoding::Int4 { group } => {
                int4::apply(sizes, group as usize, payload, rows::lines(out, sizes[1], before), each);
            }
            Encoding::OneBit => one_bit::apply(sizes, payload, rows::lines(out, sizes[1], before), each),
            Encoding::LowRank { rank, half } => {
                low_rank::apply(sizes, rank as usize, half, payload, rows::lines(out, sizes[1], before), each);
            }
            Encoding::Sparse { places, .. } => {
                before(0, out);
                sparse::apply(places as usize, payload, out, each);
            }
        }
    }

    /// The numbers of the factors in a checked payload.
    pub(super) fn factors(self, payload: &[u8]) -> impl Iterator<Item = f32> {
        let (half, payload) = match self {
            Encoding::LowRank { half, .. } => (half, payload),
            _ => (false, Default::default()),
        };
        low_rank::factors(half, payload)
    }

    /// The values in a checked payload that are not zero.
    pub(super) fn nonzeros(self, payload: &[u8]) -> impl Iterator<Item = f32> {
        let (places, payload) = match self {
            Encoding::Sparse { places, .. } => (places, payload),
            _ => (0, Default::default()),
        };
        sparse::nonzeros(places as usize, payload)
    }

    /// Writes `values`, as many as [`Encoding::values`] says, to `payload`, which has the length for `shape`.
    pub(super) fn encode(self, shape: &Shape, values: &[f32], payload: &mut [u8], entry: usize) -> Result<(), Error> {
        if let Some(element) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::NotFinite { entry, element });
        }
        let sizes = rows::in_memory(shape);
        match self {
            Encoding::F32 => plain::encode_f32(values, payload),
            Encoding::F16 => plain::encode_f16(values, payload, entry)?,
            Encoding::Int8 => int8::encode(sizes[0], values, payload, entry)?,
            Encoding::Int4 { group } => int4::encode(sizes, group as usize, values, payload),
            Encoding::OneBit => one_bit::encode(sizes, values, payload),
            Encoding::LowRank { rank, half } => {
                low_rank::encode(sizes, rank as usize, half, values, payload, entry)?;
            }
            Encoding::Sparse { count, places } => sparse::encode(values, count, places, payload, entry)?,
        }
        Ok(())
    }
}

/// As a word, with its parameters: `int8`, `int4/32`, `low-rank/8`.
impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Encoding::F32 => f.write_str("f32"),
            Encoding::F16 => f.write_str("f16"),
            Encoding::Int8 => f.write_str("int8"),
            Encoding::Int4 { group } => write!(f, "int4/{group}"),
            Encoding::OneBit => f.write_str("one-bit"),
            Encoding::LowRank { rank, half: false } => write!(f, "low-rank/{rank}"),
            Encoding::LowRank { rank, half: true } => write!(f, "low-rank/{rank}/f16"),
            Encoding::Sparse { count, .. } => write!(f, "sparse/{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 7] = [
        Encoding::F32,
        Encoding::F16,
        Encoding::Int8,
        Encoding::Int4 { group: 300 },
        Encoding::OneBit,
        Encoding::LowRank { rank: 2, half: true },
        Encoding::Sparse { count: 200, places: 3 },
    ];

    #[test]
    fn what_serde_writes_is_read() {
        for (code, encoding) in ALL.into_iter().enumerate() {
            let mut bytes = [0; 8];
            let used = postcard::to_slice(&encoding, &mut bytes).unwrap();
            assert_eq!(usize::from(used[0]), code);
            let mut cursor = Cursor::new(used, 0);
            assert_eq!(Encoding::read(&mut cursor, 0), Ok(encoding));
            assert_eq!(cursor.finish(), Ok(()));
        }
        assert_eq!(Encoding::read(&mut Cursor::new(&[7], 0), 5), Err(Error::Encoding { entry: 5, found: 7 }));
    }

    #[test]
    fn lengths_follow_from_shapes() {
        let shape = Shape::new(&[3, 2, 5]).unwrap();
        for (encoding, length) in [
            (Encoding::F32, 120),
            (Encoding::F16, 60),
            (Encoding::Int8, 42),
            (Encoding::Int4 { group: 4 }, 3 * (3 * 2 + 5)),
            (Encoding::OneBit, 3 * (4 + 2)),
            (Encoding::LowRank { rank: 2, half: true }, 2 * 2 * 13),
            (Encoding::LowRank { rank: 3, half: false }, 4 * 3 * 13),
            (Encoding::Sparse { count: 5, places: 6 }, 4 + 5 + 6),
        ] {
            assert_eq!(encoding.expect_len(&shape, 0), Ok(length), "{encoding}");
            assert_eq!(encoding.payload_len(&shape), Some(length), "{encoding}");
        }
        let vector = Shape::new(&[3]).unwrap();
        for encoding in ALL {
            let by_rows = matches!(encoding, Encoding::Int8 | Encoding::OneBit | Encoding::LowRank { .. });
            assert_eq!(encoding.expect_len(&vector, 5) == Err(Error::Rank { entry: 5, found: 1 }), by_rows);
            assert_eq!(encoding.payload_len(&vector).is_none(), encoding.expect_len(&vector, 0).is_err());
        }
        assert_eq!(Encoding::F16.expect_len(&Shape::scalar(), 0), Ok(2));
        assert_eq!(Encoding::INT4.expect_len(&Shape::scalar(), 1), Err(Error::Rank { entry: 1, found: 0 }));
        assert_eq!(Encoding::Int4 { group: 2 }.expect_len(&vector, 0), Ok(2 * 2 + 2));
        let huge = Shape::new(&[u32::MAX, u32::MAX]).unwrap();
        assert_eq!(Encoding::F32.expect_len(&huge, 6), Err(Error::Oversized { entry: 6 }));
    }

    #[test]
    fn parameters_suit_the_shape() {
        let shape = Shape::new(&[3, 5]).unwrap();
        for encoding in [
            Encoding::Int4 { group: 0 },
            Encoding::Int4 { group: 3 },
            Encoding::LowRank { rank: 0, half: false },
            Encoding::LowRank { rank: 4, half: true },
            Encoding::Sparse { count: 16, places: 16 },
        ] {
            assert_eq!(encoding.expect_len(&shape, 2), Err(Error::Parameter { entry: 2 }), "{encoding}");
            assert_eq!(encoding.payload_len(&shape), None, "{encoding}");
        }
    }
}
