//! A tensor in one encoding: what is written, and what is read back.

use super::kind::{Kind, Rank};
use super::opened::{Opened, Piece};
use super::svd::factors;
use crate::convert::Error;
use crate::format::{ALIGNMENT, Digest, Encoding, Role, Shape, TensorDraft};

/// A tensor in one encoding.
#[derive(Clone, Debug)]
pub(super) struct Coded {
    pub(super) encoding: Encoding,
    /// What is written, where it is not the values themselves: factors.
    pub(super) factors: Option<Vec<f32>>,
    /// What is read back.
    pub(super) values: Vec<f32>,
}

impl Coded {
    /// Codes the values of a piece whose shape suits the kind.
    pub(super) fn new(piece: &Piece, kind: Kind) -> Result<Self, Error> {
        let Piece { name, shape, values, .. } = piece;
        let share = |of: f32| ((values.len() as f32 * of).ceil() as usize).min(u32::MAX as usize) as u32;
        let rows = shape.dims().first().map_or(1, |&rows| rows as usize).max(1);
        let (encoding, factors) = match kind {
            Kind::F32 => (Encoding::F32, None),
            Kind::F16 => (Encoding::F16, None),
            Kind::Int8 => (Encoding::Int8, None),
            Kind::Int4 { group } => (Encoding::Int4 { group }, None),
            Kind::OneBit => (Encoding::OneBit, None),
            Kind::Sparse(of) => (Encoding::sparse(values, share(of)), None),
            Kind::LowRank { rank, half } => {
                if let Rank::Of(0) = rank {
                    return Err(Error::Setting { name: "rank", found: "0".to_owned(), expected: "at least 1" });
                }
                let (rank, factors) =
                    factors(values, rows, rank).ok_or_else(|| Error::Decomposition { tensor: name.clone() })?;
                (Encoding::LowRank { rank, half }, Some(factors))
            }
        };
        let mut coded = Self { encoding, factors, values: vec![0.0; values.len()] };
        coded.read_back(values, shape)?;
        Ok(coded)
    }

    /// What is written of a piece in this encoding.
    pub(super) fn draft<'a>(&'a self, piece: &'a Piece) -> TensorDraft<'a> {
        let Piece { name, role, shape, digest, values, .. } = piece;
        let (encoding, values) = (self.encoding, self.numbers(values));
        TensorDraft { name, role: *role, encoding, shape: shape.clone(), base: *digest, values }
    }

    /// The same encoding of other values, or of other factors.
    pub(super) fn again(&mut self, values: &[f32], factors: Option<Vec<f32>>, shape: &Shape) -> Result<(), Error> {
        self.factors = factors;
        self.read_back(values, shape)
    }

    fn read_back(&mut self, values: &[f32], shape: &Shape) -> Result<(), Error> {
        let draft = TensorDraft {
            name: "t",
            role: Role::Delta,
            encoding: self.encoding,
            shape: shape.clone(),
            base: Some(Digest::of(&[])),
            values: self.factors.as_deref().unwrap_or(values),
        };
        draft.read_back(&mut vec![0; self.length(shape)], &mut self.values)?;
        Ok(())
    }

    /// Bytes of the payload.
    pub(super) fn bytes(&self, shape: &Shape) -> usize {
        self.length(shape)
    }

    /// Bytes of the payload with its padding.
    pub(super) fn room(&self, shape: &Shape) -> usize {
        self.length(shape).next_multiple_of(ALIGNMENT)
    }

    fn length(&self, shape: &Shape) -> usize {
        self.encoding.payload_len(shape).and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
    }

    /// What is written, of a tensor whose values are `values`.
    pub(super) fn numbers<'a>(&'a self, values: &'a [f32]) -> &'a [f32] {
        self.factors.as_deref().unwrap_or(values)
    }
}

/// Norm of the difference as a share of the norm of what was before.
pub(in crate::convert) fn error(before: &[f32], after: &[f32]) -> f32 {
    let square = |sum: f64, value: f64| sum + value * value;
    let norm = before.iter().map(|&value| f64::from(value)).fold(0.0, square).sqrt();
    let lost = before.iter().zip(after).map(|(&a, &b)| f64::from(a) - f64::from(b)).fold(0.0, square).sqrt();
    (lost / norm.max(f64::MIN_POSITIVE)) as f32
}

/// Takes over what is read back of each tensor.
pub(super) fn take<N>(opened: &mut Opened<'_, N>, coded: &[Coded]) {
    for (piece, coded) in opened.pieces.iter_mut().zip(coded) {
        piece.values.clone_from(&coded.values);
    }
}
