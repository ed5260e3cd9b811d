//! The graph of a forward pass, and the walk back through it: what the backward pass needs is saved, and nothing else.

use std::rc::Rc;

use super::backend::{Result, Tensors};
use super::backward::{Backward, NodeId, Operation, Sink};
use super::layout::LayerId;
use crate::kernels;

/// An activation and, where a gradient flows to it, the operation that it is the result of.
pub struct Var<B: Tensors> {
    pub(super) value: Rc<B::Tensor>,
    pub(super) node: Option<NodeId>,
    pub(super) recipe: Option<B::Recipe>,
}

/// What comes of an operation in a graph, or why the backend could not compute it.
pub type Output<B> = Result<Var<B>, B>;

/// An activation saved for the backward pass: itself, or what it is formed from again and what is kept anyway.
pub enum Saved<B: Tensors> {
    /// Its values.
    Value(Rc<B::Tensor>),
    /// What they are formed from.
    Recipe(B::Recipe),
}

impl<B: Tensors> Var<B> {
    /// Its values.
    pub fn value(&self) -> &B::Tensor {
        &self.value
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        B::dims(&self.value)
    }

    /// Its values, saved for the backward pass.
    pub(super) fn keep(&self) -> Rc<B::Tensor> {
        B::keep(&self.value)
    }

    /// The same, or what they are formed from again.
    pub(super) fn save(&self) -> Saved<B> {
        match &self.recipe {
            Some(recipe) => Saved::Recipe(recipe.clone()),
            None => Saved::Value(self.keep()),
        }
    }
}

impl<B: Tensors> Clone for Var<B> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), node: self.node, recipe: self.recipe.clone() }
    }
}

/// The backward pass of one operation: gets the gradient of its result.
pub(super) type Step<'a, B> = Box<dyn FnOnce(<B as Tensors>::Tensor, &mut Backward<'_, B>) -> Result<(), B> + 'a>;

/// A recorded operation.
pub(super) struct Node<'a, B: Tensors> {
    pub(super) operation: Operation,
    /// None for values that were computed before.
    pub(super) step: Option<Step<'a, B>>,
}

/// Values at a checkpoint, and whether a gradient flows to them.
pub struct Checkpoint<B: Tensors> {
    value: Rc<B::Tensor>,
    flows: bool,
}

/// Mean and variance of the channels that a batch normalization saw.
pub struct Moments<T = kernels::Tensor> {
    /// The normalization.
    pub layer: LayerId,
    /// Mean of each channel, `[1, channels]`.
    pub mean: T,
    /// Mean squared distance from it, `[1, channels]`.
    pub variance: T,
    /// Rows that they are over.
    pub rows: usize,
}

/// Which way a graph is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// From the input to the result.
    Forward,
    /// From the gradient of the result to those of the layers.
    Backward,
}

/// Is told of each operation when it has been computed.
pub type Watch<'a> = &'a dyn Fn(Pass, &Operation);

/// Computes operations and records those that a gradient flows through.
///
/// A gradient flows from the earliest layer whose gradient is wanted: what lies before it is computed as in evaluation. The
/// input of a layer is saved only if that layer's gradient is wanted.
pub struct Graph<'a, B: Tensors + 'a> {
    pub(super) backend: B,
    pub(super) wanted: &'a [bool],
    pub(super) nodes: Vec<Node<'a, B>>,
    pub(super) batch_statistics: bool,
    /// None where nothing is computed again.
    checkpoints: Option<Vec<Checkpoint<B>>>,
    pub(super) moments: Vec<Moments<B::Tensor>>,
    watch: Option<Watch<'a>>,
}

impl<'a, B: Tensors + 'a> Graph<'a, B> {
    /// An empty graph that will give the gradients of the layers that are true in `wanted`, one for each layer of the
    /// network.
    pub fn new(backend: B, wanted: &'a [bool]) -> Self {
        let (nodes, moments, checkpoints) = (Vec::new(), Vec::new(), None);
        Self { backend, wanted, nodes, batch_statistics: false, checkpoints, moments, watch: None }
    }

    /// A graph that records nothing: a pass of evaluation.
    pub fn eval(backend: B) -> Self {
        Self::new(backend, &[])
    }

    /// The same, which saves of what lies before a network's last checkpoint nothing but the values at its checkpoints: the
    /// backward pass computes the rest again (Chen et al. 2016, arXiv 1604.06174). Less memory, and the time of up to another
    /// forward pass.
    pub fn with_recomputation(self, recompute: bool) -> Self {
        Self { checkpoints: recompute.then(Vec::new), ..self }
    }

    /// The same with batch normalization by the statistics of each batch, as in training from scratch.
    pub fn with_batch_statistics(self, batch_statistics: bool) -> Self {
        Self { batch_statistics, ..self }
    }

    /// The same that tells `watch` of each operation.
    pub fn with_watch(self, watch: Watch<'a>) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// What computes.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// What batch normalizations by the statistics of the batch saw, in order.
    pub fn take_moments(&mut self) -> Vec<Moments<B::Tensor>> {
        std::mem::take(&mut self.moments)
    }

    /// Number of recorded operations.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Marks a checkpoint: the backward pass may compute again what lies between it and the next in place of saving it.
    pub fn checkpoint(&mut self, x: Var<B>) -> Var<B> {
        let Some(checkpoints) = &mut self.checkpoints else { return x };
        let checkpoint = Checkpoint { value: x.keep(), flows: x.node.is_some() };
        drop(x);
        self.nodes.clear();
        let start = start(&mut self.nodes, &checkpoint);
        checkpoints.push(checkpoint);
        start
    }

    /// The checkpoints of a network that is to be computed again; none from now on.
    pub fn take_checkpoints(&mut self) -> Vec<Checkpoint<B>> {
        self.checkpoints.take().unwrap_or_default()
    }

    /// Begins anew with the values at a checkpoint.
    pub fn resume(&mut self, checkpoint: &Checkpoint<B>) -> Var<B> {
        self.nodes.clear();
        start(&mut self.nodes, checkpoint)
    }

    /// Whether the gradient of this layer is wanted; none is in evaluation.
    pub(super) fn wants(&self, layer: LayerId) -> bool {
        !self.wanted.is_empty() && self.wanted[layer.index()]
    }

    /// The result of an operation that no gradient flows through.
    pub(super) fn plain(&self, name: &'static str, layers: &[LayerId], value: B::Tensor) -> Var<B> {
        self.tell(name, layers);
        Var { value: Rc::new(value), node: None, recipe: None }
    }

    /// The result of an operation, made of products with `layers`, and its backward pass.
    pub(super) fn record(
        &mut self,
        name: &'static str,
        layers: &[LayerId],
        value: impl Into<Rc<B::Tensor>>,
        step: impl FnOnce(B::Tensor, &mut Backward<'_, B>) -> Result<(), B> + 'a,
    ) -> Var<B> {
        self.tell(name, layers);
        self.nodes.push(Node { operation: Operation { name, layers: layers.into() }, step: Some(Box::new(step)) });
        Var { value: value.into(), node: Some(self.nodes.len() - 1), recipe: None }
    }

    fn tell(&self, name: &'static str, layers: &[LayerId]) {
        if let Some(watch) = self.watch {
            watch(Pass::Forward, &Operation { name, layers: layers.into() });
        }
    }
}

impl<'a, B: Tensors + 'a> Graph<'a, B> {
    /// Walks back from `output`, as far as it was recorded, with `gradient` of the same shape; gives the gradient of the
    /// checkpoint that it started with, where one flows to it. `sink` gets the gradients of each wanted layer when they are
    /// formed, from the last layer to the first, and once for each use of a layer; it may free them at once.
    ///
    /// # Errors
    /// What the backend or `sink` refuses.
    pub fn walk(&mut self, output: &Var<B>, gradient: B::Tensor, sink: Sink<'_, B>) -> Result<Option<B::Tensor>, B> {
        let sums = (0..self.nodes.len()).map(|_| None).collect();
        let mut back = Backward { backend: &self.backend, sums, sink, flowed: false };
        let Some(node) = output.node else { return Ok(None) };
        back.flow(node, gradient)?;
        while let Some(node) = self.nodes.pop() {
            let Some(dy) = back.sums.pop().flatten() else { continue };
            let Some(step) = node.step else { return Ok(Some(dy)) };
            back.flowed = false;
            step(dy, &mut back)?;
            if let Some(watch) = self.watch {
                let layers = if back.flowed { node.operation.layers } else { Vec::new() };
                watch(Pass::Backward, &Operation { layers, ..node.operation });
            }
        }
        Ok(None)
    }
}

/// The values at a checkpoint, as what comes after it starts with them.
fn start<B: Tensors>(nodes: &mut Vec<Node<'_, B>>, checkpoint: &Checkpoint<B>) -> Var<B> {
    let node = checkpoint.flows.then(|| {
        nodes.push(Node { operation: Operation { name: "start", layers: Vec::new() }, step: None });
        nodes.len() - 1
    });
    Var { value: checkpoint.value.clone(), node, recipe: None }
}
