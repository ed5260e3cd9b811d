//! The tape without numbers: what the forward pass takes and what it keeps.
//!
//! Each operation takes, marks and drops buffers in the order in which [`Tape`](crate::train::Tape) does.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::images::Normalization;
use super::kernels;
use super::ledger::{Buffer, Ledger, Use};
use super::outline::Outline;
use super::recompute::Cut;
use super::transformer::BlockNode;
use crate::kernels::{Grid, Heads, Interpolation, Segments, Tensor, Window, Workspace};
use crate::runtime::{BatchNorm, ConvNorm, Error, Images, LayerId, Ops, Part};

/// An activation without values.
pub(super) struct Sketched {
    pub(super) data: Rc<Buffer>,
    pub(super) node: Option<NodeId>,
    /// What a normalization keeps, and the normalization, where the values can be formed from it again.
    pub(super) norm: Option<(Rc<[Buffer; 2]>, LayerId)>,
}

/// An activation kept for the way back, as the tape keeps it.
pub(super) enum Kept {
    Value(Rc<Buffer>),
    Norm(Rc<[Buffer; 2]>, LayerId),
}

impl Sketched {
    pub(super) fn keep(&self) -> Kept {
        match &self.norm {
            Some((normalized, layer)) => Kept::Norm(normalized.clone(), *layer),
            None => Kept::Value(keep(&self.data)),
        }
    }
}

impl Kept {
    /// A buffer of the size of its values.
    pub(super) fn buffer(&self) -> &Buffer {
        match self {
            Kept::Value(values) => values,
            Kept::Norm(normalized, _) => &normalized[1],
        }
    }

    /// Whether its values are formed again.
    pub(super) fn is_scaled(&self) -> bool {
        matches!(self, Kept::Norm(..))
    }
}

pub(super) type NodeId = usize;

/// One recorded operation: what it keeps, and where its gradient flows on to.
pub(super) enum Node {
    /// Values that were computed before.
    Start,
    Gather {
        layer: LayerId,
        wanted: bool,
        onto: Option<NodeId>,
    },
    GatherInterpolated {
        layer: LayerId,
        rows: usize,
        wanted: bool,
        onto: Option<NodeId>,
    },
    Prepend {
        layer: LayerId,
        wanted: bool,
        x: Option<NodeId>,
        rows: usize,
    },
    Linear {
        layer: LayerId,
        kept: Option<Kept>,
        x: Option<NodeId>,
    },
    Conv {
        layer: LayerId,
        kept: Option<Rc<Buffer>>,
        grid: Grid,
        window: Window,
        x: Option<NodeId>,
    },
    BatchNorm(Normalization),
    LayerNorm {
        layer: LayerId,
        wanted: bool,
        _kept: Rc<[Buffer; 2]>,
        x: Option<NodeId>,
    },
    /// GELU or tanh.
    Activation {
        _kept: Rc<Buffer>,
        x: NodeId,
    },
    Add {
        x: Option<NodeId>,
        y: Option<NodeId>,
    },
    Attention {
        _kept: [Rc<Buffer>; 3],
        inputs: [Option<NodeId>; 3],
        segments: Segments,
    },
    Concat {
        parts: Vec<(Option<NodeId>, usize)>,
    },
    Columns {
        x: NodeId,
        of: usize,
    },
    Block(BlockNode),
    /// An operation whose way back takes a gradient `[rows, cols]`.
    Spread {
        x: NodeId,
        rows: usize,
        cols: usize,
        _kept: Option<Rc<Buffer>>,
    },
}

/// Runs a network's code on shapes.
pub(super) struct Sketch<'a> {
    pub(super) outline: &'a Outline<'a>,
    pub(super) ledger: &'a Ledger,
    /// Tells how kernels divide their work.
    pub(super) workspace: &'a Workspace,
    pub(super) nodes: Vec<Node>,
    /// Whether anything is recorded: without, operations are those of evaluation.
    pub(super) recording: bool,
    pub(super) batch_moments: Vec<[Buffer; 2]>,
    /// Where the network was cut; none where nothing is computed again.
    pub(super) cuts: Option<Vec<Cut>>,
}

impl<'a> Sketch<'a> {
    /// A forward pass that is recorded.
    pub(super) fn tape(outline: &'a Outline<'a>, ledger: &'a Ledger, workspace: &'a Workspace) -> Self {
        let (nodes, batch_moments) = (Vec::new(), Vec::new());
        Self { outline, ledger, workspace, nodes, recording: true, batch_moments, cuts: None }
    }

    /// The same, of which what lies between the cuts of the network is computed again where `recompute` is true.
    pub(super) fn recomputing(self, recompute: bool) -> Self {
        Self { cuts: recompute.then(Vec::new), ..self }
    }

    /// A forward pass of evaluation.
    pub(super) fn eval(outline: &'a Outline<'a>, ledger: &'a Ledger, workspace: &'a Workspace) -> Self {
        Self { recording: false, ..Self::tape(outline, ledger, workspace) }
    }

    /// What batch normalizations saw, which outlives the tape.
    pub(super) fn take_moments(&mut self) -> Vec<[Buffer; 2]> {
        std::mem::take(&mut self.batch_moments)
    }

    pub(super) fn wants(&self, layer: LayerId) -> bool {
        self.recording && self.outline.is_wanted(layer)
    }

    pub(super) fn by_batch(&self) -> bool {
        self.recording && self.outline.statistics
    }

    pub(super) fn floats(&self, layer: LayerId, part: Part) -> Option<Buffer> {
        self.outline.floats(self.ledger, layer, part)
    }

    pub(super) fn take(&self, rows: usize, cols: usize) -> Buffer {
        self.ledger.take(rows, cols)
    }

    pub(super) fn record(&mut self, data: Buffer, flows: bool, node: impl FnOnce() -> Node) -> Sketched {
        let node = flows.then(|| self.push(node()));
        Sketched { data: Rc::new(data), node, norm: None }
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn plain(data: Buffer) -> Sketched {
        Sketched { data: Rc::new(data), node: None, norm: None }
    }

    fn owned(&self, data: Rc<Buffer>) -> Buffer {
        Rc::try_unwrap(data).unwrap_or_else(|shared| self.take(shared.rows, shared.cols))
    }

    fn spread(&mut self, out: Buffer, x: &Sketched, keeps: bool) -> Sketched {
        let Some(node) = x.node else { return Self::plain(out) };
        let (rows, cols) = (x.data.rows, x.data.cols);
        let kept = keeps.then(|| keep(&x.data));
        self.record(out, true, || Node::Spread { x: node, rows, cols, _kept: kept })
    }
}

/// Marks a buffer as kept for the backward pass.
pub(super) fn keep(data: &Rc<Buffer>) -> Rc<Buffer> {
    data.mark(Use::Activation);
    data.clone()
}

impl Ops for Sketch<'_> {
    type Value = Sketched;

    fn workspace(&self) -> &Workspace {
        self.workspace
    }

    fn cut(&mut self, x: Sketched) -> Sketched {
        self.sketch_cut(x)
    }

    fn constant(&mut self, tensor: Tensor) -> Sketched {
        Self::plain(self.take(tensor.rows(), tensor.cols()))
    }

    fn patches(&mut self, images: &Images, size: usize) -> Sketched {
        let patches = images.batch * (images.height / size) * (images.width / size);
        Self::plain(self.take(patches, images.channels * size * size))
    }

    fn gather(&mut self, layer: LayerId, indices: &[u32], onto: Option<Sketched>) -> Result<Sketched, Error> {
        let features = self.outline.layout.layer(layer).weight.shape.last().copied().unwrap_or(1);
        let (onto, node) = onto.map_or((None, None), |onto| (Some(self.owned(onto.data)), onto.node));
        let own = self.outline.own[layer.index()];
        let _sum = own.then(|| self.take(1, self.outline.elements(layer)));
        let table = self.outline.layout.layer(layer).weight.tensor.map(|id| self.outline.base.tensor(id));
        let in_place = own || table.is_none_or(|table| table.as_f32().is_some());
        let out = match onto {
            Some(onto) if in_place => onto,
            _ => self.take(indices.len(), features),
        };
        let wanted = self.wants(layer);
        Ok(self.record(out, wanted || node.is_some(), || Node::Gather { layer, wanted, onto: node }))
    }

    fn gather_interpolated(
        &mut self,
        layer: LayerId,
        map: &Arc<Interpolation>,
        _: &[u32],
        onto: Sketched,
    ) -> Result<Sketched, Error> {
        let node = onto.node;
        let out = self.owned(onto.data);
        let _table = self.floats(layer, Part::Weight);
        drop(self.take(map.rows(), out.cols));
        let (wanted, rows) = (self.wants(layer), map.rows());
        let flows = wanted || node.is_some();
        Ok(self.record(out, flows, || Node::GatherInterpolated { layer, rows, wanted, onto: node }))
    }

    fn prepend(&mut self, x: &Sketched, layer: LayerId, segments: &Segments) -> Result<Sketched, Error> {
        let _row = self.floats(layer, Part::Weight);
        let out = self.take(x.data.rows + segments.len(), x.data.cols);
        let (wanted, x, rows) = (self.wants(layer), x.node, x.data.rows);
        Ok(self.record(out, wanted || x.is_some(), || Node::Prepend { layer, wanted, x, rows }))
    }

    fn linear(&mut self, x: &Sketched, layer: LayerId) -> Result<Sketched, Error> {
        let _floats = [Part::Weight, Part::Bias].map(|part| self.floats(layer, part));
        let out = self.take(x.data.rows, self.outline.elements(layer) / x.data.cols.max(1));
        let kept = self.wants(layer).then(|| x.keep());
        let flows = kept.is_some() || x.node.is_some();
        Ok(self.record(out, flows, || Node::Linear { layer, kept, x: x.node }))
    }

    fn conv(&mut self, x: &Sketched, grid: Grid, layer: LayerId, window: Window) -> Result<Sketched, Error> {
        Ok(self.sketch_conv(x, grid, layer, window))
    }

    fn batch_norm(&mut self, x: &Sketched, norm: &BatchNorm, residual: Option<&Sketched>) -> Result<Sketched, Error> {
        Ok(self.sketch_batch_norm(x, norm, residual))
    }

    fn conv_norm(
        &mut self,
        x: &Sketched,
        grid: Grid,
        unit: &ConvNorm,
        residual: Option<&Sketched>,
    ) -> Result<Sketched, Error> {
        if let Some(out) = self.fused(x, grid, unit, residual) {
            return Ok(out);
        }
        let y = self.conv(x, grid, unit.conv, unit.window)?;
        self.batch_norm(&y, &unit.norm, residual)
    }

    fn max_pool(&mut self, x: Sketched, grid: Grid, window: Window) -> Sketched {
        let out = self.take(window.output(grid).rows(), x.data.cols);
        self.spread(out, &x, true)
    }

    fn average_pool(&mut self, x: Sketched, grid: Grid, window: Window) -> Sketched {
        let out = self.take(window.output(grid).rows(), x.data.cols);
        self.spread(out, &x, false)
    }

    fn concat(&mut self, parts: &[&Sketched]) -> Sketched {
        let rows = parts.first().map_or(0, |part| part.data.rows);
        let out = self.take(rows, parts.iter().map(|part| part.data.cols).sum());
        let flows = parts.iter().any(|part| part.node.is_some());
        self.record(out, flows, || Node::Concat { parts: parts.iter().map(|p| (p.node, p.data.cols)).collect() })
    }

    fn columns(&mut self, x: &Sketched, range: Range<usize>) -> Sketched {
        let out = self.take(x.data.rows, range.len());
        let of = x.data.cols;
        match x.node {
            Some(node) => self.record(out, true, || Node::Columns { x: node, of }),
            None => Self::plain(out),
        }
    }

    fn subsample_pad(&mut self, x: &Sketched, grid: Grid, stride: usize, before: usize, after: usize) -> Sketched {
        let pixels = grid.images * grid.height.div_ceil(stride) * grid.width.div_ceil(stride);
        let out = self.take(pixels, before + x.data.cols + after);
        self.spread(out, x, false)
    }

    fn layer_norm(&mut self, x: &Sketched, layer: LayerId, _: f32) -> Result<Sketched, Error> {
        let _floats = [Part::Weight, Part::Bias].map(|part| self.floats(layer, part));
        let (wanted, rows, cols) = (self.wants(layer), x.data.rows, x.data.cols);
        if !wanted && x.node.is_none() {
            return Ok(Self::plain(self.take(rows, cols)));
        }
        let kept = Rc::new([self.take(rows, 1), self.take(rows, cols)]);
        kept.iter().for_each(|kept| kept.mark(Use::Activation));
        let out = self.take(rows, cols);
        let norm = Some((kept.clone(), layer));
        let out = self.record(out, true, || Node::LayerNorm { layer, wanted, _kept: kept, x: x.node });
        Ok(Sketched { norm, ..out })
    }

    fn gelu(&mut self, x: Sketched) -> Sketched {
        let kept = x.node.map(|node| (node, keep(&x.data)));
        let out = self.owned(x.data);
        match kept {
            Some((x, kept)) => self.record(out, true, || Node::Activation { _kept: kept, x }),
            None => Self::plain(out),
        }
    }

    fn tanh(&mut self, x: Sketched) -> Sketched {
        let data = Rc::new(self.owned(x.data));
        let node = x.node.map(|x| self.push(Node::Activation { _kept: keep(&data), x }));
        Sketched { data, node, norm: None }
    }

    fn add(&mut self, x: Sketched, y: &Sketched) -> Sketched {
        let (x_node, y_node) = (x.node, y.node);
        let out = self.owned(x.data);
        self.record(out, x_node.is_some() || y_node.is_some(), || Node::Add { x: x_node, y: y_node })
    }

    fn attention(&mut self, q: Sketched, k: Sketched, v: Sketched, _: Heads, segments: &Segments) -> Sketched {
        let out = kernels::attention(self.ledger, self.workspace, &q.data, segments);
        let inputs = [q.node, k.node, v.node];
        let flows = inputs.iter().any(Option::is_some);
        let kept = [q.data, k.data, v.data];
        if flows {
            kept.iter().for_each(|kept| kept.mark(Use::Activation));
        }
        self.record(out, flows, || Node::Attention { _kept: kept, inputs, segments: segments.clone() })
    }

    fn self_attention(
        &mut self,
        x: &Sketched,
        layers: [LayerId; 3],
        _: Heads,
        segments: &Segments,
    ) -> Result<Sketched, Error> {
        Ok(self.sketch_self_attention(x, layers, segments))
    }

    fn feed_forward(&mut self, x: &Sketched, layers: [LayerId; 2]) -> Result<Sketched, Error> {
        Ok(self.sketch_feed_forward(x, layers))
    }

    fn mean_rows(&mut self, x: Sketched, segments: &Segments, _: usize) -> Sketched {
        let out = self.take(segments.len(), x.data.cols);
        self.spread(out, &x, false)
    }

    fn max_rows(&mut self, x: Sketched, segments: &Segments) -> Sketched {
        let out = self.take(segments.len(), x.data.cols);
        self.spread(out, &x, true)
    }

    fn rows_at(&mut self, x: &Sketched, segments: &Segments, _: usize) -> Sketched {
        let out = self.take(segments.len(), x.data.cols);
        self.spread(out, x, false)
    }
}
