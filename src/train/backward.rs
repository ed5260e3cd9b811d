//! The backward pass: the tape walked from its end, each node freed when it is done.

use super::images::ImageNode;
use super::tape::{Node, NodeId, Recorded, Tape};
use super::transformer::BlockNode;
use crate::kernels::{self, Tensor, Workspace};
use crate::runtime::{Error, LayerId, Part, Weights};

/// Gradients of one layer.
pub struct LayerGrad {
    /// Of the weight, in its shape; of a table or a norm's scale as well.
    pub weight: Tensor,
    /// Of the bias, where the layer has one.
    pub bias: Option<Tensor>,
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

/// A recorded operation, for those who watch the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it is called in [`Ops`](crate::runtime::Ops).
    pub name: &'static str,
    /// The layers whose products it is made of, where a gradient flowed on to its input.
    pub layers: Vec<LayerId>,
}

impl Node {
    fn operation(&self) -> Operation {
        let (name, layers): (_, &[LayerId]) = match self {
            Node::Linear { layer, x: Some(_), .. } => ("linear", std::slice::from_ref(layer)),
            Node::Linear { .. } => ("linear", &[]),
            Node::Block(BlockNode::SelfAttention { layers, x: Some(_), .. }) => ("self_attention", layers),
            Node::Block(BlockNode::SelfAttention { .. }) => ("self_attention", &[]),
            Node::Block(BlockNode::FeedForward { layers, x: Some(_), .. }) => ("feed_forward", layers),
            Node::Block(BlockNode::FeedForward { .. }) => ("feed_forward", &[]),
            Node::Image(ImageNode::Conv { layer, x: Some(_), .. }) => ("conv", std::slice::from_ref(layer)),
            Node::Image(ImageNode::Conv { .. }) => ("conv", &[]),
            Node::Image(ImageNode::BatchNorm(_)) => ("batch_norm", &[]),
            Node::Image(ImageNode::MaxPool { .. }) => ("max_pool", &[]),
            Node::Image(ImageNode::AveragePool { .. }) => ("average_pool", &[]),
            Node::Image(ImageNode::SubsamplePad { .. }) => ("subsample_pad", &[]),
            Node::Start => ("start", &[]),
            Node::Gather { .. } => ("gather", &[]),
            Node::GatherInterpolated { .. } => ("gather_interpolated", &[]),
            Node::Prepend { .. } => ("prepend", &[]),
            Node::LayerNorm { .. } => ("layer_norm", &[]),
            Node::Gelu { .. } => ("gelu", &[]),
            Node::Tanh { .. } => ("tanh", &[]),
            Node::Add { .. } => ("add", &[]),
            Node::Attention { .. } => ("attention", &[]),
            Node::MeanRows { .. } => ("mean_rows", &[]),
            Node::MaxRows { .. } => ("max_rows", &[]),
            Node::RowsAt { .. } => ("rows_at", &[]),
            Node::Concat { .. } => ("concat", &[]),
            Node::Columns { .. } => ("columns", &[]),
        };
        Operation { name, layers: layers.to_vec() }
    }
}

impl<W: Weights> Tape<'_, W> {
    /// Walks back from `output`, as far as it was recorded, with `gradient` of the same shape. `sink` gets the gradients
    /// of each wanted layer when they are formed, from the last layer to the first, and once for each use of a
    /// layer; it may free them at once.
    ///
    /// # Errors
    /// If a layer's weights are missing, which the forward pass would have found.
    pub fn backward(
        self,
        output: &Recorded,
        gradient: Tensor,
        sink: &mut dyn FnMut(LayerId, LayerGrad),
    ) -> Result<(), Error> {
        self.backward_watched(output, gradient, sink, &mut |_| {})
    }

    /// As [`Tape::backward`]; `watch` is told which operation the way back has just come through.
    ///
    /// # Errors
    /// As [`Tape::backward`].
    pub fn backward_watched(
        self,
        output: &Recorded,
        gradient: Tensor,
        sink: &mut dyn FnMut(LayerId, LayerGrad),
        watch: &mut dyn FnMut(Operation),
    ) -> Result<(), Error> {
        self.walk(output, gradient, sink, watch).map(drop)
    }

    /// Walks back to the start; gives the gradient of the values there, where one flows to them.
    pub(super) fn walk(
        mut self,
        output: &Recorded,
        gradient: Tensor,
        sink: &mut dyn FnMut(LayerId, LayerGrad),
        watch: &mut dyn FnMut(Operation),
    ) -> Result<Option<Tensor>, Error> {
        let mut gradients = Gradients((0..self.nodes.len()).map(|_| None).collect());
        gradients.flow(self.workspace, output.node, gradient);
        while let Some(node) = self.nodes.pop() {
            match (gradients.0.pop().flatten(), node) {
                (Some(dy), Node::Start) => return Ok(Some(dy)),
                (Some(dy), node) => {
                    let operation = node.operation();
                    self.step(node, dy, &mut gradients, sink)?;
                    watch(operation);
                }
                (None, _) => {}
            }
        }
        Ok(None)
    }

    fn step(
        &self,
        node: Node,
        mut dy: Tensor,
        gradients: &mut Gradients,
        sink: &mut dyn FnMut(LayerId, LayerGrad),
    ) -> Result<(), Error> {
        let workspace = self.workspace;
        match node {
            Node::Start => {}
            Node::Gather { layer, indices, onto } => {
                if let Some(indices) = indices {
                    let mut weight = workspace.zeros(1, self.weights.weight(layer)?.elements());
                    kernels::scatter_add(&dy, &indices, &mut weight);
                    sink(layer, LayerGrad { weight, bias: None });
                }
                gradients.flow(workspace, onto, dy);
            }
            Node::GatherInterpolated { layer, map, indices, onto } => {
                if let Some(indices) = indices {
                    let mut rows = workspace.zeros(map.rows(), dy.cols());
                    kernels::scatter_add(&dy, &indices, &mut rows);
                    let mut weight = workspace.zeros(1, self.weights.weight(layer)?.elements());
                    kernels::interpolate_grad(&rows, &map, &mut weight);
                    sink(layer, LayerGrad { weight, bias: None });
                }
                gradients.flow(workspace, onto, dy);
            }
            Node::Prepend { layer, wanted, x, segments } => {
                let mut weight = workspace.zeros(1, dy.cols());
                let dx = kernels::prepend_row_grad(workspace, &dy, &segments, &mut weight);
                if wanted {
                    sink(layer, LayerGrad { weight, bias: None });
                }
                gradients.flow(workspace, x, dx);
            }
            Node::Linear { layer, kept, x } => {
                if let Some(kept) = kept {
                    let weight =
                        self.recall(&kept, |x| x.with(workspace, |x| kernels::linear_weight_grad(workspace, &dy, x)))?;
                    let bias = self.has_bias(layer).then(|| column_sums(workspace, &dy));
                    sink(layer, LayerGrad { weight, bias });
                }
                if x.is_some() {
                    let weight = self.weights.weight(layer)?.floats(workspace);
                    gradients.flow(workspace, x, kernels::linear_input_grad(workspace, &dy, &weight));
                }
            }
            Node::LayerNorm { layer, wanted, normalized, x } => {
                if wanted {
                    let mut weight = workspace.zeros(1, dy.cols());
                    let mut bias = workspace.zeros(1, dy.cols());
                    kernels::layer_norm_affine_grad(&dy, &normalized, &mut weight, &mut bias);
                    sink(layer, LayerGrad { weight, bias: Some(bias) });
                }
                if x.is_some() {
                    let scale = self.weights.weight(layer)?.floats(workspace);
                    kernels::layer_norm_grad(workspace, &mut dy, &normalized, &scale);
                    gradients.flow(workspace, x, dy);
                }
            }
            Node::Gelu { kept, x } => {
                kernels::gelu_grad(workspace, &mut dy, &kept);
                gradients.flow(workspace, Some(x), dy);
            }
            Node::Tanh { kept, x } => {
                kernels::tanh_grad(workspace, &mut dy, &kept);
                gradients.flow(workspace, Some(x), dy);
            }
            Node::Add { x: Some(x), y: Some(y) } => {
                let copy = workspace.copy(&dy);
                gradients.flow(workspace, Some(x), dy);
                gradients.flow(workspace, Some(y), copy);
            }
            Node::Add { x, y } => gradients.flow(workspace, x.or(y), dy),
            Node::Attention { kept, inputs, heads, segments } => {
                let kept = [&*kept[0], &*kept[1], &*kept[2]];
                let grads = kernels::attention_grad(workspace, &dy, kept, heads, &segments);
                for (input, grad) in inputs.into_iter().zip(grads) {
                    gradients.flow(workspace, input, grad);
                }
            }
            Node::MeanRows { x, segments, skip } => {
                gradients.flow(workspace, Some(x), kernels::mean_rows_grad(workspace, &dy, &segments, skip))
            }
            Node::Concat { parts } => {
                let mut first = 0;
                for (part, cols) in parts {
                    if part.is_some() {
                        gradients.flow(workspace, part, kernels::columns(workspace, &dy, first..first + cols));
                    }
                    first += cols;
                }
            }
            Node::Columns { x, first, of } => gradients.flow_columns(workspace, x, &dy, first, of),
            Node::Block(node) => self.block_step(node, dy, gradients, sink)?,
            Node::Image(node) => self.image_step(node, dy, gradients, sink)?,
            Node::MaxRows { kept, x, segments } => {
                gradients.flow(workspace, Some(x), kernels::max_rows_grad(workspace, &dy, &kept, &segments))
            }
            Node::RowsAt { x, segments, at } => {
                gradients.flow(workspace, Some(x), kernels::rows_at_grad(workspace, &dy, &segments, at))
            }
        }
        Ok(())
    }

    pub(super) fn has_bias(&self, layer: LayerId) -> bool {
        self.weights.param(layer, Part::Bias).is_some()
    }
}

pub(super) fn column_sums(workspace: &Workspace, dy: &Tensor) -> Tensor {
    let mut sums = workspace.zeros(1, dy.cols());
    kernels::add_column_sums(dy, &mut sums);
    sums
}

/// The gradient of each node's result, as far as it has been summed.
pub(super) struct Gradients(Vec<Option<Tensor>>);

impl Gradients {
    /// Adds a gradient to that of `node`; one that flows to no node ends here.
    pub(super) fn flow(&mut self, workspace: &Workspace, node: Option<NodeId>, gradient: Tensor) {
        let Some(node) = node else { return };
        match &mut self.0[node] {
            Some(sum) => kernels::add(workspace, sum, &gradient),
            empty => *empty = Some(gradient),
        }
    }

    /// Takes away the gradient that has come to `node` so far.
    pub(super) fn take(&mut self, node: NodeId) -> Option<Tensor> {
        self.0[node].take()
    }

    /// Adds a gradient to columns from `first` on of that of `node`, whose result has `of` columns.
    fn flow_columns(&mut self, workspace: &Workspace, node: NodeId, gradient: &Tensor, first: usize, of: usize) {
        let sum = self.0[node].get_or_insert_with(|| workspace.zeros(gradient.rows(), of));
        kernels::add_columns(sum, gradient, first);
    }
}
