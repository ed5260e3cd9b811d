//! A graph as what networks are written against.

use std::ops::Range;
use std::sync::Arc;

use super::{BatchNorm, ConvNorm, Images, LayerId, Ops};
use crate::graph::{Backend, Graph, Result, Var};
use crate::kernels::{Grid, Heads, Interpolation, Segments, Tensor, Window, Workspace};

impl<'a, B: Backend + 'a> Ops for Graph<'a, B> {
    type Value = Var<B>;
    type Error = B::Error;

    fn workspace(&self) -> &Workspace {
        self.backend().workspace()
    }

    fn checkpoint(&mut self, x: Var<B>) -> Var<B> {
        Graph::checkpoint(self, x)
    }

    fn constant(&mut self, tensor: Tensor) -> Result<Var<B>, B> {
        self.input(tensor)
    }

    fn patches(&mut self, images: &Images, size: usize) -> Result<Var<B>, B> {
        Graph::patches(self, images, size)
    }

    fn gather(&mut self, layer: LayerId, indices: &[u32], onto: Option<Var<B>>) -> Result<Var<B>, B> {
        Graph::gather(self, layer, indices, onto)
    }

    fn gather_interpolated(
        &mut self,
        layer: LayerId,
        map: &Arc<Interpolation>,
        indices: &[u32],
        onto: Var<B>,
    ) -> Result<Var<B>, B> {
        Graph::gather_interpolated(self, layer, map, indices, onto)
    }

    fn prepend(&mut self, x: &Var<B>, layer: LayerId, segments: &Segments) -> Result<Var<B>, B> {
        Graph::prepend(self, x, layer, segments)
    }

    fn linear(&mut self, x: &Var<B>, layer: LayerId) -> Result<Var<B>, B> {
        Graph::linear(self, x, layer)
    }

    fn conv(&mut self, x: &Var<B>, grid: Grid, layer: LayerId, window: Window) -> Result<Var<B>, B> {
        Graph::conv(self, x, grid, layer, window)
    }

    fn batch_norm(&mut self, x: &Var<B>, norm: &BatchNorm, residual: Option<&Var<B>>) -> Result<Var<B>, B> {
        Graph::batch_norm(self, x, norm, residual)
    }

    fn conv_norm(&mut self, x: &Var<B>, grid: Grid, unit: &ConvNorm, residual: Option<&Var<B>>) -> Result<Var<B>, B> {
        Graph::conv_norm(self, x, grid, unit, residual)
    }

    fn max_pool(&mut self, x: Var<B>, grid: Grid, window: Window) -> Result<Var<B>, B> {
        Graph::max_pool(self, x, grid, window)
    }

    fn average_pool(&mut self, x: Var<B>, grid: Grid, window: Window) -> Result<Var<B>, B> {
        Graph::average_pool(self, x, grid, window)
    }

    fn concat(&mut self, parts: &[&Var<B>]) -> Result<Var<B>, B> {
        Graph::concat(self, parts)
    }

    fn columns(&mut self, x: &Var<B>, range: Range<usize>) -> Result<Var<B>, B> {
        Graph::columns(self, x, range)
    }

    fn subsample_pad(
        &mut self,
        x: &Var<B>,
        grid: Grid,
        stride: usize,
        before: usize,
        after: usize,
    ) -> Result<Var<B>, B> {
        Graph::subsample_pad(self, x, grid, stride, [before, after])
    }

    fn layer_norm(&mut self, x: &Var<B>, layer: LayerId, eps: f32) -> Result<Var<B>, B> {
        Graph::layer_norm(self, x, layer, eps)
    }

    fn gelu(&mut self, x: Var<B>) -> Result<Var<B>, B> {
        Graph::gelu(self, x)
    }

    fn tanh(&mut self, x: Var<B>) -> Result<Var<B>, B> {
        Graph::tanh(self, x)
    }

    fn add(&mut self, x: Var<B>, y: &Var<B>) -> Result<Var<B>, B> {
        Graph::add(self, x, y)
    }

    fn attention(&mut self, q: Var<B>, k: Var<B>, v: Var<B>, heads: Heads, segments: &Segments) -> Result<Var<B>, B> {
        Graph::attention(self, q, k, v, heads, segments)
    }

    fn self_attention(
        &mut self,
        x: &Var<B>,
        layers: [LayerId; 3],
        heads: Heads,
        segments: &Segments,
    ) -> Result<Var<B>, B> {
        Graph::self_attention(self, x, layers, heads, segments)
    }

    fn feed_forward(&mut self, x: &Var<B>, layers: [LayerId; 2]) -> Result<Var<B>, B> {
        Graph::feed_forward(self, x, layers)
    }

    fn mean_rows(&mut self, x: Var<B>, segments: &Segments, skip: usize) -> Result<Var<B>, B> {
        Graph::mean_rows(self, x, segments, skip)
    }

    fn max_rows(&mut self, x: Var<B>, segments: &Segments) -> Result<Var<B>, B> {
        Graph::max_rows(self, x, segments)
    }

    fn rows_at(&mut self, x: &Var<B>, segments: &Segments, at: usize) -> Result<Var<B>, B> {
        Graph::rows_at(self, x, segments, at)
    }
}
