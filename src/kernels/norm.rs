//! Layer normalization over the features of each row, and its gradients.

use super::math::vectorize;
use super::parallel::for_rows;
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
pub fn layer_norm(workspace: &Workspace, x: &Tensor, scale: &[f32], bias: &[f32], eps: f32) -> Tensor {
    let cols = x.cols();
    assert_eq!((scale.len(), bias.len()), (cols, cols), "scale and bias of a norm over {cols} features");
    let mut out = workspace.tensor(x.rows(), cols);
    for_rows(workspace, &mut out, cols, |first, part| {
        vectorize(|| {
            for (index, out) in part.chunks_exact_mut(cols).enumerate() {
                normalize(x.row(first + index), out, eps);
                for ((value, scale), bias) in out.iter_mut().zip(scale).zip(bias) {
                    *value = *value * scale + bias;
                }
            }
        })
    });
    out
}

/// [`layer_norm`] that also returns what the backward pass needs. The result is the same to the bit.
///
/// # Panics
/// If the sizes do not agree.
pub fn layer_norm_kept(
    workspace: &Workspace,
    x: &Tensor,
    scale: &[f32],
    bias: &[f32],
    eps: f32,
) -> (Tensor, Normalized) {
    let (rows, cols) = (x.rows(), x.cols());
    assert_eq!((scale.len(), bias.len()), (cols, cols), "scale and bias of a norm over {cols} features");
    let mut inverse_deviation = workspace.tensor(rows, 1);
    let mut values = workspace.tensor(rows, cols);
    vectorize(|| {
        let outputs = values.chunks_exact_mut(cols).zip(inverse_deviation.iter_mut());
        for ((out, inverse), row) in outputs.zip(x.chunks_exact(cols)) {
            *inverse = normalize(row, out, eps);
        }
    });
    let mut out = workspace.tensor(rows, cols);
    for_rows(workspace, &mut out, cols, |first, part| {
        vectorize(|| {
            for (index, out) in part.chunks_exact_mut(cols).enumerate() {
                let values = values.row(first + index);
                for (((out, value), scale), bias) in out.iter_mut().zip(values).zip(scale).zip(bias) {
                    *out = value * scale + bias;
                }
            }
        })
    });
    (out, Normalized { values, inverse_deviation })
}

/// (x − mean) / deviation of one row; returns 1 / deviation.
#[inline(always)]
fn normalize(row: &[f32], out: &mut [f32], eps: f32) -> f32 {
    let count = row.len() as f32;
    let mean = sum(row, |x| x) / count;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
    let inverse = 1.0 / (variance + eps).sqrt();
    out.iter_mut().zip(row).for_each(|(out, x)| *out = (x - mean) * inverse);
    inverse
}

/// Sum of `term` over a row in 16 partial sums, which the compiler keeps in vector registers.
#[inline(always)]
fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = row.as_chunks::<16>();
    let mut sums = [0f32; 16];
    for block in blocks {
        for lane in 0..16 {
            sums[lane] += term(block[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|&x| term(x)).sum::<f32>()
}

/// Turns `dy` into the gradient of the input of the normalization.
///
/// # Panics
/// If the sizes do not agree.
pub fn layer_norm_grad(workspace: &Workspace, dy: &mut Tensor, normalized: &Normalized, scale: &[f32]) {
    let cols = dy.cols();
    assert_eq!((dy.len(), scale.len()), (normalized.values.len(), cols));
    for_rows(workspace, dy, cols, |first, part| {
        vectorize(|| {
            for (index, row) in part.chunks_exact_mut(cols).enumerate() {
                let values = normalized.values.row(first + index);
                let inverse = normalized.inverse_deviation[first + index];
                let (mut mean, mut along) = (0.0, 0.0);
                for ((dy, scale), value) in row.iter_mut().zip(scale).zip(values) {
                    *dy *= scale;
                    mean += *dy;
                    along += *dy * value;
                }
                mean /= cols as f32;
                along /= cols as f32;
                for (dy, value) in row.iter_mut().zip(values) {
                    *dy = inverse * (*dy - mean - value * along);
                }
            }
        })
    });
}

/// Adds the gradients of scale and bias to `scale_grad [features]` and `bias_grad [features]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn layer_norm_affine_grad(dy: &Tensor, normalized: &Normalized, scale_grad: &mut [f32], bias_grad: &mut [f32]) {
    let cols = dy.cols();
    assert_eq!((scale_grad.len(), bias_grad.len(), dy.len()), (cols, cols, normalized.values.len()));
    vectorize(|| {
        for (dy, values) in dy.chunks_exact(cols).zip(normalized.values.chunks_exact(cols)) {
            for (((dy, value), scale), bias) in
                dy.iter().zip(values).zip(scale_grad.iter_mut()).zip(bias_grad.iter_mut())
            {
                *scale += dy * value;
                *bias += dy;
            }
        }
    });
}
