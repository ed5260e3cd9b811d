//! The operations networks are written against.

use super::{Error, LayerId};
use crate::kernels::{Heads, Segments, Tensor, Workspace};

/// The operations a network is made of. [`super::Eval`] computes them; the trainer's tape computes and
/// records them for the backward pass.
///
/// A value is an activation `[rows, features]`. An operation that takes a value by move may compute in
/// place; one that takes a reference leaves it usable.
pub trait Ops {
    /// An activation.
    type Value;

    /// Buffers and threads to compute with.
    fn workspace(&self) -> &Workspace;

    /// An input that needs no gradient.
    fn constant(&mut self, tensor: Tensor) -> Self::Value;

    /// Rows `indices` of the table `layer`: `[indices, features]`, added to `onto` where given.
    ///
    /// # Errors
    /// If an index is outside the table.
    fn gather(&mut self, layer: LayerId, indices: &[u32], onto: Option<Self::Value>) -> Result<Self::Value, Error>;

    /// The one row of the table `layer` before the rows of each example: `[rows + examples, features]`.
    ///
    /// # Errors
    /// If the task lacks the layer.
    fn prepend(&mut self, x: &Self::Value, layer: LayerId, segments: &Segments) -> Result<Self::Value, Error>;

    /// x Wᵀ + b: `[rows, in]` to `[rows, out]`.
    ///
    /// # Errors
    /// If the task lacks the layer, as the head of a base without one.
    fn linear(&mut self, x: &Self::Value, layer: LayerId) -> Result<Self::Value, Error>;

    /// Layer normalization of each row.
    ///
    /// # Errors
    /// If the task lacks the layer.
    fn layer_norm(&mut self, x: &Self::Value, layer: LayerId, eps: f32) -> Result<Self::Value, Error>;

    /// GELU with the exact error function.
    fn gelu(&mut self, x: Self::Value) -> Self::Value;

    /// The sum of two activations of one shape.
    fn add(&mut self, x: Self::Value, y: &Self::Value) -> Self::Value;

    /// softmax(q kᵀ / √d) v within each example, for each head.
    fn attention(
        &mut self,
        q: Self::Value,
        k: Self::Value,
        v: Self::Value,
        heads: Heads,
        segments: &Segments,
    ) -> Self::Value;

    /// Mean of the rows of each example: `[examples, features]`.
    fn mean_rows(&mut self, x: Self::Value, segments: &Segments) -> Self::Value;

    /// First row of each example: `[examples, features]`.
    fn first_rows(&mut self, x: Self::Value, segments: &Segments) -> Self::Value;
}
