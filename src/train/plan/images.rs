//! Operations on images, in the order in which the tape takes, keeps and drops their buffers.

use std::rc::Rc;

use super::kernels;
use super::ledger::Buffer;
use super::sketch::{Node, NodeId, Sketch, Sketched, keep};
use crate::kernels::{Activation, Grid, Window};
use crate::runtime::{BatchNorm, ConvNorm, LayerId, Part};

/// A recorded batch normalization.
pub(super) struct Normalization {
    pub(super) layer: LayerId,
    pub(super) wanted: bool,
    pub(super) kept: Option<Rc<Buffer>>,
    pub(super) _activated: Option<Rc<Buffer>>,
    pub(super) _moments: [Buffer; 2],
    pub(super) x: Option<NodeId>,
    pub(super) residual: Option<NodeId>,
}

impl Sketch<'_> {
    pub(super) fn sketch_conv(&mut self, x: &Sketched, grid: Grid, layer: LayerId, window: Window) -> Sketched {
        let _bias = self.floats(layer, Part::Bias);
        let out = self.convolve(&x.data, grid, layer, window);
        let kept = self.wants(layer).then(|| keep(&x.data));
        let flows = kept.is_some() || x.node.is_some();
        self.record(out, flows, || Node::Conv { layer, kept, grid, window, x: x.node })
    }

    /// A convolution and its normalization in one pass, where no gradient flows through them.
    pub(super) fn fused(
        &mut self,
        x: &Sketched,
        grid: Grid,
        unit: &ConvNorm,
        residual: Option<&Sketched>,
    ) -> Option<Sketched> {
        let flows = x.node.is_some() || residual.is_some_and(|residual| residual.node.is_some());
        if flows || self.wants(unit.conv) || self.wants(unit.norm.layer) || self.by_batch() {
            return None;
        }
        let _folded = self.fold(unit.norm.layer);
        Some(Self::plain(self.convolve(&x.data, grid, unit.conv, unit.window)))
    }

    pub(super) fn sketch_batch_norm(
        &mut self,
        x: &Sketched,
        norm: &BatchNorm,
        residual: Option<&Sketched>,
    ) -> Sketched {
        let (rows, cols) = (x.data.rows, x.data.cols);
        if !self.recording {
            let _folded = self.fold(norm.layer);
            return Self::plain(self.take(rows, cols));
        }
        let (by_batch, wanted) = (self.by_batch(), self.wants(norm.layer));
        let _affine = [Part::Weight, Part::Bias].map(|part| self.floats(norm.layer, part));
        let running = if by_batch { [Part::Weight; 0].as_slice() } else { &[Part::Mean, Part::Variance] };
        let _running: Vec<_> = running.iter().map(|&part| self.floats(norm.layer, part)).collect();
        let moments = [self.take(1, cols), self.take(1, cols)];
        let _folded = [self.take(1, cols), self.take(1, cols)];
        let residual = residual.and_then(|residual| residual.node);
        let flows = wanted || x.node.is_some() || residual.is_some();
        let kept = (wanted || (by_batch && x.node.is_some())).then(|| keep(&x.data));
        let out = Rc::new(self.take(rows, cols));
        if by_batch {
            self.batch_moments.push([self.take(1, cols), self.take(1, cols)]);
        }
        if !flows {
            return Sketched { data: out, node: None, norm: None };
        }
        let activated = (norm.activation != Activation::None).then(|| keep(&out));
        let (layer, x) = (norm.layer, x.node);
        let node = Normalization { layer, wanted, kept, _activated: activated, _moments: moments, x, residual };
        self.nodes.push(Node::BatchNorm(node));
        Sketched { data: out, node: Some(self.nodes.len() - 1), norm: None }
    }

    fn convolve(&self, x: &Buffer, grid: Grid, layer: LayerId, window: Window) -> Buffer {
        let _weight = self.floats(layer, Part::Weight);
        let [lines, columns] = window.size;
        match self.outline.is_depthwise(layer) {
            true => kernels::depthwise(self.ledger, self.workspace, grid, x.cols, window),
            false => {
                let outputs = self.outline.elements(layer) / (x.cols * lines * columns).max(1);
                kernels::conv(self.ledger, self.workspace, grid, [x.cols, outputs], window)
            }
        }
    }

    /// Factor and addend of a normalization by running statistics.
    fn fold(&self, layer: LayerId) -> [Buffer; 2] {
        let _floats = Part::ALL.map(|part| self.floats(layer, part));
        let channels = self.outline.elements(layer);
        [self.take(1, channels), self.take(1, channels)]
    }
}
