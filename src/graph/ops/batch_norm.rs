//! Batch normalization (Ioffe and Szegedy 2015) with what comes after it: a residual and an activation.

use std::rc::Rc;

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, LayerGrad, LayerId, Moments, Output, Part, Result, Tensors, Var};
#[cfg(feature = "candle")]
use crate::gpu;
use crate::kernels::{self, Activation, Epilogue, FrozenGrad, Tensor};

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

/// What the backward pass of a batch normalization needs of the forward pass.
pub struct Saved<T, S> {
    /// What was normalized, where a gradient needs it.
    x: Option<Rc<T>>,
    /// What came out, where the activation cut some of it off.
    y: Option<Rc<T>>,
    /// Means and deviations.
    statistics: S,
    /// Whether they are those of the batch.
    of_batch: bool,
}

/// Gradients of a batch normalization, as far as they are wanted.
pub struct Grads<T> {
    x: T,
    residual: Option<T>,
    affine: Option<LayerGrad<T>>,
}

/// Which gradients are wanted.
#[derive(Clone, Copy)]
pub struct Wanted {
    x: bool,
    residual: bool,
    affine: bool,
}

/// Kernels of [`Graph::batch_norm`].
pub trait Kernels: Tensors {
    /// What is saved of means and deviations.
    type Statistics;

    /// The normalization by running statistics.
    fn batch_norm(
        &self,
        x: &Self::Tensor,
        norm: &BatchNorm,
        residual: Option<&Self::Tensor>,
    ) -> Result<Self::Tensor, Self>;

    /// The same by running statistics or by those of the batch, and what is saved of them.
    #[expect(clippy::type_complexity, reason = "the result, what is saved, and what was seen of a batch")]
    fn batch_norm_saved(
        &self,
        x: &Self::Tensor,
        norm: &BatchNorm,
        residual: Option<&Self::Tensor>,
        of_batch: bool,
    ) -> Result<(Self::Tensor, Self::Statistics, Option<Moments<Self::Tensor>>), Self>;

    /// Gradients from that of the result.
    fn batch_norm_grad(
        &self,
        dy: Self::Tensor,
        norm: &BatchNorm,
        saved: &Saved<Self::Tensor, Self::Statistics>,
        wanted: Wanted,
    ) -> Result<Grads<Self::Tensor>, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// Batch normalization of each channel, `residual` added to it, and its activation.
    ///
    /// # Errors
    /// If the task lacks the layer.
    pub fn batch_norm(&mut self, x: &Var<B>, norm: &BatchNorm, residual: Option<&Var<B>>) -> Output<B> {
        let (norm, of_batch) = (*norm, self.batch_statistics);
        let (to_x, to_residual) = (x.node, residual.and_then(|residual| residual.node));
        let wanted = Wanted { x: to_x.is_some(), residual: to_residual.is_some(), affine: self.wants(norm.layer) };
        let residual = residual.map(|residual| &*residual.value);
        let flows = wanted.affine || wanted.x || wanted.residual;
        if !flows && !of_batch {
            return Ok(self.plain("batch_norm", &[], self.backend.batch_norm(&x.value, &norm, residual)?));
        }
        let (y, statistics, moments) = self.backend.batch_norm_saved(&x.value, &norm, residual, of_batch)?;
        self.moments.extend(moments);
        if !flows {
            return Ok(self.plain("batch_norm", &[], y));
        }
        let y = Rc::new(y);
        let saved = Saved {
            x: (wanted.affine || (of_batch && wanted.x)).then(|| x.keep()),
            y: (norm.activation != Activation::None).then(|| B::keep(&y)),
            statistics,
            of_batch,
        };
        Ok(self.record("batch_norm", &[], y, move |dy, back| {
            let grads = back.backend.batch_norm_grad(dy, &norm, &saved, wanted)?;
            if let Some(node) = to_x {
                back.flow(node, grads.x)?;
            }
            assert_eq!(to_residual.is_some(), grads.residual.is_some(), "a gradient is formed where it flows on");
            if let Some((node, residual)) = to_residual.zip(grads.residual) {
                back.flow(node, residual)?;
            }
            match grads.affine {
                Some(LayerGrad { weight, bias }) => back.give(norm.layer, weight, bias),
                None => Ok(()),
            }
        }))
    }
}

impl Host<'_> {
    /// The normalization by running statistics as a factor and an addend of each channel, `[1, channels]`.
    pub(super) fn fold(&self, norm: &BatchNorm) -> Result<(Tensor, Tensor), Self> {
        let floats = |part| self.weights.required(norm.layer, part).map(|weight| weight.floats(self.workspace));
        let (scale, bias) = (floats(Part::Weight)?, floats(Part::Bias)?);
        let (mean, variance) = (floats(Part::Mean)?, floats(Part::Variance)?);
        let channels = self.weights.layout().layer(norm.layer).weight.elements();
        Ok(kernels::batch_norm_fold(self.workspace, channels, &scale, &bias, &mean, &variance, norm.eps))
    }
}

impl Kernels for Host<'_> {
    /// Means, and one over the deviations.
    type Statistics = [Tensor; 2];

    fn batch_norm(&self, x: &Tensor, norm: &BatchNorm, residual: Option<&Tensor>) -> Result<Tensor, Self> {
        let (scale, shift) = self.fold(norm)?;
        let (scale, shift, residual) = (Some(&scale[..]), Some(&shift[..]), residual.map(|residual| &residual[..]));
        Ok(kernels::affine(self.workspace, x, Epilogue { scale, shift, residual, activation: norm.activation }))
    }

    fn batch_norm_saved(
        &self,
        x: &Tensor,
        norm: &BatchNorm,
        residual: Option<&Tensor>,
        of_batch: bool,
    ) -> Result<(Tensor, [Tensor; 2], Option<Moments>), Self> {
        let workspace = self.workspace;
        let floats = |part| self.weights.required(norm.layer, part).map(|weight| weight.floats(workspace));
        let (scale, bias) = (floats(Part::Weight)?, floats(Part::Bias)?);
        let row = |values: &[f32]| {
            let mut row = workspace.tensor(1, x.cols());
            if !workspace.is_dry() {
                row.copy_from_slice(values);
            }
            row
        };
        let (mean, variance) = if of_batch {
            kernels::moments(workspace, x)
        } else {
            let (mean, variance) = (floats(Part::Mean)?, floats(Part::Variance)?);
            (row(&mean), row(&variance))
        };
        let (factor, addend) = kernels::batch_norm_fold(workspace, x.cols(), &scale, &bias, &mean, &variance, norm.eps);
        let epilogue = Epilogue {
            scale: Some(&factor),
            shift: Some(&addend),
            residual: residual.map(|residual| &residual[..]),
            activation: norm.activation,
        };
        let y = kernels::affine(workspace, x, epilogue);
        let moments = of_batch.then(|| Moments {
            layer: norm.layer,
            mean: workspace.copy(&mean),
            variance: workspace.copy(&variance),
            rows: x.rows(),
        });
        let mut inverse_deviation = variance;
        inverse_deviation.iter_mut().for_each(|value| *value = 1.0 / (*value + norm.eps).sqrt());
        Ok((y, [mean, inverse_deviation], moments))
    }

    fn batch_norm_grad(
        &self,
        mut dy: Tensor,
        norm: &BatchNorm,
        saved: &Saved<Tensor, [Tensor; 2]>,
        wanted: Wanted,
    ) -> Result<Grads<Tensor>, Self> {
        let (workspace, scale) = (self.workspace, self.scale(norm.layer)?);
        let [mean, inverse_deviation] = &saved.statistics;
        let mut residual = wanted.residual.then(|| workspace.tensor(dy.rows(), dy.cols()));
        let grad = FrozenGrad {
            activated: saved.y.as_deref().map(|y| (y, norm.activation)),
            affine: saved.x.as_deref().map(|x| (x, &mean[..])),
            scale: (wanted.x && !saved.of_batch).then_some(&scale[..]),
            inverse_deviation,
            residual: residual.as_mut(),
        };
        let affine = grad.step(workspace, &mut dy);
        if let (Some(x), Some((weight, bias)), true) = (&saved.x, &affine, saved.of_batch && wanted.x) {
            kernels::batch_norm_batch_grad(workspace, &mut dy, x, mean, inverse_deviation, &scale, weight, bias);
        }
        let affine = affine.filter(|_| wanted.affine).map(|(weight, bias)| LayerGrad { weight, bias: Some(bias) });
        Ok(Grads { x: dy, residual, affine })
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    /// Means, and one over the deviations.
    type Statistics = candle_core::Tensor;

    fn batch_norm(&self, x: &Rows, norm: &BatchNorm, residual: Option<&Rows>) -> Result<Rows, Self> {
        Ok(self.batch_norm_saved(x, norm, residual, false)?.0)
    }

    fn batch_norm_saved(
        &self,
        x: &Rows,
        norm: &BatchNorm,
        residual: Option<&Rows>,
        of_batch: bool,
    ) -> Result<(Rows, candle_core::Tensor, Option<Moments<Rows>>), Self> {
        let part = |part| self.required(norm.layer, part);
        let (x, residual) = (x.whole()?, residual.map(Rows::whole).transpose()?);
        let (mut moments, rows) = (None, x.dim(0)?);
        let [mean, variance] = if of_batch {
            let mean = (gpu::column_sums(&x)? / rows as f64)?;
            let variance = (gpu::column_squares(&x, &mean)? / rows as f64)?;
            let seen = (mean.clone().into(), variance.clone().into());
            moments = Some(Moments { layer: norm.layer, mean: seen.0, variance: seen.1, rows });
            [mean, variance]
        } else {
            [part(Part::Mean)?, part(Part::Variance)?]
        };
        let spread = gpu::channel_spread(&mean, &variance, norm.eps)?;
        let affine = [&part(Part::Weight)?, &part(Part::Bias)?, &spread];
        let y = gpu::channel_norm(&x, residual.as_ref(), affine, norm.activation)?;
        Ok((y.into(), spread, moments))
    }

    fn batch_norm_grad(
        &self,
        dy: Rows,
        norm: &BatchNorm,
        saved: &Saved<Rows, candle_core::Tensor>,
        wanted: Wanted,
    ) -> Result<Grads<Rows>, Self> {
        let (weight, spread) = (self.weight(norm.layer)?, &saved.statistics);
        let dy = match &saved.y {
            Some(y) => gpu::activation_grad(&y.rows, &dy.rows, norm.activation)?,
            None => dy.rows,
        };
        let x = saved.x.as_deref().map(Rows::whole).transpose()?;
        let sums = x.as_ref().map(|x| gpu::channel_norm_sums(x, &dy, spread)).transpose()?;
        let affine = match sums.as_ref().filter(|_| wanted.affine) {
            Some(sums) => Some(LayerGrad { weight: sums.get(0)?.into(), bias: Some(sums.get(1)?.into()) }),
            None => None,
        };
        let dx = match wanted.x {
            true => {
                // Without statistics of the batch the input is not looked at.
                let (of, sums) = (x.as_ref().unwrap_or(&dy), sums.as_ref().filter(|_| saved.of_batch));
                gpu::channel_norm_grad(of, &dy, [&weight, spread], sums)?
            }
            false => dy.clone(),
        };
        Ok(Grads { x: dx.into(), residual: wanted.residual.then(|| dy.into()), affine })
    }
}
