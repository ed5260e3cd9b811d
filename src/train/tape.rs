//! The forward pass recorded: what the backward pass needs is kept, and nothing else.

use std::sync::Arc;

use crate::kernels::{self, Heads, Normalized, Segments, Tensor, Workspace};
use crate::runtime::{Error, LayerId, Ops, Part, Weights};

/// An activation and, where a gradient flows to it, its place on the tape.
pub struct Recorded {
    pub(super) data: Arc<Tensor>,
    pub(super) node: Option<NodeId>,
}

impl Recorded {
    /// Its values.
    pub fn values(&self) -> &Tensor {
        &self.data
    }
}

pub(super) type NodeId = usize;

/// Computes operations and records those that a gradient flows through.
///
/// A gradient flows from the earliest layer whose gradient is wanted: what lies before it is computed
/// as in evaluation. A linear layer's input is kept only if that layer's gradient is wanted.
pub struct Tape<'a, W: Weights> {
    pub(super) weights: &'a W,
    pub(super) workspace: &'a Workspace,
    wanted: &'a [bool],
    pub(super) nodes: Vec<Node>,
}

/// One recorded operation: what it kept, and the nodes its gradient flows on to.
pub(super) enum Node {
    Gather { layer: LayerId, indices: Option<Vec<u32>>, onto: Option<NodeId> },
    Prepend { layer: LayerId, wanted: bool, x: Option<NodeId>, segments: Segments },
    Linear { layer: LayerId, kept: Option<Arc<Tensor>>, x: Option<NodeId> },
    LayerNorm { layer: LayerId, wanted: bool, normalized: Normalized, x: Option<NodeId> },
    Gelu { kept: Arc<Tensor>, x: NodeId },
    Add { x: Option<NodeId>, y: Option<NodeId> },
    Attention { kept: [Arc<Tensor>; 3], inputs: [Option<NodeId>; 3], heads: Heads, segments: Segments },
    MeanRows { x: NodeId, segments: Segments },
    FirstRows { x: NodeId, segments: Segments },
}

impl<'a, W: Weights> Tape<'a, W> {
    /// An empty tape that will give the gradients of the layers that are true in `wanted`, one for each
    /// layer of the network.
    pub fn new(weights: &'a W, wanted: &'a [bool], workspace: &'a Workspace) -> Self {
        Self { weights, workspace, wanted, nodes: Vec::new() }
    }

    /// Number of recorded operations.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn wants(&self, layer: LayerId) -> bool {
        self.wanted[layer.index()]
    }

    fn record(&mut self, data: Tensor, flows: bool, node: impl FnOnce() -> Node) -> Recorded {
        let node = flows.then(|| {
            self.nodes.push(node());
            self.nodes.len() - 1
        });
        Recorded { data: Arc::new(data), node }
    }

    /// The value's buffer, to compute in where nothing else holds it.
    fn owned(&self, data: Arc<Tensor>) -> Tensor {
        Arc::try_unwrap(data).unwrap_or_else(|shared| self.workspace.copy(&shared))
    }
}

impl<W: Weights> Ops for Tape<'_, W> {
    type Value = Recorded;

    fn workspace(&self) -> &Workspace {
        self.workspace
    }

    fn constant(&mut self, tensor: Tensor) -> Recorded {
        Recorded { data: Arc::new(tensor), node: None }
    }

    fn gather(&mut self, layer: LayerId, indices: &[u32], onto: Option<Recorded>) -> Result<Recorded, Error> {
        let (onto, node) = onto.map_or((None, None), |onto| (Some(self.owned(onto.data)), onto.node));
        let out = self.weights.gather(self.workspace, layer, indices, onto)?;
        let wanted = self.wants(layer);
        let indices = || wanted.then(|| indices.to_vec());
        Ok(self.record(out, wanted || node.is_some(), || Node::Gather { layer, indices: indices(), onto: node }))
    }

    fn prepend(&mut self, x: &Recorded, layer: LayerId, segments: &Segments) -> Result<Recorded, Error> {
        let row = self.weights.weight(layer)?.floats(self.workspace);
        let out = kernels::prepend_row(self.workspace, &x.data, &row, segments);
        let (wanted, x) = (self.wants(layer), x.node);
        let segments = || segments.clone();
        Ok(self.record(out, wanted || x.is_some(), || Node::Prepend { layer, wanted, x, segments: segments() }))
    }

    fn linear(&mut self, x: &Recorded, layer: LayerId) -> Result<Recorded, Error> {
        let weight = self.weights.weight(layer)?.floats(self.workspace);
        let bias = self.weights.param(layer, Part::Bias).map(|bias| bias.floats(self.workspace));
        let out = kernels::linear(self.workspace, &x.data, &weight, bias.as_deref());
        let kept = self.wants(layer).then(|| x.data.clone());
        let flows = kept.is_some() || x.node.is_some();
        Ok(self.record(out, flows, || Node::Linear { layer, kept, x: x.node }))
    }

    fn layer_norm(&mut self, x: &Recorded, layer: LayerId, eps: f32) -> Result<Recorded, Error> {
        let scale = self.weights.weight(layer)?.floats(self.workspace);
        let bias = self.weights.param(layer, Part::Bias).map(|bias| bias.floats(self.workspace));
        let bias = bias.as_deref().unwrap_or(&[]);
        let wanted = self.wants(layer);
        if !wanted && x.node.is_none() {
            let out = kernels::layer_norm(self.workspace, &x.data, &scale, bias, eps);
            return Ok(self.constant(out));
        }
        let (out, normalized) = kernels::layer_norm_kept(self.workspace, &x.data, &scale, bias, eps);
        Ok(self.record(out, true, || Node::LayerNorm { layer, wanted, normalized, x: x.node }))
    }

    fn gelu(&mut self, x: Recorded) -> Recorded {
        let kept = x.node.map(|node| (node, x.data.clone()));
        let mut out = self.owned(x.data);
        kernels::gelu(self.workspace, &mut out);
        match kept {
            Some((x, kept)) => self.record(out, true, || Node::Gelu { kept, x }),
            None => self.constant(out),
        }
    }

    fn add(&mut self, x: Recorded, y: &Recorded) -> Recorded {
        let (x_node, y_node) = (x.node, y.node);
        let mut out = self.owned(x.data);
        kernels::add_assign(&mut out, &y.data);
        self.record(out, x_node.is_some() || y_node.is_some(), || Node::Add { x: x_node, y: y_node })
    }

    fn attention(&mut self, q: Recorded, k: Recorded, v: Recorded, heads: Heads, segments: &Segments) -> Recorded {
        let out = kernels::attention(self.workspace, &q.data, &k.data, &v.data, heads, segments);
        let inputs = [q.node, k.node, v.node];
        let kept = [q.data, k.data, v.data];
        let flows = inputs.iter().any(Option::is_some);
        self.record(out, flows, || Node::Attention { kept, inputs, heads, segments: segments.clone() })
    }

    fn mean_rows(&mut self, x: Recorded, segments: &Segments) -> Recorded {
        let out = kernels::mean_rows(self.workspace, &x.data, segments);
        match x.node {
            Some(x) => self.record(out, true, || Node::MeanRows { x, segments: segments.clone() }),
            None => self.constant(out),
        }
    }

    fn first_rows(&mut self, x: Recorded, segments: &Segments) -> Recorded {
        let out = kernels::first_rows(self.workspace, &x.data, segments);
        match x.node {
            Some(x) => self.record(out, true, || Node::FirstRows { x, segments: segments.clone() }),
            None => self.constant(out),
        }
    }
}
