//! Parameter updates of the optimizers, one fused pass over each parameter.

use rayon::prelude::*;

use super::Workspace;
use super::math::vectorize;
use super::parallel::for_rows;

/// One AdamW step (Loshchilov & Hutter 2019), as PyTorch computes it.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Learning rate.
    pub rate: f32,
    /// Decay of the mean of gradients.
    pub beta1: f32,
    /// Decay of the mean of squared gradients.
    pub beta2: f32,
    /// Added to the root of the second mean.
    pub eps: f32,
    /// Decoupled weight decay.
    pub decay: f32,
    /// Number of this step, from 1.
    pub step: u32,
}

/// Updates `values` by AdamW from the gradient times `scale`, with running means `mean` and `square`.
///
/// # Panics
/// If the slices differ in length.
pub fn adamw(
    workspace: &Workspace,
    values: &mut [f32],
    gradient: &[f32],
    scale: f32,
    [mean, square]: [&mut [f32]; 2],
    step: AdamStep,
) {
    let AdamStep { rate, beta1, beta2, eps, decay, step } = step;
    let power = |beta: f32| 1.0 - f64::from(beta).powi(step as i32);
    let size = (f64::from(rate) / power(beta1)) as f32;
    let root = power(beta2).sqrt() as f32;
    let keep = 1.0 - rate * decay;
    for_parts(workspace, values, gradient, [mean, square], |values, gradient, [mean, square]| {
        vectorize(|| {
            for (((value, g), m), v) in values.iter_mut().zip(gradient).zip(mean).zip(square) {
                let g = g * scale;
                *m = beta1 * *m + (1.0 - beta1) * g;
                *v = beta2 * *v + (1.0 - beta2) * g * g;
                *value = *value * keep - size * *m / (v.sqrt() / root + eps);
            }
        })
    });
}

/// Updates `values` by gradient descent with momentum from the gradient times `scale`, as PyTorch
/// computes it: velocity = momentum velocity + gradient + decay value.
///
/// # Panics
/// If the slices differ in length.
pub fn momentum(
    workspace: &Workspace,
    values: &mut [f32],
    gradient: &[f32],
    scale: f32,
    velocity: &mut [f32],
    [rate, momentum, decay]: [f32; 3],
) {
    for_parts(workspace, values, gradient, [velocity], |values, gradient, [velocity]| {
        vectorize(|| {
            for ((value, g), v) in values.iter_mut().zip(gradient).zip(velocity) {
                *v = momentum * *v + (g * scale + decay * *value);
                *value -= rate * *v;
            }
        })
    });
}

/// Adds `delta` to the values of `base`, which are copied to `out` first.
///
/// # Panics
/// If the slices differ in length.
pub fn add_into(workspace: &Workspace, out: &mut [f32], base: &[f32], delta: &[f32]) {
    assert_eq!((base.len(), delta.len()), (out.len(), out.len()));
    for_rows(workspace, out, 1, |first, part| {
        part.copy_from_slice(&base[first..first + part.len()]);
        super::add_assign(part, &delta[first..first + part.len()]);
    });
}

/// Calls `body` on matching parts of the slices, on several threads where they are long.
fn for_parts<const N: usize>(
    workspace: &Workspace,
    values: &mut [f32],
    source: &[f32],
    mut states: [&mut [f32]; N],
    body: impl Fn(&mut [f32], &[f32], [&mut [f32]; N]) + Sync,
) {
    const PART: usize = 32 * 1024;
    assert_eq!(values.len(), source.len());
    assert!(states.iter().all(|state| state.len() == values.len()));
    if workspace.threads() == 1 || values.len() <= PART {
        return body(values, source, states);
    }
    let mut parts = Vec::with_capacity(values.len().div_ceil(PART));
    for (values, source) in values.chunks_mut(PART).zip(source.chunks(PART)) {
        let states = std::array::from_fn(|index| {
            let (part, rest) = std::mem::take(&mut states[index]).split_at_mut(values.len());
            states[index] = rest;
            part
        });
        parts.push((values, source, states));
    }
    parts.into_par_iter().for_each(|(values, source, states)| body(values, source, states));
}
