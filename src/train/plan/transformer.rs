//! The two halves of a transformer's block, in the order in which the tape takes, keeps and drops their buffers.

use super::backward::{Gradients, LayerGrad};
use super::kernels;
use super::ledger::{Buffer, Use};
use super::sketch::{Kept, Node, NodeId, Sketch, Sketched};
use crate::kernels::Segments;
use crate::runtime::{LayerId, Part};

/// A recorded half of a block.
pub(super) enum BlockNode {
    SelfAttention { layers: [LayerId; 3], kept: Kept, segments: Segments, x: Option<NodeId> },
    FeedForward { layers: [LayerId; 2], kept: Kept, x: Option<NodeId> },
}

impl Sketch<'_> {
    pub(super) fn sketch_self_attention(
        &mut self,
        x: &Sketched,
        layers: [LayerId; 3],
        segments: &Segments,
    ) -> Sketched {
        let _linears = layers.map(|layer| self.linear_floats(layer));
        let features = self.outputs(layers[0], x.data.cols);
        let out = kernels::self_attention(self.ledger, self.workspace, features, segments);
        let flows = x.node.is_some() || layers.iter().any(|&layer| self.wants(layer));
        let node = || {
            let (kept, segments) = (x.keep(), segments.clone());
            Node::Block(BlockNode::SelfAttention { layers, kept, segments, x: x.node })
        };
        self.record(out, flows, node)
    }

    pub(super) fn sketch_feed_forward(&mut self, x: &Sketched, layers: [LayerId; 2]) -> Sketched {
        let _linears = layers.map(|layer| self.linear_floats(layer));
        let width = self.outputs(layers[0], x.data.cols);
        let outputs = self.outputs(layers[1], width);
        let out = kernels::feed_forward(self.ledger, self.workspace, x.data.rows, width, outputs);
        let flows = x.node.is_some() || layers.iter().any(|&layer| self.wants(layer));
        self.record(out, flows, || Node::Block(BlockNode::FeedForward { layers, kept: x.keep(), x: x.node }))
    }

    /// The way back through one half of a block.
    pub(super) fn block_step(
        &self,
        node: BlockNode,
        dy: &Buffer,
        gradients: &mut Gradients,
        wanted: &mut dyn FnMut(LayerId, LayerGrad),
    ) {
        let (ledger, workspace) = (self.ledger, self.workspace);
        match node {
            BlockNode::SelfAttention { layers, kept, segments, x } => {
                let _linears = layers.map(|layer| self.linear_floats(layer));
                let onto = x.and_then(|x| gradients.take(x));
                let _scaled = self.recalled(&kept);
                let inputs = kept.buffer().cols;
                let dx = x.map(|_| onto.unwrap_or_else(|| ledger.take(dy.rows, inputs)));
                let grads = layers.map(|layer| self.wants(layer).then_some([dy.cols, inputs]));
                let held = (inputs, kept.is_scaled());
                let sums = kernels::self_attention_grad(ledger, workspace, dy.cols, &segments, grads, held);
                self.give(layers, sums, (x, dx), gradients, wanted);
            }
            BlockNode::FeedForward { layers, kept, x } => {
                let _linears = layers.map(|layer| self.linear_floats(layer));
                let onto = x.and_then(|x| gradients.take(x));
                let _scaled = self.recalled(&kept);
                let inputs = kept.buffer().cols;
                let dx = x.map(|_| onto.unwrap_or_else(|| ledger.take(dy.rows, inputs)));
                let width = self.outputs(layers[0], inputs);
                let sizes = [[width, inputs], [dy.cols, width]];
                let grads = [0, 1].map(|layer| self.wants(layers[layer]).then_some(sizes[layer]));
                let held = kept.is_scaled().then_some(inputs);
                let sums = kernels::feed_forward_grad(ledger, workspace, dy.rows, width, grads, held);
                self.give(layers, sums, (x, dx), gradients, wanted);
            }
        }
    }

    fn give<const N: usize>(
        &self,
        layers: [LayerId; N],
        sums: [Option<[Buffer; 2]>; N],
        (x, dx): (Option<NodeId>, Option<Buffer>),
        gradients: &mut Gradients,
        wanted: &mut dyn FnMut(LayerId, LayerGrad),
    ) {
        for (layer, sums) in layers.into_iter().zip(sums).rev() {
            if let Some([weight, bias]) = sums {
                weight.mark(Use::Gradient);
                bias.mark(Use::Gradient);
                wanted(layer, (weight, self.outline.has_bias(layer).then_some(bias)));
            }
        }
        if let Some(dx) = dx {
            gradients.flow(x, dx);
        }
    }

    /// Bias and weight as f32.
    fn linear_floats(&self, layer: LayerId) -> [Option<Buffer>; 2] {
        [Part::Bias, Part::Weight].map(|part| self.floats(layer, part))
    }

    fn outputs(&self, layer: LayerId, inputs: usize) -> usize {
        self.outline.elements(layer) / inputs.max(1)
    }

    /// Scale and bias of the normalization that kept values are formed again with.
    pub(super) fn recalled(&self, kept: &Kept) -> Option<[Option<Buffer>; 2]> {
        match kept {
            Kept::Value(_) => None,
            Kept::Norm(_, layer) => Some([Part::Weight, Part::Bias].map(|part| self.floats(*layer, part))),
        }
    }
}
