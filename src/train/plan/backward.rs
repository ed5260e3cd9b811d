//! The way back over a sketch: what it takes, and the gradients it leaves.

use std::rc::Rc;

use super::images::Normalization;
use super::kernels;
use super::ledger::{Buffer, Use};
use super::sketch::{Node, NodeId, Sketch, Sketched};
use crate::kernels::{Grid, Window};
use crate::runtime::{LayerId, Part};

/// Gradients of one layer: of the weight, and of the bias where it has one.
pub(super) type LayerGrad = (Buffer, Option<Buffer>);

impl Sketch<'_> {
    /// Walks back from `output` to the start as [`Tape::walk`](crate::train::Tape) does, and gives the gradient there;
    /// `sink` gets the gradients of layers.
    pub(super) fn walk(
        mut self,
        output: &Sketched,
        gradient: Buffer,
        sink: &mut dyn FnMut(LayerId, LayerGrad),
    ) -> Option<Buffer> {
        let mut gradients = Gradients((0..self.nodes.len()).map(|_| None).collect());
        gradients.flow(output.node, gradient);
        while let Some(node) = self.nodes.pop() {
            match (gradients.0.pop().flatten(), node) {
                (Some(dy), Node::Start) => return Some(dy),
                (Some(dy), node) => self.step(node, dy, &mut gradients, sink),
                (None, _) => {}
            }
        }
        None
    }

    fn step(&self, node: Node, dy: Buffer, gradients: &mut Gradients, sink: &mut dyn FnMut(LayerId, LayerGrad)) {
        let ledger = self.ledger;
        let elements = |layer| self.outline.elements(layer);
        let mut wanted = |layer, weight: Buffer, bias: Option<Buffer>| {
            weight.mark(Use::Gradient);
            bias.iter().for_each(|bias| bias.mark(Use::Gradient));
            sink(layer, (weight, bias));
        };
        match node {
            Node::Start => {}
            Node::Gather { layer, wanted: is_wanted, onto } => {
                if is_wanted {
                    wanted(layer, ledger.take(1, elements(layer)), None);
                }
                gradients.flow(onto, dy);
            }
            Node::GatherInterpolated { layer, rows, wanted: is_wanted, onto } => {
                if is_wanted {
                    let _rows = ledger.take(rows, dy.cols);
                    wanted(layer, ledger.take(1, elements(layer)), None);
                }
                gradients.flow(onto, dy);
            }
            Node::Prepend { layer, wanted: is_wanted, x, rows } => {
                let weight = ledger.take(1, dy.cols);
                let dx = ledger.take(rows, dy.cols);
                if is_wanted {
                    wanted(layer, weight, None);
                }
                gradients.flow(x, dx);
            }
            Node::Linear { layer, kept, x } => {
                let inputs = elements(layer) / dy.cols.max(1);
                if let Some(kept) = kept {
                    let weight = {
                        let _affine = self.recalled(&kept);
                        let _scaled = kept.is_scaled().then(|| ledger.take(dy.rows, inputs));
                        ledger.take(dy.cols, inputs)
                    };
                    let bias = self.outline.has_bias(layer).then(|| ledger.take(1, dy.cols));
                    wanted(layer, weight, bias);
                }
                if x.is_some() {
                    let _weight = self.outline.floats(ledger, layer, Part::Weight);
                    gradients.flow(x, ledger.take(dy.rows, inputs));
                }
            }
            Node::Conv { layer, kept, grid, window, x } => {
                self.conv_step(layer, kept, (grid, window), x, &dy, gradients, &mut wanted);
            }
            Node::Block(node) => self.block_step(node, &dy, gradients, sink),
            Node::BatchNorm(norm) => self.batch_norm_step(norm, dy, gradients, &mut wanted),
            Node::LayerNorm { layer, wanted: is_wanted, _kept, x } => {
                if is_wanted {
                    let (weight, bias) = (ledger.take(1, dy.cols), ledger.take(1, dy.cols));
                    wanted(layer, weight, Some(bias));
                }
                if x.is_some() {
                    let _scale = self.outline.floats(ledger, layer, Part::Weight);
                    gradients.flow(x, dy);
                }
            }
            Node::Activation { _kept, x } => gradients.flow(Some(x), dy),
            Node::Add { x: Some(x), y: Some(y) } => {
                let copy = ledger.take(dy.rows, dy.cols);
                gradients.flow(Some(x), dy);
                gradients.flow(Some(y), copy);
            }
            Node::Add { x, y } => gradients.flow(x.or(y), dy),
            Node::Attention { _kept, inputs, segments } => {
                let grads = kernels::attention_grad(ledger, self.workspace, &dy, &segments);
                inputs.into_iter().zip(grads).for_each(|(input, grad)| gradients.flow(input, grad));
            }
            Node::Concat { parts } => {
                for (part, cols) in parts.into_iter().filter(|(part, _)| part.is_some()) {
                    gradients.flow(part, ledger.take(dy.rows, cols));
                }
            }
            Node::Columns { x, of } => {
                gradients.0[x].get_or_insert_with(|| ledger.take(dy.rows, of));
            }
            Node::Spread { x, rows, cols, _kept } => gradients.flow(Some(x), ledger.take(rows, cols)),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a convolution recorded, and where its gradients go")]
    fn conv_step(
        &self,
        layer: LayerId,
        kept: Option<Rc<Buffer>>,
        (grid, window): (Grid, Window),
        x: Option<NodeId>,
        dy: &Buffer,
        gradients: &mut Gradients,
        wanted: &mut dyn FnMut(LayerId, Buffer, Option<Buffer>),
    ) {
        let (ledger, workspace) = (self.ledger, self.workspace);
        let depthwise = self.outline.is_depthwise(layer);
        let taps = window.size[0] * window.size[1];
        let channels = [self.outline.elements(layer) / (dy.cols * taps).max(1), dy.cols];
        if let Some(_kept) = kept {
            let weight = match depthwise {
                true => kernels::depthwise_weight_grad(ledger, workspace, grid, dy.cols, window),
                false => kernels::conv_weight_grad(ledger, workspace, grid, channels, window),
            };
            let bias = self.outline.has_bias(layer).then(|| ledger.take(1, dy.cols));
            wanted(layer, weight, bias);
        }
        if x.is_some() {
            let _weight = self.outline.floats(ledger, layer, Part::Weight);
            let dx = match depthwise {
                true => kernels::depthwise_input_grad(ledger, workspace, grid, dy.cols, window),
                false => kernels::conv_input_grad(ledger, workspace, grid, channels, window),
            };
            gradients.flow(x, dx);
        }
    }

    fn batch_norm_step(
        &self,
        norm: Normalization,
        dy: Buffer,
        gradients: &mut Gradients,
        wanted: &mut dyn FnMut(LayerId, Buffer, Option<Buffer>),
    ) {
        let _scale = self.outline.floats(self.ledger, norm.layer, Part::Weight);
        let residual = norm.residual.map(|_| self.ledger.take(dy.rows, dy.cols));
        let affine = norm.kept.is_some().then(|| [self.ledger.take(1, dy.cols), self.ledger.take(1, dy.cols)]);
        gradients.flow(norm.x, dy);
        if let Some(residual) = residual {
            gradients.flow(norm.residual, residual);
        }
        if let (Some([weight, bias]), true) = (affine, norm.wanted) {
            wanted(norm.layer, weight, Some(bias));
        }
    }
}

/// The gradient of each node's result.
pub(super) struct Gradients(Vec<Option<Buffer>>);

impl Gradients {
    /// Takes away the gradient that has come to `node` so far.
    pub(super) fn take(&mut self, node: NodeId) -> Option<Buffer> {
        self.0[node].take()
    }

    pub(super) fn flow(&mut self, node: Option<NodeId>, gradient: Buffer) {
        if let Some(node) = node {
            self.0[node].get_or_insert(gradient);
        }
    }
}
