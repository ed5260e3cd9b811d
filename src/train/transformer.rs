//! The two halves of a transformer's block: how they are recorded, and their way back, which forms again what lies
//! between their products.

use super::backward::{Gradients, LayerGrad};
use super::tape::{Kept, Node, NodeId, Recorded, Tape};
use crate::kernels::{self, Heads, LayersGrad, Segments, Tensor, Wanted};
use crate::runtime::{Error, LayerId, Weights};

/// A recorded half of a block.
pub(super) enum BlockNode {
    SelfAttention { layers: [LayerId; 3], kept: Kept, heads: Heads, segments: Segments, x: Option<NodeId> },
    FeedForward { layers: [LayerId; 2], kept: Kept, x: Option<NodeId> },
}

impl<W: Weights> Tape<'_, W> {
    pub(super) fn record_self_attention(
        &mut self,
        x: &Recorded,
        layers: [LayerId; 3],
        heads: Heads,
        segments: &Segments,
    ) -> Result<Recorded, Error> {
        let [q, k, v] = layers.map(|layer| self.weights.linear(self.workspace, layer));
        let (q, k, v) = (q?, k?, v?);
        let out = kernels::self_attention(self.workspace, x.values(), [q.get(), k.get(), v.get()], heads, segments);
        let flows = x.node.is_some() || layers.iter().any(|&layer| self.wants(layer));
        let node = || {
            let (kept, segments) = (x.keep(), segments.clone());
            Node::Block(BlockNode::SelfAttention { layers, kept, heads, segments, x: x.node })
        };
        Ok(self.record(out, flows, node))
    }

    pub(super) fn record_feed_forward(&mut self, x: &Recorded, layers: [LayerId; 2]) -> Result<Recorded, Error> {
        let [inner, outer] = layers.map(|layer| self.weights.linear(self.workspace, layer));
        let (inner, outer) = (inner?, outer?);
        let out = kernels::feed_forward(self.workspace, x.values(), [inner.get(), outer.get()]);
        let flows = x.node.is_some() || layers.iter().any(|&layer| self.wants(layer));
        Ok(self.record(out, flows, || Node::Block(BlockNode::FeedForward { layers, kept: x.keep(), x: x.node })))
    }

    /// The way back through one half of a block.
    pub(super) fn block_step(
        &self,
        node: BlockNode,
        dy: Tensor,
        gradients: &mut Gradients,
        sink: &mut dyn FnMut(LayerId, LayerGrad),
    ) -> Result<(), Error> {
        let workspace = self.workspace;
        match node {
            BlockNode::SelfAttention { layers, kept, heads, segments, x } => {
                let [q, k, v] = layers.map(|layer| self.weights.linear(workspace, layer));
                let (q, k, v) = (q?, k?, v?);
                let linears = [q.get(), k.get(), v.get()];
                let wanted = self.wanted_of(layers, x, gradients);
                let grad = self.recall(&kept, |x| {
                    kernels::self_attention_grad(workspace, &dy, x, linears, (heads, &segments), wanted)
                })?;
                self.give(layers, grad, x, gradients, sink);
            }
            BlockNode::FeedForward { layers, kept, x } => {
                let [inner, outer] = layers.map(|layer| self.weights.linear(workspace, layer));
                let (inner, outer) = (inner?, outer?);
                let wanted = self.wanted_of(layers, x, gradients);
                let linears = [inner.get(), outer.get()];
                let grad = self.recall(&kept, |x| kernels::feed_forward_grad(workspace, &dy, x, linears, wanted))?;
                self.give(layers, grad, x, gradients, sink);
            }
        }
        Ok(())
    }

    /// What is to be formed; the gradient that has already come to `x` is added to in place.
    fn wanted_of<const N: usize>(
        &self,
        layers: [LayerId; N],
        x: Option<NodeId>,
        gradients: &mut Gradients,
    ) -> Wanted<N> {
        let onto = x.and_then(|x| gradients.take(x));
        Wanted { layers: layers.map(|layer| self.wants(layer)), input: x.is_some(), onto }
    }

    fn give<const N: usize>(
        &self,
        layers: [LayerId; N],
        grad: LayersGrad<N>,
        x: Option<NodeId>,
        gradients: &mut Gradients,
        sink: &mut dyn FnMut(LayerId, LayerGrad),
    ) {
        for (layer, grad) in layers.into_iter().zip(grad.layers).rev() {
            if let Some(grad) = grad {
                sink(layer, LayerGrad { weight: grad.weight, bias: self.has_bias(layer).then_some(grad.bias) });
            }
        }
        if let Some(dx) = grad.input {
            gradients.flow(self.workspace, x, dx);
        }
    }
}
