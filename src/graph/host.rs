//! The CPU as a backend.

use std::rc::Rc;

use super::backend::Tensors;
use super::backward::{Backward, NodeId};
use super::error::Error;
use super::layout::{LayerId, Layout, Part};
use super::record::{Saved, Var};
use super::weights::{Floats, LinearWeights, Matrix, WeightRef, Weights};
use crate::kernels::{self, Kept, LayersGrad, LinearGrad, Normalized, Purpose, Tensor, Workspace};

/// Kernels of the CPU with the weights of one task, which are read in place.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    pub(super) weights: &'a dyn Weights,
    pub(super) workspace: &'a Workspace,
}

/// What a layer normalization saved, and the layer that scales it.
#[derive(Clone)]
pub struct Scaled {
    pub(super) normalized: Rc<Normalized>,
    pub(super) layer: LayerId,
}

impl<'a> Host<'a> {
    /// Computes with these weights, on the threads and with the buffers of a workspace.
    pub fn new(weights: &'a dyn Weights, workspace: &'a Workspace) -> Self {
        Self { weights, workspace }
    }

    pub(super) fn weight(&self, layer: LayerId) -> Result<Matrix<'a>, Error> {
        Ok(self.weights.weight(layer)?.matrix(self.workspace))
    }

    /// The weight of a layer whose weight is a vector, as the scale of a norm.
    pub(super) fn scale(&self, layer: LayerId) -> Result<Floats<'a>, Error> {
        Ok(self.weights.weight(layer)?.floats(self.workspace))
    }

    pub(super) fn bias(&self, layer: LayerId) -> Option<Floats<'a>> {
        self.weights.param(layer, Part::Bias).map(|bias: WeightRef<'a>| bias.floats(self.workspace))
    }

    /// Weight and bias of a linear layer.
    pub(super) fn linear(&self, layer: LayerId) -> Result<LinearWeights<'a>, Error> {
        self.weights.linear(self.workspace, layer)
    }

    /// A value's buffer, to compute in where nothing else holds it.
    pub(super) fn owned(&self, value: Rc<Tensor>) -> Tensor {
        Rc::try_unwrap(value).unwrap_or_else(|shared| self.workspace.copy(&shared))
    }

    /// What `body` makes of an activation that was saved.
    pub(super) fn recall<R>(&self, saved: &Saved<Self>, body: impl FnOnce(Kept<'_>) -> R) -> Result<R, Error> {
        match saved {
            Saved::Value(values) => Ok(body(Kept::Values(values))),
            Saved::Recipe(Scaled { normalized, layer }) => {
                let (scale, bias) = (self.scale(*layer)?, self.bias(*layer));
                Ok(body(Kept::Normalized(normalized, &scale, bias.as_deref())))
            }
        }
    }
}

impl Tensors for Host<'_> {
    type Tensor = Tensor;
    type Recipe = Scaled;
    type Error = Error;

    fn layout(&self) -> &Layout {
        self.weights.layout()
    }

    fn workspace(&self) -> &Workspace {
        self.workspace
    }

    fn has_bias(&self, layer: LayerId) -> bool {
        self.weights.param(layer, Part::Bias).is_some()
    }

    fn dims(tensor: &Tensor) -> [usize; 2] {
        [tensor.rows(), tensor.cols()]
    }

    fn mark(tensor: &Tensor, purpose: Purpose) {
        tensor.mark(purpose);
    }

    fn send(&self, values: Tensor) -> Result<Tensor, Error> {
        Ok(values)
    }

    fn copy(&self, tensor: &Tensor) -> Result<Tensor, Error> {
        Ok(self.workspace.copy(tensor))
    }

    fn sum(&self, mut a: Tensor, b: Tensor) -> Result<Tensor, Error> {
        kernels::add(self.workspace, &mut a, &b);
        Ok(a)
    }

    fn column_sums(&self, dy: &Tensor) -> Result<Tensor, Error> {
        let mut sums = self.workspace.zeros(1, dy.cols());
        kernels::add_column_sums(dy, &mut sums);
        Ok(sums)
    }
}

impl Var<Host<'_>> {
    /// Its values, copied where the graph holds them, too.
    pub fn into_value(self, workspace: &Workspace) -> Tensor {
        Rc::try_unwrap(self.value).unwrap_or_else(|shared| workspace.copy(&shared))
    }
}

impl Backward<'_, Host<'_>> {
    /// Hands out what a kernel has formed of several layers with one input, and passes on the gradient of that.
    pub(super) fn give_layers<const N: usize>(
        &mut self,
        layers: [LayerId; N],
        grads: LayersGrad<N>,
        node: Option<NodeId>,
    ) -> Result<(), Error> {
        for (layer, grad) in layers.into_iter().zip(grads.layers).rev() {
            if let Some(LinearGrad { weight, bias }) = grad {
                self.give(layer, weight, self.backend.has_bias(layer).then_some(bias))?;
            }
        }
        assert_eq!(node.is_some(), grads.input.is_some(), "a gradient of the input is formed where it flows on");
        node.zip(grads.input).map_or(Ok(()), |(node, dx)| self.flow(node, dx))
    }
}
