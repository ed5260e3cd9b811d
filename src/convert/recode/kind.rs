//! Ways to store a tensor, before its values are known.

/// A way to store a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// Exact.
    F32,
    /// Half the bytes.
    F16,
    /// A byte each, with a scale per row.
    Int8,
    /// Half a byte each, with a scale for each so many of a row.
    Int4 {
        /// Elements that share a scale: even.
        group: u32,
    },
    /// Signs, with a scale per row.
    OneBit,
    /// Two factors in f32 or f16.
    LowRank {
        /// What the rank is to be.
        rank: Rank,
        /// Whether the factors are f16.
        half: bool,
    },
    /// The largest elements, as many as this share of all.
    Sparse(f32),
}

/// The rank of a truncated singular value decomposition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rank {
    /// This one, or the highest there is.
    Of(u32),
    /// The lowest that keeps this share of the sum of squares.
    Energy(f32),
}

impl Kind {
    /// The usual way with four bits.
    pub const INT4: Kind = Kind::Int4 { group: 32 };
}
