//! Gradients on their way back through a graph.

use super::backend::{Result, Tensors};
use super::layout::LayerId;
use crate::kernels::{self, Purpose};

/// The number of an operation in its graph.
pub type NodeId = usize;

/// Gradients of one layer.
pub struct LayerGrad<T = kernels::Tensor> {
    /// Of the weight, in its shape; of a table or a norm's scale as well.
    pub weight: T,
    /// Of the bias, where the layer has one.
    pub bias: Option<T>,
}

impl LayerGrad {
    /// Adds another of the same layer.
    pub fn add(&mut self, other: &Self) {
        kernels::add_assign(&mut self.weight, &other.weight);
        if let (Some(bias), Some(other)) = (&mut self.bias, &other.bias) {
            kernels::add_assign(bias, other);
        }
    }

    /// Sum of the squares of all its values.
    pub fn squared_norm(&self) -> f32 {
        kernels::squared_norm(&self.weight) + self.bias.as_ref().map_or(0.0, |bias| kernels::squared_norm(bias))
    }
}

/// An operation, for those who watch a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it is called in [`Graph`](super::Graph).
    pub name: &'static str,
    /// The layers whose products it is made of, where a gradient flows on to its input.
    pub layers: Vec<LayerId>,
}

/// Gradients on their way from the end of a graph to its start.
pub struct Backward<'g, B: Tensors> {
    pub(super) backend: &'g B,
    /// Of each operation's result, as far as it has been summed.
    pub(super) sums: Vec<Option<B::Tensor>>,
    pub(super) sink: Sink<'g, B>,
    /// Whether a gradient has flowed on from the operation that is gone through.
    pub(super) flowed: bool,
}

/// Gets the gradients of a layer.
pub type Sink<'g, B> = &'g mut dyn FnMut(LayerId, LayerGrad<<B as Tensors>::Tensor>) -> Result<(), B>;

impl<B: Tensors> Backward<'_, B> {
    /// Adds a gradient to that of the result of `node`.
    pub(super) fn flow(&mut self, node: NodeId, gradient: B::Tensor) -> Result<(), B> {
        let sum = match self.sums[node].take() {
            Some(sum) => self.backend.sum(sum, gradient)?,
            None => gradient,
        };
        self.sums[node] = Some(sum);
        self.flowed = true;
        Ok(())
    }

    /// Takes away the gradient that has come to `node` so far, to add to it in place.
    pub(super) fn take(&mut self, node: NodeId) -> Option<B::Tensor> {
        self.sums[node].take()
    }

    /// Hands out the gradients of a layer.
    pub(super) fn give(&mut self, layer: LayerId, weight: B::Tensor, bias: Option<B::Tensor>) -> Result<(), B> {
        B::mark(&weight, Purpose::Gradient);
        bias.iter().for_each(|bias| B::mark(bias, Purpose::Gradient));
        (self.sink)(layer, LayerGrad { weight, bias })
    }

    /// Hands out the gradient of a layer's weight, and with it that of the bias that is added to each row.
    pub(super) fn give_with_bias(&mut self, layer: LayerId, weight: B::Tensor, dy: &B::Tensor) -> Result<(), B> {
        let bias = if self.backend.has_bias(layer) { Some(self.backend.column_sums(dy)?) } else { None };
        self.give(layer, weight, bias)
    }
}
