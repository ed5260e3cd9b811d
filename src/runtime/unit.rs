//! A convolution and the batch normalization after it, as most convolutional networks are made of.

use super::{Error, LayerId, Part, Weights};
use crate::kernels::{Activation, Tensor, Window, Workspace, batch_norm_fold};

/// How a batch normalization is computed, beside its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Where its scale, bias and statistics are.
    pub layer: LayerId,
    /// Added to the variance.
    pub eps: f32,
    /// What comes after it, and after a residual where there is one.
    pub activation: Activation,
}

/// A convolution without bias and the batch normalization after it.
#[derive(Clone, Copy, Debug)]
pub struct ConvNorm {
    /// The convolution's weight.
    pub conv: LayerId,
    /// Its window.
    pub window: Window,
    /// The normalization.
    pub norm: BatchNorm,
}

impl BatchNorm {
    /// The normalization with running statistics as a factor and an addend of each channel, `[1, channels]`.
    ///
    /// # Errors
    /// If the task lacks the layer.
    pub fn fold(&self, weights: &impl Weights, workspace: &Workspace) -> Result<(Tensor, Tensor), Error> {
        let floats = |part| weights.required(self.layer, part).map(|weight| weight.floats(workspace));
        let (scale, bias) = (floats(Part::Weight)?, floats(Part::Bias)?);
        let (mean, variance) = (floats(Part::Mean)?, floats(Part::Variance)?);
        Ok(batch_norm_fold(workspace, &scale, &bias, &mean, &variance, self.eps))
    }
}
