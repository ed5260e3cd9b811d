//! A part of a network run by itself.

use std::ops::Range;
use std::sync::Arc;

use super::{BatchNorm, ConvNorm, Error, Images, Input, LayerId, Network, Ops};
use crate::kernels::{Grid, Heads, Interpolation, Segments, Tensor, Window, Workspace};

/// Computes what lies between two cuts of a network; what comes before and after has no values and computes nothing.
struct Stretch<O: Ops> {
    ops: O,
    /// Cuts that come before it.
    number: usize,
    passed: usize,
    start: Option<O::Value>,
    end: Option<O::Value>,
}

impl<O: Ops> Stretch<O> {
    /// The one after `number` cuts, which starts with these values; the first starts with the input.
    fn new(ops: O, number: usize, start: Option<O::Value>) -> Self {
        Self { ops, number, passed: 0, start, end: None }
    }

    /// What it was computed with, and the values at its end.
    ///
    /// # Errors
    /// If the network did not come to its end, since it is cut where other values than one go on.
    fn end(self) -> Result<(O, O::Value), Error> {
        let message =
            || format!("the network gives nothing at its cut {}, from which it is computed again", self.number);
        let end = self.end.ok_or_else(|| Error::Input { message: message() })?;
        Ok((self.ops, end))
    }

    fn within(&mut self) -> Option<&mut O> {
        (self.passed == self.number).then_some(&mut self.ops)
    }
}

/// Goes back through what lies before the last of a network's `cuts`, stretch by stretch, from the `gradient` at that cut
/// where one flows to it. `begin` makes what a stretch is computed with and the values at the cut that it starts with, if
/// any; `walk` goes back through a stretch and gives the gradient at its start.
///
/// # Errors
/// If the input does not fit the network, or `walk` fails.
pub(crate) fn back_through<O: Ops, C, G, E: From<Error>>(
    network: &impl Network,
    input: &Input,
    mut cuts: Vec<C>,
    mut gradient: Option<G>,
    begin: impl Fn(Option<&C>) -> (O, Option<O::Value>),
    mut walk: impl FnMut(O, O::Value, G) -> Result<Option<G>, E>,
) -> Result<(), E> {
    while let (Some(dy), Some(end)) = (gradient.take(), cuts.pop()) {
        // Its values are the result of what is computed again.
        drop(end);
        let (ops, start) = begin(cuts.last());
        let mut stretch = Stretch::new(ops, cuts.len(), start);
        network.logits(&mut stretch, input)?;
        let (ops, output) = stretch.end()?;
        gradient = walk(ops, output, dy)?;
    }
    Ok(())
}

impl<O: Ops> Ops for Stretch<O> {
    type Value = Option<O::Value>;

    fn workspace(&self) -> &Workspace {
        self.ops.workspace()
    }

    fn cut(&mut self, x: Self::Value) -> Self::Value {
        if self.passed == self.number {
            self.end = x;
        }
        self.passed += 1;
        if self.passed == self.number { self.start.take() } else { None }
    }

    fn constant(&mut self, tensor: Tensor) -> Self::Value {
        Some(self.within()?.constant(tensor))
    }

    fn patches(&mut self, images: &Images, size: usize) -> Self::Value {
        Some(self.within()?.patches(images, size))
    }

    fn gather(&mut self, layer: LayerId, indices: &[u32], onto: Option<Self::Value>) -> Result<Self::Value, Error> {
        let onto = match onto {
            Some(None) => return Ok(None),
            onto => onto.flatten(),
        };
        self.within().map(|ops| ops.gather(layer, indices, onto)).transpose()
    }

    fn gather_interpolated(
        &mut self,
        layer: LayerId,
        map: &Arc<Interpolation>,
        indices: &[u32],
        onto: Self::Value,
    ) -> Result<Self::Value, Error> {
        onto.map(|onto| self.ops.gather_interpolated(layer, map, indices, onto)).transpose()
    }

    fn prepend(&mut self, x: &Self::Value, layer: LayerId, segments: &Segments) -> Result<Self::Value, Error> {
        x.as_ref().map(|x| self.ops.prepend(x, layer, segments)).transpose()
    }

    fn linear(&mut self, x: &Self::Value, layer: LayerId) -> Result<Self::Value, Error> {
        x.as_ref().map(|x| self.ops.linear(x, layer)).transpose()
    }

    fn conv(&mut self, x: &Self::Value, grid: Grid, layer: LayerId, window: Window) -> Result<Self::Value, Error> {
        x.as_ref().map(|x| self.ops.conv(x, grid, layer, window)).transpose()
    }

    fn batch_norm(
        &mut self,
        x: &Self::Value,
        norm: &BatchNorm,
        residual: Option<&Self::Value>,
    ) -> Result<Self::Value, Error> {
        match (x, residual) {
            (None, _) | (_, Some(None)) => Ok(None),
            (Some(x), residual) => self.ops.batch_norm(x, norm, residual.and_then(Option::as_ref)).map(Some),
        }
    }

    fn conv_norm(
        &mut self,
        x: &Self::Value,
        grid: Grid,
        unit: &ConvNorm,
        residual: Option<&Self::Value>,
    ) -> Result<Self::Value, Error> {
        match (x, residual) {
            (None, _) | (_, Some(None)) => Ok(None),
            (Some(x), residual) => self.ops.conv_norm(x, grid, unit, residual.and_then(Option::as_ref)).map(Some),
        }
    }

    fn max_pool(&mut self, x: Self::Value, grid: Grid, window: Window) -> Self::Value {
        Some(self.ops.max_pool(x?, grid, window))
    }

    fn average_pool(&mut self, x: Self::Value, grid: Grid, window: Window) -> Self::Value {
        Some(self.ops.average_pool(x?, grid, window))
    }

    fn concat(&mut self, parts: &[&Self::Value]) -> Self::Value {
        let parts = parts.iter().map(|part| part.as_ref()).collect::<Option<Vec<_>>>()?;
        Some(self.ops.concat(&parts))
    }

    fn columns(&mut self, x: &Self::Value, range: Range<usize>) -> Self::Value {
        Some(self.ops.columns(x.as_ref()?, range))
    }

    fn subsample_pad(
        &mut self,
        x: &Self::Value,
        grid: Grid,
        stride: usize,
        before: usize,
        after: usize,
    ) -> Self::Value {
        Some(self.ops.subsample_pad(x.as_ref()?, grid, stride, before, after))
    }

    fn layer_norm(&mut self, x: &Self::Value, layer: LayerId, eps: f32) -> Result<Self::Value, Error> {
        x.as_ref().map(|x| self.ops.layer_norm(x, layer, eps)).transpose()
    }

    fn gelu(&mut self, x: Self::Value) -> Self::Value {
        Some(self.ops.gelu(x?))
    }

    fn tanh(&mut self, x: Self::Value) -> Self::Value {
        Some(self.ops.tanh(x?))
    }

    fn add(&mut self, x: Self::Value, y: &Self::Value) -> Self::Value {
        Some(self.ops.add(x?, y.as_ref()?))
    }

    fn attention(
        &mut self,
        q: Self::Value,
        k: Self::Value,
        v: Self::Value,
        heads: Heads,
        segments: &Segments,
    ) -> Self::Value {
        Some(self.ops.attention(q?, k?, v?, heads, segments))
    }

    fn self_attention(
        &mut self,
        x: &Self::Value,
        layers: [LayerId; 3],
        heads: Heads,
        segments: &Segments,
    ) -> Result<Self::Value, Error> {
        x.as_ref().map(|x| self.ops.self_attention(x, layers, heads, segments)).transpose()
    }

    fn feed_forward(&mut self, x: &Self::Value, layers: [LayerId; 2]) -> Result<Self::Value, Error> {
        x.as_ref().map(|x| self.ops.feed_forward(x, layers)).transpose()
    }

    fn mean_rows(&mut self, x: Self::Value, segments: &Segments, skip: usize) -> Self::Value {
        Some(self.ops.mean_rows(x?, segments, skip))
    }

    fn max_rows(&mut self, x: Self::Value, segments: &Segments) -> Self::Value {
        Some(self.ops.max_rows(x?, segments))
    }

    fn rows_at(&mut self, x: &Self::Value, segments: &Segments, at: usize) -> Self::Value {
        Some(self.ops.rows_at(x.as_ref()?, segments, at))
    }
}
