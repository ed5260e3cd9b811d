//! The forward pass: operations computed at once, nothing kept.

use super::{Error, LayerId, Ops, Part, WeightRef, Weights};
use crate::kernels::{self, Heads, Segments, Tensor, Workspace};

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

    fn prepend(&mut self, x: &Tensor, layer: LayerId, segments: &Segments) -> Result<Tensor, Error> {
        let row = self.weights.weight(layer)?.floats(self.workspace);
        Ok(kernels::prepend_row(self.workspace, x, &row, segments))
    }

    fn linear(&mut self, x: &Tensor, layer: LayerId) -> Result<Tensor, Error> {
        let weight = self.weights.weight(layer)?.floats(self.workspace);
        let bias = self.bias(layer).map(|bias| bias.floats(self.workspace));
        Ok(kernels::linear(self.workspace, x, &weight, bias.as_deref()))
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

    fn add(&mut self, mut x: Tensor, y: &Tensor) -> Tensor {
        kernels::add_assign(&mut x, y);
        x
    }

    fn attention(&mut self, q: Tensor, k: Tensor, v: Tensor, heads: Heads, segments: &Segments) -> Tensor {
        kernels::attention(self.workspace, &q, &k, &v, heads, segments)
    }

    fn mean_rows(&mut self, x: Tensor, segments: &Segments) -> Tensor {
        kernels::mean_rows(self.workspace, &x, segments)
    }

    fn first_rows(&mut self, x: Tensor, segments: &Segments) -> Tensor {
        kernels::first_rows(self.workspace, &x, segments)
    }
}
