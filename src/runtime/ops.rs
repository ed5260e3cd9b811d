//! The operations networks are written against.

use std::ops::Range;
use std::sync::Arc;

use super::{BatchNorm, ConvNorm, Error, Images, LayerId};
use crate::kernels::{self, Grid, Heads, Interpolation, Segments, Tensor, Window, Workspace};

/// The operations a network is made of. [`super::Eval`] computes them; the trainer's tape computes and
/// records them for the backward pass.
///
/// A value is an activation `[rows, features]`; of images, `[images * height * width, channels]`. An operation that takes a value by move may compute in
/// place; one that takes a reference leaves it usable.
pub trait Ops {
    /// An activation.
    type Value;

    /// Why an operation fails.
    type Error: From<Error>;

    /// Buffers and threads to compute with.
    fn workspace(&self) -> &Workspace;

    /// An input that needs no gradient.
    fn constant(&mut self, tensor: Tensor) -> Result<Self::Value, Self::Error>;

    /// Marks a checkpoint: the backward pass may compute again what lies between it and the next in place of keeping it.
    fn checkpoint(&mut self, x: Self::Value) -> Self::Value {
        x
    }

    /// Patches of `size` by `size` pixels as an input that needs no gradient:
    /// `[images * patches, channels * size * size]`.
    fn patches(&mut self, images: &Images, size: usize) -> Result<Self::Value, Self::Error> {
        let shape = [images.batch, images.channels, images.height, images.width];
        let rows = kernels::patches(self.workspace(), &images.pixels, shape, size);
        self.constant(rows)
    }

    /// Rows `indices` of the table `layer`: `[indices, features]`, added to `onto` where given.
    ///
    /// # Errors
    /// If an index is outside the table.
    fn gather(
        &mut self,
        layer: LayerId,
        indices: &[u32],
        onto: Option<Self::Value>,
    ) -> Result<Self::Value, Self::Error>;

    /// Rows `indices` of the table `layer` after it was interpolated as `map` says, added to `onto`.
    ///
    /// # Errors
    /// If the task lacks the layer.
    fn gather_interpolated(
        &mut self,
        layer: LayerId,
        map: &Arc<Interpolation>,
        indices: &[u32],
        onto: Self::Value,
    ) -> Result<Self::Value, Self::Error>;

    /// The one row of the table `layer` before the rows of each example: `[rows + examples, features]`.
    ///
    /// # Errors
    /// If the task lacks the layer.
    fn prepend(&mut self, x: &Self::Value, layer: LayerId, segments: &Segments) -> Result<Self::Value, Self::Error>;

    /// x Wᵀ + b: `[rows, in]` to `[rows, out]`.
    ///
    /// # Errors
    /// If the task lacks the layer, as the head of a base without one.
    fn linear(&mut self, x: &Self::Value, layer: LayerId) -> Result<Self::Value, Self::Error>;

    /// Convolution of images of `grid`, dense or of each channel by itself as the layer's kind says.
    ///
    /// # Errors
    /// If the task lacks the layer.
    fn conv(&mut self, x: &Self::Value, grid: Grid, layer: LayerId, window: Window)
    -> Result<Self::Value, Self::Error>;

    /// Batch normalization of each channel, `residual` added to it, and its activation.
    ///
    /// # Errors
    /// If the task lacks the layer.
    fn batch_norm(
        &mut self,
        x: &Self::Value,
        norm: &BatchNorm,
        residual: Option<&Self::Value>,
    ) -> Result<Self::Value, Self::Error>;

    /// A convolution and the normalization after it.
    ///
    /// # Errors
    /// If the task lacks a layer.
    fn conv_norm(
        &mut self,
        x: &Self::Value,
        grid: Grid,
        unit: &ConvNorm,
        residual: Option<&Self::Value>,
    ) -> Result<Self::Value, Self::Error> {
        let y = self.conv(x, grid, unit.conv, unit.window)?;
        self.batch_norm(&y, &unit.norm, residual)
    }

    /// The largest value within each position of a window.
    fn max_pool(&mut self, x: Self::Value, grid: Grid, window: Window) -> Result<Self::Value, Self::Error>;

    /// The mean of the values within each position of a window without padding.
    fn average_pool(&mut self, x: Self::Value, grid: Grid, window: Window) -> Result<Self::Value, Self::Error>;

    /// The columns of several activations of equal rows, one after another.
    fn concat(&mut self, parts: &[&Self::Value]) -> Result<Self::Value, Self::Error>;

    /// Some columns of an activation.
    fn columns(&mut self, x: &Self::Value, range: Range<usize>) -> Result<Self::Value, Self::Error>;

    /// Every `stride`-th line and column of images, with `before` and `after` channels of zeros around theirs.
    fn subsample_pad(
        &mut self,
        x: &Self::Value,
        grid: Grid,
        stride: usize,
        before: usize,
        after: usize,
    ) -> Result<Self::Value, Self::Error>;

    /// Layer normalization of each row.
    ///
    /// # Errors
    /// If the task lacks the layer.
    fn layer_norm(&mut self, x: &Self::Value, layer: LayerId, eps: f32) -> Result<Self::Value, Self::Error>;

    /// GELU with the exact error function.
    fn gelu(&mut self, x: Self::Value) -> Result<Self::Value, Self::Error>;

    /// tanh of each value.
    fn tanh(&mut self, x: Self::Value) -> Result<Self::Value, Self::Error>;

    /// The sum of two activations of one shape.
    fn add(&mut self, x: Self::Value, y: &Self::Value) -> Result<Self::Value, Self::Error>;

    /// softmax(q kᵀ / √d) v within each example, for each head.
    fn attention(
        &mut self,
        q: Self::Value,
        k: Self::Value,
        v: Self::Value,
        heads: Heads,
        segments: &Segments,
    ) -> Result<Self::Value, Self::Error>;

    /// Attention of each example to itself: of what `layers` make of `x`, queries, keys and values in this order.
    ///
    /// # Errors
    /// If the task lacks a layer.
    fn self_attention(
        &mut self,
        x: &Self::Value,
        layers: [LayerId; 3],
        heads: Heads,
        segments: &Segments,
    ) -> Result<Self::Value, Self::Error> {
        let [q, k, v] = layers;
        let (q, k, v) = (self.linear(x, q)?, self.linear(x, k)?, self.linear(x, v)?);
        self.attention(q, k, v, heads, segments)
    }

    /// Two linear layers with GELU between them.
    ///
    /// # Errors
    /// If the task lacks a layer.
    fn feed_forward(&mut self, x: &Self::Value, layers: [LayerId; 2]) -> Result<Self::Value, Self::Error> {
        let middle = self.linear(x, layers[0])?;
        let middle = self.gelu(middle)?;
        self.linear(&middle, layers[1])
    }

    /// Mean of the rows of each example after its first `skip`: `[examples, features]`.
    fn mean_rows(&mut self, x: Self::Value, segments: &Segments, skip: usize) -> Result<Self::Value, Self::Error>;

    /// Highest value of each column among the rows of each example: `[examples, features]`.
    fn max_rows(&mut self, x: Self::Value, segments: &Segments) -> Result<Self::Value, Self::Error>;

    /// Row `at` of each example: `[examples, features]`.
    fn rows_at(&mut self, x: &Self::Value, segments: &Segments, at: usize) -> Result<Self::Value, Self::Error>;
}
