//! Operations on images: how they are recorded, and their way back.

use std::sync::Arc;

use super::backward::{Gradients, LayerGrad, column_sums};
use super::tape::{Moments, Node, NodeId, Recorded, Tape};
use crate::kernels::{self, Activation, Epilogue, FrozenGrad, Grid, Tensor, Window};
use crate::runtime::{BatchNorm, ConvNorm, Error, LayerId, LayerKind, Part, Weights};

/// A recorded operation on images.
pub(super) enum ImageNode {
    Conv { layer: LayerId, kept: Option<Arc<Tensor>>, grid: Grid, window: Window, x: Option<NodeId> },
    BatchNorm(Normalization),
    MaxPool { kept: Arc<Tensor>, grid: Grid, window: Window, x: NodeId },
    AveragePool { grid: Grid, window: Window, x: NodeId },
    SubsamplePad { grid: Grid, stride: usize, before: usize, channels: usize, x: NodeId },
}

/// A recorded batch normalization.
pub(super) struct Normalization {
    layer: LayerId,
    /// Whether the gradients of scale and bias are wanted.
    wanted: bool,
    /// What was normalized, where a gradient needs it.
    kept: Option<Arc<Tensor>>,
    /// What came out of the activation, and which it was.
    activated: Option<(Arc<Tensor>, Activation)>,
    mean: Tensor,
    inverse_deviation: Tensor,
    /// Whether mean and deviation are those of the batch.
    of_batch: bool,
    x: Option<NodeId>,
    residual: Option<NodeId>,
}

impl<W: Weights> Tape<'_, W> {
    pub(super) fn record_conv(
        &mut self,
        x: &Recorded,
        grid: Grid,
        layer: LayerId,
        window: Window,
    ) -> Result<Recorded, Error> {
        let bias = self.weights.param(layer, Part::Bias).map(|bias| bias.floats(self.workspace));
        let epilogue = Epilogue { shift: bias.as_deref(), ..Epilogue::default() };
        let out = self.weights.convolve(self.workspace, &x.data, grid, layer, window, epilogue)?;
        let kept = self.wants(layer).then(|| x.data.clone());
        let flows = kept.is_some() || x.node.is_some();
        Ok(self.record(out, flows, || Node::Image(ImageNode::Conv { layer, kept, grid, window, x: x.node })))
    }

    /// A convolution and its normalization in one pass, where no gradient flows through them.
    pub(super) fn fused(
        &mut self,
        x: &Recorded,
        grid: Grid,
        unit: &ConvNorm,
        residual: Option<&Recorded>,
    ) -> Option<Result<Recorded, Error>> {
        let flows = x.node.is_some() || residual.is_some_and(|residual| residual.node.is_some());
        if flows || self.wants(unit.conv) || self.wants(unit.norm.layer) || self.batch_statistics {
            return None;
        }
        let mut eval = crate::runtime::Eval::new(self.weights, self.workspace);
        let residual = residual.map(|residual| &*residual.data);
        let out = crate::runtime::Ops::conv_norm(&mut eval, &x.data, grid, unit, residual);
        Some(out.map(|data| Recorded { data: Arc::new(data), node: None, norm: None }))
    }

    pub(super) fn record_batch_norm(
        &mut self,
        x: &Recorded,
        norm: &BatchNorm,
        residual: Option<&Recorded>,
    ) -> Result<Recorded, Error> {
        let (workspace, of_batch, wanted) = (self.workspace, self.batch_statistics, self.wants(norm.layer));
        let floats = |part| self.weights.required(norm.layer, part).map(|weight| weight.floats(workspace));
        let (scale, bias) = (floats(Part::Weight)?, floats(Part::Bias)?);
        let (mean, variance) = if of_batch {
            kernels::moments(workspace, &x.data)
        } else {
            let (mean, variance) = (floats(Part::Mean)?, floats(Part::Variance)?);
            (workspace.row(&mean), workspace.row(&variance))
        };
        let (factor, addend) = kernels::batch_norm_fold(workspace, &scale, &bias, &mean, &variance, norm.eps);
        let residual_node = residual.and_then(|residual| residual.node);
        let flows = wanted || x.node.is_some() || residual_node.is_some();
        let kept = (wanted || (of_batch && x.node.is_some())).then(|| x.data.clone());
        let epilogue = Epilogue {
            scale: Some(&factor),
            shift: Some(&addend),
            residual: residual.map(|residual| &residual.data[..]),
            activation: norm.activation,
        };
        let out = Arc::new(kernels::affine(workspace, &x.data, epilogue));
        if of_batch {
            let moments =
                Moments { layer: norm.layer, mean: workspace.copy(&mean), variance: workspace.copy(&variance) };
            self.moments.push((moments, out.rows()));
        }
        if !flows {
            return Ok(Recorded { data: out, node: None, norm: None });
        }
        let mut inverse_deviation = variance;
        inverse_deviation.iter_mut().for_each(|value| *value = 1.0 / (*value + norm.eps).sqrt());
        let activated = (norm.activation != Activation::None).then(|| (out.clone(), norm.activation));
        let (layer, x, residual) = (norm.layer, x.node, residual_node);
        let node = Normalization { layer, wanted, kept, activated, mean, inverse_deviation, of_batch, x, residual };
        self.nodes.push(Node::Image(ImageNode::BatchNorm(node)));
        Ok(Recorded { data: out, node: Some(self.nodes.len() - 1), norm: None })
    }

    /// The way back through one operation.
    pub(super) fn image_step(
        &self,
        node: ImageNode,
        dy: Tensor,
        gradients: &mut Gradients,
        sink: &mut dyn FnMut(LayerId, LayerGrad),
    ) -> Result<(), Error> {
        let workspace = self.workspace;
        match node {
            ImageNode::Conv { layer, kept, grid, window, x } => {
                let depthwise = self.weights.layout().layer(layer).kind == LayerKind::Depthwise;
                if let Some(kept) = kept {
                    let weight = match depthwise {
                        true => kernels::depthwise_weight_grad(workspace, &dy, &kept, grid, window),
                        false => kernels::conv_weight_grad(workspace, &dy, &kept, grid, window),
                    };
                    let bias = self.has_bias(layer).then(|| column_sums(workspace, &dy));
                    sink(layer, LayerGrad { weight, bias });
                }
                if x.is_some() {
                    let weight = self.weights.weight(layer)?.floats(workspace);
                    let dx = match depthwise {
                        true => kernels::depthwise_input_grad(workspace, &dy, grid, &weight, window),
                        false => kernels::conv_input_grad(workspace, &dy, grid, &weight, window),
                    };
                    gradients.flow(workspace, x, dx);
                }
            }
            ImageNode::BatchNorm(norm) => self.batch_norm_step(norm, dy, gradients, sink)?,
            ImageNode::MaxPool { kept, grid, window, x } => {
                gradients.flow(workspace, Some(x), kernels::max_pool_grad(workspace, &dy, &kept, grid, window));
            }
            ImageNode::AveragePool { grid, window, x } => {
                gradients.flow(workspace, Some(x), kernels::average_pool_grad(workspace, &dy, grid, window));
            }
            ImageNode::SubsamplePad { grid, stride, before, channels, x } => {
                gradients.flow(
                    workspace,
                    Some(x),
                    kernels::subsample_pad_grad(workspace, &dy, grid, stride, before, channels),
                );
            }
        }
        Ok(())
    }

    fn batch_norm_step(
        &self,
        norm: Normalization,
        mut dy: Tensor,
        gradients: &mut Gradients,
        sink: &mut dyn FnMut(LayerId, LayerGrad),
    ) -> Result<(), Error> {
        let workspace = self.workspace;
        let scale = self.weights.weight(norm.layer)?.floats(workspace);
        let mut residual = norm.residual.map(|_| workspace.tensor(dy.rows(), dy.cols()));
        let inverse = &norm.inverse_deviation[..];
        let grad = FrozenGrad {
            activated: norm.activated.as_ref().map(|(out, activation)| (&**out, *activation)),
            affine: norm.kept.as_ref().map(|x| (&**x, &norm.mean[..])),
            scale: (norm.x.is_some() && !norm.of_batch).then_some(&scale[..]),
            inverse_deviation: inverse,
            residual: residual.as_mut(),
        };
        let affine = grad.step(workspace, &mut dy);
        if let (Some(x), Some((weight, bias)), true) = (&norm.kept, &affine, norm.of_batch && norm.x.is_some()) {
            kernels::batch_norm_batch_grad(workspace, &mut dy, x, &norm.mean, inverse, &scale, weight, bias);
        }
        gradients.flow(workspace, norm.x, dy);
        if let Some(residual) = residual {
            gradients.flow(workspace, norm.residual, residual);
        }
        if let (Some((weight, bias)), true) = (affine, norm.wanted) {
            sink(norm.layer, LayerGrad { weight, bias: Some(bias) });
        }
        Ok(())
    }
}
