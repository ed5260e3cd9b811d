//! Layer normalization over the features of each row, and its gradients.

use std::ops::{Deref, Range};

use super::math::{sum, vectorized};
use super::parallel::{for_rows, for_rows_of};
use super::tensor::dot_row;
use super::{Tensor, Workspace};

/// What the backward pass of a normalization needs.
#[derive(Debug)]
pub struct Normalized {
    /// (x − mean) / deviation, before scale and bias: `[rows, features]`.
    pub values: Tensor,
    /// 1 / deviation of each row: `[rows, 1]`.
    pub inverse_deviation: Tensor,
}

/// Layer normalization of each row of `x` with `scale [features]`, `bias [features]` and `eps` added to
/// the variance.
///
/// # Panics
/// If the sizes do not agree.
pub fn layer_norm(workspace: &Workspace, x: &Tensor, scale: &[f32], bias: Option<&[f32]>, eps: f32) -> Tensor {
    let cols = x.cols();
    let bias = &*bias_of(workspace, scale, bias, cols);
    let mut out = workspace.tensor(x.rows(), cols);
    for_rows(workspace, &mut out, cols, |first, part| {
        norm_part(&x[first * cols..][..part.len()], part, scale, bias, eps);
    });
    out
}

/// The bias of a norm over `cols` features, which is zero where there is none.
///
/// # Panics
/// If there are not as many scales and biases.
fn bias_of<'a>(workspace: &Workspace, scale: &[f32], bias: Option<&'a [f32]>, cols: usize) -> Bias<'a> {
    let fits = |values: &[f32]| values.len() == cols || workspace.is_dry();
    assert!(fits(scale), "scale of a norm over {cols} features");
    match bias {
        Some(bias) => {
            assert!(fits(bias), "bias of a norm over {cols} features");
            Bias::Given(bias)
        }
        None => Bias::Zero(workspace.zeros(1, cols)),
    }
}

enum Bias<'a> {
    Given(&'a [f32]),
    Zero(Tensor),
}

impl Deref for Bias<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Bias::Given(bias) => bias,
            Bias::Zero(zero) => zero,
        }
    }
}

impl Normalized {
    /// What the normalization gave with this scale and bias, to the bit.
    ///
    /// # Panics
    /// If the sizes do not agree.
    pub fn scaled(&self, workspace: &Workspace, scale: &[f32], bias: Option<&[f32]>) -> Tensor {
        let mut out = workspace.tensor(self.values.rows(), self.values.cols());
        self.scale_into(workspace, 0, &mut out, scale, bias);
        out
    }

    /// As [`Normalized::scaled`], of the rows from `first` on that `out` has room for.
    fn scale_into(&self, workspace: &Workspace, first: usize, out: &mut [f32], scale: &[f32], bias: Option<&[f32]>) {
        let cols = self.values.cols();
        let (bias, start) = (&*bias_of(workspace, scale, bias, cols), first);
        for_rows(workspace, out, cols, |first, part| {
            scale_part(&self.values[(start + first) * cols..][..part.len()], part, scale, bias);
        });
    }
}

/// An activation that was saved for the backward pass.
#[derive(Clone, Copy, Debug)]
pub enum Kept<'a> {
    /// Its values, `[rows, features]`.
    Values(&'a Tensor),
    /// What a normalization gave with a scale and a bias, formed again some rows at a time.
    Normalized(&'a Normalized, &'a [f32], Option<&'a [f32]>),
}

impl<'a> Kept<'a> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.tensor().rows()
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.tensor().cols()
    }

    fn tensor(&self) -> &'a Tensor {
        match *self {
            Kept::Values(values) => values,
            Kept::Normalized(normalized, ..) => &normalized.values,
        }
    }

    /// What `body` makes of its values.
    pub fn with<R>(&self, workspace: &Workspace, body: impl FnOnce(&Tensor) -> R) -> R {
        match *self {
            Kept::Values(values) => body(values),
            Kept::Normalized(normalized, scale, bias) => body(&normalized.scaled(workspace, scale, bias)),
        }
    }

    /// What reads up to `rows` rows of it at a time.
    pub(super) fn reader(&self, workspace: &Workspace, rows: usize) -> Reader<'a> {
        match *self {
            Kept::Values(values) => Reader::Values(values),
            Kept::Normalized(normalized, scale, bias) => {
                Reader::Normalized(normalized, scale, bias, workspace.tensor(rows, self.cols()))
            }
        }
    }
}

/// Reads some rows of [`Kept`] values at a time, for one thread.
pub(super) enum Reader<'a> {
    Values(&'a Tensor),
    /// With what the rows are formed in.
    Normalized(&'a Normalized, &'a [f32], Option<&'a [f32]>, Tensor),
}

impl Reader<'_> {
    /// The values of some rows.
    pub(super) fn rows(&mut self, workspace: &Workspace, rows: Range<usize>) -> &[f32] {
        match self {
            Reader::Values(values) => &values[rows.start * values.cols()..rows.end * values.cols()],
            Reader::Normalized(normalized, scale, bias, scratch) => {
                let out = rows.len() * scratch.cols();
                let out = &mut scratch[..out];
                normalized.scale_into(workspace, rows.start, out, scale, *bias);
                out
            }
        }
    }
}

vectorized! {
    fn scale_part(values: &[f32], out: &mut [f32], scale: &[f32], bias: &[f32]) {
        for (values, out) in values.chunks_exact(scale.len()).zip(out.chunks_exact_mut(scale.len())) {
            for (((out, value), scale), bias) in out.iter_mut().zip(values).zip(scale).zip(bias) {
                *out = value * scale + bias;
            }
        }
    }
}

/// [`layer_norm`] that also returns what the backward pass needs. The result is the same to the bit.
///
/// # Panics
/// If the sizes do not agree.
pub fn layer_norm_kept(
    workspace: &Workspace,
    x: &Tensor,
    scale: &[f32],
    bias: Option<&[f32]>,
    eps: f32,
) -> (Tensor, Normalized) {
    let (rows, cols) = (x.rows(), x.cols());
    let bias = &*bias_of(workspace, scale, bias, cols);
    let mut inverse_deviation = workspace.tensor(rows, 1);
    let (mut values, mut out) = (workspace.tensor(rows, cols), workspace.tensor(rows, cols));
    if workspace.is_dry() {
        return (out, Normalized { values, inverse_deviation });
    }
    let parts = [&mut out[..], &mut values, &mut inverse_deviation];
    for_rows_of(workspace, parts, [cols, cols, 1], |first, [out, values, inverse]| {
        norm_kept_part(&x[first * cols..][..out.len()], out, values, inverse, (scale, bias, eps));
    });
    (out, Normalized { values, inverse_deviation })
}

vectorized! {
    fn norm_part(x: &[f32], out: &mut [f32], scale: &[f32], bias: &[f32], eps: f32) {
        for (row, out) in x.chunks_exact(scale.len()).zip(out.chunks_exact_mut(scale.len())) {
            normalize(row, out, eps);
            for ((value, scale), bias) in out.iter_mut().zip(scale).zip(bias) {
                *value = *value * scale + bias;
            }
        }
    }
}

vectorized! {
    fn norm_kept_part(
        x: &[f32],
        out: &mut [f32],
        values: &mut [f32],
        inverses: &mut [f32],
        affine: (&[f32], &[f32], f32),
    ) {
        let (scale, bias, eps) = affine;
        let cols = scale.len();
        let outputs = out.chunks_exact_mut(cols).zip(values.chunks_exact_mut(cols)).zip(inverses);
        for (row, ((out, values), inverse)) in x.chunks_exact(cols).zip(outputs) {
            *inverse = normalize(row, values, eps);
            for (((out, value), scale), bias) in out.iter_mut().zip(values).zip(scale).zip(bias) {
                *out = *value * scale + bias;
            }
        }
    }
}

/// (x − mean) / deviation of one row; returns 1 / deviation.
#[inline(always)]
fn normalize(row: &[f32], out: &mut [f32], eps: f32) -> f32 {
    let count = row.len() as f32;
    let mean = sum(row, |x| x) / count;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
    let inverse = 1.0 / (variance + eps).sqrt();
    for (out, x) in out.iter_mut().zip(row) {
        *out = (x - mean) * inverse;
    }
    inverse
}

/// Turns `dy` into the gradient of the input of the normalization.
///
/// # Panics
/// If the sizes do not agree.
pub fn layer_norm_grad(workspace: &Workspace, dy: &mut Tensor, normalized: &Normalized, scale: &[f32]) {
    let cols = dy.cols();
    if workspace.is_dry() {
        return;
    }
    assert_eq!((dy.len(), scale.len()), (normalized.values.len(), cols));
    for_rows(workspace, dy, cols, |first, part| {
        let inverses = &normalized.inverse_deviation[first..];
        norm_grad_part(part, &normalized.values[first * cols..], inverses, scale);
    });
}

vectorized! {
    fn norm_grad_part(dy: &mut [f32], values: &[f32], inverses: &[f32], scale: &[f32]) {
        let cols = scale.len();
        for ((dy, values), inverse) in dy.chunks_exact_mut(cols).zip(values.chunks_exact(cols)).zip(inverses) {
            for (dy, scale) in dy.iter_mut().zip(scale) {
                *dy *= scale;
            }
            let mean = sum(dy, |dy| dy) / cols as f32;
            let along = dot_row(dy, values) / cols as f32;
            for (dy, value) in dy.iter_mut().zip(values) {
                *dy = inverse * (*dy - mean - value * along);
            }
        }
    }
}

/// Adds the gradients of scale and bias to `scale_grad [features]` and `bias_grad [features]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn layer_norm_affine_grad(dy: &Tensor, normalized: &Normalized, scale_grad: &mut [f32], bias_grad: &mut [f32]) {
    let cols = dy.cols();
    if dy.is_empty() {
        return;
    }
    assert_eq!((scale_grad.len(), bias_grad.len(), dy.len()), (cols, cols, normalized.values.len()));
    add_affine(dy, &normalized.values, scale_grad, bias_grad);
}

vectorized! {
    fn add_affine(dy: &[f32], values: &[f32], scale: &mut [f32], bias: &mut [f32]) {
        let cols = scale.len();
        for (dy, values) in dy.chunks_exact(cols).zip(values.chunks_exact(cols)) {
            for (((dy, value), scale), bias) in dy.iter().zip(values).zip(scale.iter_mut()).zip(bias.iter_mut()) {
                *scale += dy * value;
                *bias += dy;
            }
        }
    }
}
