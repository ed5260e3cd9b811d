//! The forward pass: operations computed at once, nothing kept.

use std::ops::Range;
use std::sync::Arc;

use super::{BatchNorm, ConvNorm, Error, LayerId, Ops, Part, WeightRef, Weights};
use crate::kernels::{self, Epilogue, Grid, Heads, Interpolation, Segments, Tensor, Window, Workspace};

/// Computes operations with the weights of one task and keeps nothing for a backward pass.
pub struct Eval<'a, W: Weights> {
    weights: &'a W,
    workspace: &'a Workspace,
}

impl<'a, W: Weights> Eval<'a, W> {
    /// An evaluation with these weights.
    pub fn new(weights: &'a W, workspace: &'a Workspace) -> Self {
        Self { weights, workspace }
    }

    fn bias(&self, layer: LayerId) -> Option<WeightRef<'a>> {
        self.weights.param(layer, Part::Bias)
    }
}

impl<W: Weights> Ops for Eval<'_, W> {
    type Value = Tensor;

    fn workspace(&self) -> &Workspace {
        self.workspace
    }

    fn constant(&mut self, tensor: Tensor) -> Tensor {
        tensor
    }

    fn gather(&mut self, layer: LayerId, indices: &[u32], onto: Option<Tensor>) -> Result<Tensor, Error> {
        self.weights.gather(self.workspace, layer, indices, onto)
    }

    fn gather_interpolated(
        &mut self,
        layer: LayerId,
        map: &Arc<Interpolation>,
        indices: &[u32],
        onto: Tensor,
    ) -> Result<Tensor, Error> {
        self.weights.gather_interpolated(self.workspace, layer, map, indices, onto)
    }

    fn prepend(&mut self, x: &Tensor, layer: LayerId, segments: &Segments) -> Result<Tensor, Error> {
        let row = self.weights.weight(layer)?.floats(self.workspace);
        Ok(kernels::prepend_row(self.workspace, x, &row, segments))
    }

    fn linear(&mut self, x: &Tensor, layer: LayerId) -> Result<Tensor, Error> {
        let weight = self.weights.weight(layer)?.floats(self.workspace);
        let bias = self.bias(layer).map(|bias| bias.floats(self.workspace));
        Ok(kernels::linear(self.workspace, x, &weight, bias.as_deref()))
    }

    fn conv(&mut self, x: &Tensor, grid: Grid, layer: LayerId, window: Window) -> Result<Tensor, Error> {
        let bias = self.bias(layer).map(|bias| bias.floats(self.workspace));
        let epilogue = Epilogue { shift: bias.as_deref(), ..Epilogue::default() };
        self.weights.convolve(self.workspace, x, grid, layer, window, epilogue)
    }

    fn batch_norm(&mut self, x: &Tensor, norm: &BatchNorm, residual: Option<&Tensor>) -> Result<Tensor, Error> {
        let (scale, shift) = norm.fold(self.weights, self.workspace)?;
        let residual = residual.map(|residual| &residual[..]);
        let (scale, shift, activation) = (Some(&scale[..]), Some(&shift[..]), norm.activation);
        Ok(kernels::affine(self.workspace, x, Epilogue { scale, shift, residual, activation }))
    }

    fn conv_norm(
        &mut self,
        x: &Tensor,
        grid: Grid,
        unit: &ConvNorm,
        residual: Option<&Tensor>,
    ) -> Result<Tensor, Error> {
        let (scale, shift) = unit.norm.fold(self.weights, self.workspace)?;
        let residual = residual.map(|residual| &residual[..]);
        let (scale, shift, activation) = (Some(&scale[..]), Some(&shift[..]), unit.norm.activation);
        let epilogue = Epilogue { scale, shift, residual, activation };
        self.weights.convolve(self.workspace, x, grid, unit.conv, unit.window, epilogue)
    }

    fn max_pool(&mut self, x: Tensor, grid: Grid, window: Window) -> Tensor {
        kernels::max_pool(self.workspace, &x, grid, window)
    }

    fn average_pool(&mut self, x: Tensor, grid: Grid, window: Window) -> Tensor {
        kernels::average_pool(self.workspace, &x, grid, window)
    }

    fn concat(&mut self, parts: &[&Tensor]) -> Tensor {
        kernels::concat_columns(self.workspace, parts)
    }

    fn columns(&mut self, x: &Tensor, range: Range<usize>) -> Tensor {
        kernels::columns(self.workspace, x, range)
    }

    fn subsample_pad(&mut self, x: &Tensor, grid: Grid, stride: usize, before: usize, after: usize) -> Tensor {
        kernels::subsample_pad(self.workspace, x, grid, stride, before, after)
    }

    fn layer_norm(&mut self, x: &Tensor, layer: LayerId, eps: f32) -> Result<Tensor, Error> {
        let scale = self.weights.weight(layer)?.floats(self.workspace);
        let bias = self.bias(layer).map(|bias| bias.floats(self.workspace));
        Ok(kernels::layer_norm(self.workspace, x, &scale, bias.as_deref().unwrap_or(&[]), eps))
    }

    fn gelu(&mut self, mut x: Tensor) -> Tensor {
        kernels::gelu(self.workspace, &mut x);
        x
    }

    fn tanh(&mut self, mut x: Tensor) -> Tensor {
        kernels::tanh(self.workspace, &mut x);
        x
    }

    fn add(&mut self, mut x: Tensor, y: &Tensor) -> Tensor {
        kernels::add(self.workspace, &mut x, y);
        x
    }

    fn attention(&mut self, q: Tensor, k: Tensor, v: Tensor, heads: Heads, segments: &Segments) -> Tensor {
        kernels::attention(self.workspace, &q, &k, &v, heads, segments)
    }

    fn self_attention(
        &mut self,
        x: &Tensor,
        layers: [LayerId; 3],
        heads: Heads,
        segments: &Segments,
    ) -> Result<Tensor, Error> {
        let [q, k, v] = layers.map(|layer| self.weights.linear(self.workspace, layer));
        let (q, k, v) = (q?, k?, v?);
        Ok(kernels::self_attention(self.workspace, x, [q.get(), k.get(), v.get()], heads, segments))
    }

    fn feed_forward(&mut self, x: &Tensor, [inner, outer]: [LayerId; 2]) -> Result<Tensor, Error> {
        let linear = |layer| self.weights.linear(self.workspace, layer);
        let (inner, outer) = (linear(inner)?, linear(outer)?);
        Ok(kernels::feed_forward(self.workspace, x, [inner.get(), outer.get()]))
    }

    fn mean_rows(&mut self, x: Tensor, segments: &Segments, skip: usize) -> Tensor {
        kernels::mean_rows(self.workspace, &x, segments, skip)
    }

    fn max_rows(&mut self, x: Tensor, segments: &Segments) -> Tensor {
        kernels::max_rows(self.workspace, &x, segments)
    }

    fn rows_at(&mut self, x: &Tensor, segments: &Segments, at: usize) -> Tensor {
        kernels::rows_at(self.workspace, x, segments, at)
    }
}
