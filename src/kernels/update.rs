//! Parameter updates of the optimizers, one fused pass over each parameter.

use rayon::prelude::*;

use super::math::vectorized;
use super::means::{Means, Sign, Stretch};
use super::pack::{BLOCK, chances};
use super::parallel::for_rows;
use super::{Weight, Workspace};

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
    [mean, square]: [&mut Means; 2],
    step: AdamStep,
) {
    let power = |beta: f32| 1.0 - f64::from(beta).powi(step.step as i32);
    let size = (f64::from(step.rate) / power(step.beta1)) as f32;
    let root = power(step.beta2).sqrt() as f32;
    let means = [(mean, Sign::Any), (square, Sign::Positive)];
    for_blocks(workspace, values, gradient, means, step.step, |values, gradient, [mean, square]| {
        adamw_of(values, gradient, scale, [mean, square], [size, root], step);
    });
}

vectorized! {
    fn adamw_of(
        values: &mut [f32],
        gradient: &[f32],
        scale: f32,
        means: [&mut [f32]; 2],
        factors: [f32; 2],
        step: AdamStep,
    ) {
        let AdamStep { rate, beta1, beta2, eps, decay, .. } = step;
        let ([mean, square], [size, root], keep) = (means, factors, 1.0 - rate * decay);
        for (((value, g), m), v) in values.iter_mut().zip(gradient).zip(mean).zip(square) {
            let g = g * scale;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *value = *value * keep - size * *m / (v.sqrt() / root + eps);
        }
    }
}

/// Updates `values` by gradient descent with momentum from the gradient times `scale`, as PyTorch
/// computes it: velocity = momentum velocity + gradient + decay value. `step` is its number.
///
/// # Panics
/// If the slices differ in length.
pub fn momentum(
    workspace: &Workspace,
    values: &mut [f32],
    gradient: &[f32],
    scale: f32,
    velocity: &mut Means,
    numbers: [f32; 3],
    step: u32,
) {
    for_blocks(workspace, values, gradient, [(velocity, Sign::Any)], step, |values, gradient, [velocity]| {
        momentum_of(values, gradient, scale, velocity, numbers);
    });
}

vectorized! {
    fn momentum_of(values: &mut [f32], gradient: &[f32], scale: f32, velocity: &mut [f32], numbers: [f32; 3]) {
        let [rate, momentum, decay] = numbers;
        for ((value, g), v) in values.iter_mut().zip(gradient).zip(velocity) {
            *v = momentum * *v + (g * scale + decay * *value);
            *value -= rate * *v;
        }
    }
}

/// Writes the sums of a base weight and a delta to `out`.
///
/// # Panics
/// If they differ in length.
pub fn add_into(workspace: &Workspace, out: &mut [f32], base: Weight<'_>, delta: &[f32]) {
    if workspace.is_dry() {
        return;
    }
    assert_eq!((base.elements(), delta.len()), (out.len(), out.len()));
    for_rows(workspace, out, 1, |first, part| {
        base.convert(first..first + part.len(), part);
        super::add_assign(part, &delta[first..first + part.len()]);
    });
}

/// Calls `body` on matching parts of a parameter, its gradient and its means in f32, on several threads where there are
/// many: on long parts where the means are f32, and else on a block at a time, unpacked and packed again.
fn for_blocks<const N: usize>(
    workspace: &Workspace,
    values: &mut [f32],
    gradient: &[f32],
    means: [(&mut Means, Sign); N],
    step: u32,
    body: impl Fn(&mut [f32], &[f32], [&mut [f32]; N]) + Sync,
) {
    const PART: usize = 128 * BLOCK;
    assert_eq!(values.len(), gradient.len());
    assert!(means.iter().all(|(means, _)| means.len() == values.len() && means.is_whole()));
    let signs = std::array::from_fn(|index| means[index].1);
    let mut means = means.map(|(means, _)| means.stretch());
    let part = if workspace.threads() == 1 { values.len().max(1) } else { PART };
    let mut parts = Vec::with_capacity(values.len().div_ceil(part));
    for (number, (values, gradient)) in values.chunks_mut(part).zip(gradient.chunks(part)).enumerate() {
        let means: [Stretch<'_>; N] = std::array::from_fn(|index| means[index].cut(values.len()));
        parts.push((number * part, values, gradient, means));
    }
    let on = |(from, values, gradient, means): (usize, &mut [f32], &[f32], [Stretch<'_>; N])| {
        let plain = means.iter().all(|means| matches!(means, Stretch::F32(_)));
        match plain {
            true => body(values, gradient, means.map(Stretch::plain)),
            false => unpacked([from, step as usize], values, gradient, (means, signs), &body),
        }
    };
    match parts.len() {
        0 | 1 => parts.into_iter().for_each(on),
        _ => parts.into_par_iter().for_each(on),
    }
}

/// Calls `body` on each block of means that are unpacked for it.
fn unpacked<const N: usize>(
    [from, step]: [usize; 2],
    values: &mut [f32],
    gradient: &[f32],
    (mut means, signs): ([Stretch<'_>; N], [Sign; N]),
    body: &impl Fn(&mut [f32], &[f32], [&mut [f32]; N]),
) {
    let (mut floats, mut chance) = ([[0.0; BLOCK]; N], [0; BLOCK]);
    for (number, (values, gradient)) in values.chunks_mut(BLOCK).zip(gradient.chunks(BLOCK)).enumerate() {
        let (at, length) = (number * BLOCK, values.len());
        for ((means, floats), &sign) in means.iter().zip(&mut floats).zip(&signs) {
            means.unpack(at, &mut floats[..length], sign);
        }
        body(values, gradient, floats.each_mut().map(|floats| &mut floats[..length]));
        chances(step as u32, from + at, &mut chance);
        for ((means, floats), &sign) in means.iter_mut().zip(&floats).zip(&signs) {
            means.pack(at, &floats[..length], sign, &chance);
            // Those of the next mean are others.
            chance.iter_mut().for_each(|bits| *bits = bits.rotate_left(16));
        }
    }
}
