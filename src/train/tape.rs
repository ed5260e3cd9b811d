//! The forward pass recorded: what the backward pass needs is kept, and nothing else.

use std::ops::Range;
use std::sync::Arc;

use super::images::ImageNode;
use super::recompute::Cut;
use super::transformer::BlockNode;
use crate::kernels::{self, Grid, Heads, Interpolation, Normalized, Segments, Tensor, Window, Workspace};
use crate::runtime::{BatchNorm, ConvNorm, Error, LayerId, Ops, Part, Weights};

/// An activation and, where a gradient flows to it, its place on the tape.
pub struct Recorded {
    pub(super) data: Arc<Tensor>,
    pub(super) node: Option<NodeId>,
    /// The normalization that its values can be formed from again, scaled as this layer says.
    pub(super) norm: Option<(Arc<Normalized>, LayerId)>,
}

/// An activation kept for the way back: itself, or what it is formed from again and what is kept anyway.
pub(super) enum Kept {
    Value(Arc<Tensor>),
    Norm(Arc<Normalized>, LayerId),
}

impl Recorded {
    pub(super) fn keep(&self) -> Kept {
        match &self.norm {
            Some((normalized, layer)) => Kept::Norm(normalized.clone(), *layer),
            None => Kept::Value(self.data.clone()),
        }
    }

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
    pub(super) wanted: &'a [bool],
    pub(super) nodes: Vec<Node>,
    pub(super) batch_statistics: bool,
    /// Where the network was cut; none where nothing is computed again.
    pub(super) cuts: Option<Vec<Cut>>,
    pub(super) moments: Vec<(Moments, usize)>,
}

/// Mean and variance of the channels that a batch normalization saw.
pub struct Moments {
    /// The normalization.
    pub layer: LayerId,
    /// Mean of each channel, `[1, channels]`.
    pub mean: Tensor,
    /// Mean squared distance from it, `[1, channels]`.
    pub variance: Tensor,
}

/// One recorded operation: what it kept, and the nodes its gradient flows on to.
pub(super) enum Node {
    /// Values that were computed before.
    Start,
    Gather {
        layer: LayerId,
        indices: Option<Vec<u32>>,
        onto: Option<NodeId>,
    },
    GatherInterpolated {
        layer: LayerId,
        map: Arc<Interpolation>,
        indices: Option<Vec<u32>>,
        onto: Option<NodeId>,
    },
    Prepend {
        layer: LayerId,
        wanted: bool,
        x: Option<NodeId>,
        segments: Segments,
    },
    Linear {
        layer: LayerId,
        kept: Option<Kept>,
        x: Option<NodeId>,
    },
    LayerNorm {
        layer: LayerId,
        wanted: bool,
        normalized: Arc<Normalized>,
        x: Option<NodeId>,
    },
    Gelu {
        kept: Arc<Tensor>,
        x: NodeId,
    },
    Tanh {
        /// The result.
        kept: Arc<Tensor>,
        x: NodeId,
    },
    Add {
        x: Option<NodeId>,
        y: Option<NodeId>,
    },
    Attention {
        kept: [Arc<Tensor>; 3],
        inputs: [Option<NodeId>; 3],
        heads: Heads,
        segments: Segments,
    },
    MeanRows {
        x: NodeId,
        segments: Segments,
        skip: usize,
    },
    MaxRows {
        kept: Arc<Tensor>,
        x: NodeId,
        segments: Segments,
    },
    RowsAt {
        x: NodeId,
        segments: Segments,
        at: usize,
    },
    Concat {
        parts: Vec<(Option<NodeId>, usize)>,
    },
    Columns {
        x: NodeId,
        first: usize,
        of: usize,
    },
    Image(ImageNode),
    Block(BlockNode),
}

impl<'a, W: Weights> Tape<'a, W> {
    /// An empty tape that will give the gradients of the layers that are true in `wanted`, one for each
    /// layer of the network.
    pub fn new(weights: &'a W, wanted: &'a [bool], workspace: &'a Workspace) -> Self {
        Self { weights, workspace, wanted, nodes: Vec::new(), batch_statistics: false, cuts: None, moments: Vec::new() }
    }

    /// The same, which keeps of what lies before the last cut of a network nothing but the values at its cuts:
    /// [`Tape::backward_again`] computes the rest again. Less memory, and the time of up to another forward pass.
    pub fn with_recomputation(mut self) -> Self {
        self.cuts = Some(Vec::new());
        self
    }

    /// The same with batch normalization by the statistics of each batch, as in training from scratch.
    pub fn with_batch_statistics(mut self) -> Self {
        self.batch_statistics = true;
        self
    }

    /// What batch normalizations saw, each with the rows it is over, in order; none with running statistics.
    pub fn take_moments(&mut self) -> Vec<(Moments, usize)> {
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

    pub(super) fn wants(&self, layer: LayerId) -> bool {
        self.wanted[layer.index()]
    }

    pub(super) fn record(&mut self, data: Tensor, flows: bool, node: impl FnOnce() -> Node) -> Recorded {
        let node = flows.then(|| self.push(node()));
        Recorded { data: Arc::new(data), node, norm: None }
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// What `body` makes of values that were kept.
    pub(super) fn recall<R>(&self, kept: &Kept, body: impl FnOnce(kernels::Kept<'_>) -> R) -> Result<R, Error> {
        match kept {
            Kept::Value(values) => Ok(body(kernels::Kept::Values(values))),
            Kept::Norm(normalized, layer) => {
                let scale = self.weights.weight(*layer)?.floats(self.workspace);
                let bias = self.weights.required(*layer, Part::Bias)?.floats(self.workspace);
                Ok(body(kernels::Kept::Normalized(normalized, &scale, &bias)))
            }
        }
    }

    /// The value's buffer, to compute in where nothing else holds it.
    pub(super) fn owned(&self, data: Arc<Tensor>) -> Tensor {
        Arc::try_unwrap(data).unwrap_or_else(|shared| self.workspace.copy(&shared))
    }
}

impl<W: Weights> Ops for Tape<'_, W> {
    type Value = Recorded;

    fn workspace(&self) -> &Workspace {
        self.workspace
    }

    fn constant(&mut self, tensor: Tensor) -> Recorded {
        Recorded { data: Arc::new(tensor), node: None, norm: None }
    }

    fn cut(&mut self, x: Recorded) -> Recorded {
        self.record_cut(x)
    }

    fn gather(&mut self, layer: LayerId, indices: &[u32], onto: Option<Recorded>) -> Result<Recorded, Error> {
        let (onto, node) = onto.map_or((None, None), |onto| (Some(self.owned(onto.data)), onto.node));
        let out = self.weights.gather(self.workspace, layer, indices, onto)?;
        let wanted = self.wants(layer);
        let indices = || wanted.then(|| indices.to_vec());
        Ok(self.record(out, wanted || node.is_some(), || Node::Gather { layer, indices: indices(), onto: node }))
    }

    fn gather_interpolated(
        &mut self,
        layer: LayerId,
        map: &Arc<Interpolation>,
        indices: &[u32],
        onto: Recorded,
    ) -> Result<Recorded, Error> {
        let node = onto.node;
        let onto = self.owned(onto.data);
        let out = self.weights.gather_interpolated(self.workspace, layer, map, indices, onto)?;
        let wanted = self.wants(layer);
        Ok(self.record(out, wanted || node.is_some(), || Node::GatherInterpolated {
            layer,
            map: map.clone(),
            indices: wanted.then(|| indices.to_vec()),
            onto: node,
        }))
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
        let kept = self.wants(layer).then(|| x.keep());
        let flows = kept.is_some() || x.node.is_some();
        Ok(self.record(out, flows, || Node::Linear { layer, kept, x: x.node }))
    }

    fn conv(&mut self, x: &Recorded, grid: Grid, layer: LayerId, window: Window) -> Result<Recorded, Error> {
        self.record_conv(x, grid, layer, window)
    }

    fn batch_norm(&mut self, x: &Recorded, norm: &BatchNorm, residual: Option<&Recorded>) -> Result<Recorded, Error> {
        self.record_batch_norm(x, norm, residual)
    }

    fn conv_norm(
        &mut self,
        x: &Recorded,
        grid: Grid,
        unit: &ConvNorm,
        residual: Option<&Recorded>,
    ) -> Result<Recorded, Error> {
        if let Some(out) = self.fused(x, grid, unit, residual) {
            return out;
        }
        let y = self.conv(x, grid, unit.conv, unit.window)?;
        self.batch_norm(&y, &unit.norm, residual)
    }

    fn max_pool(&mut self, x: Recorded, grid: Grid, window: Window) -> Recorded {
        let out = kernels::max_pool(self.workspace, &x.data, grid, window);
        match x.node {
            Some(node) => {
                let node = ImageNode::MaxPool { kept: x.data, grid, window, x: node };
                self.record(out, true, || Node::Image(node))
            }
            None => self.constant(out),
        }
    }

    fn average_pool(&mut self, x: Recorded, grid: Grid, window: Window) -> Recorded {
        let out = kernels::average_pool(self.workspace, &x.data, grid, window);
        match x.node {
            Some(x) => self.record(out, true, || Node::Image(ImageNode::AveragePool { grid, window, x })),
            None => self.constant(out),
        }
    }

    fn concat(&mut self, parts: &[&Recorded]) -> Recorded {
        let data: Vec<&Tensor> = parts.iter().map(|part| &*part.data).collect();
        let out = kernels::concat_columns(self.workspace, &data);
        let flows = parts.iter().any(|part| part.node.is_some());
        let parts = || parts.iter().map(|part| (part.node, part.data.cols())).collect();
        self.record(out, flows, || Node::Concat { parts: parts() })
    }

    fn columns(&mut self, x: &Recorded, range: Range<usize>) -> Recorded {
        let out = kernels::columns(self.workspace, &x.data, range.clone());
        match x.node {
            Some(node) => {
                let (first, of) = (range.start, x.data.cols());
                self.record(out, true, || Node::Columns { x: node, first, of })
            }
            None => self.constant(out),
        }
    }

    fn subsample_pad(&mut self, x: &Recorded, grid: Grid, stride: usize, before: usize, after: usize) -> Recorded {
        let out = kernels::subsample_pad(self.workspace, &x.data, grid, stride, before, after);
        let channels = x.data.cols();
        match x.node {
            Some(x) => {
                let node = ImageNode::SubsamplePad { grid, stride, before, channels, x };
                self.record(out, true, || Node::Image(node))
            }
            None => self.constant(out),
        }
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
        let normalized = Arc::new(normalized);
        let norm = Some((normalized.clone(), layer));
        let out = self.record(out, true, || Node::LayerNorm { layer, wanted, normalized, x: x.node });
        Ok(Recorded { norm, ..out })
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

    fn tanh(&mut self, x: Recorded) -> Recorded {
        let mut out = self.owned(x.data);
        kernels::tanh(self.workspace, &mut out);
        let data = Arc::new(out);
        let node = x.node.map(|x| self.push(Node::Tanh { kept: data.clone(), x }));
        Recorded { data, node, norm: None }
    }

    fn add(&mut self, x: Recorded, y: &Recorded) -> Recorded {
        let (x_node, y_node) = (x.node, y.node);
        let mut out = self.owned(x.data);
        kernels::add(self.workspace, &mut out, &y.data);
        self.record(out, x_node.is_some() || y_node.is_some(), || Node::Add { x: x_node, y: y_node })
    }

    fn attention(&mut self, q: Recorded, k: Recorded, v: Recorded, heads: Heads, segments: &Segments) -> Recorded {
        let out = kernels::attention(self.workspace, &q.data, &k.data, &v.data, heads, segments);
        let inputs = [q.node, k.node, v.node];
        let kept = [q.data, k.data, v.data];
        let flows = inputs.iter().any(Option::is_some);
        self.record(out, flows, || Node::Attention { kept, inputs, heads, segments: segments.clone() })
    }

    fn self_attention(
        &mut self,
        x: &Recorded,
        layers: [LayerId; 3],
        heads: Heads,
        segments: &Segments,
    ) -> Result<Recorded, Error> {
        self.record_self_attention(x, layers, heads, segments)
    }

    fn feed_forward(&mut self, x: &Recorded, layers: [LayerId; 2]) -> Result<Recorded, Error> {
        self.record_feed_forward(x, layers)
    }

    fn mean_rows(&mut self, x: Recorded, segments: &Segments, skip: usize) -> Recorded {
        let out = kernels::mean_rows(self.workspace, &x.data, segments, skip);
        match x.node {
            Some(x) => self.record(out, true, || Node::MeanRows { x, segments: segments.clone(), skip }),
            None => self.constant(out),
        }
    }

    fn max_rows(&mut self, x: Recorded, segments: &Segments) -> Recorded {
        let out = kernels::max_rows(self.workspace, &x.data, segments);
        match x.node {
            Some(node) => {
                self.record(out, true, || Node::MaxRows { kept: x.data, x: node, segments: segments.clone() })
            }
            None => self.constant(out),
        }
    }

    fn rows_at(&mut self, x: &Recorded, segments: &Segments, at: usize) -> Recorded {
        let out = kernels::rows_at(self.workspace, &x.data, segments, at);
        match x.node {
            Some(x) => self.record(out, true, || Node::RowsAt { x, segments: segments.clone(), at }),
            None => self.constant(out),
        }
    }
}
