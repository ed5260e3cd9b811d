//! GELU with the exact error function, and tanh.

use std::f32::consts::FRAC_1_SQRT_2;

use super::Workspace;
use super::math::{erf, exp, vectorized};
use super::parallel::for_rows;

/// x Φ(x), in place.
pub fn gelu(workspace: &Workspace, x: &mut [f32]) {
    for_rows(workspace, x, 1, |_, part| gelu_part(part));
}

/// Multiplies `dy` by the derivative of GELU at `x`.
///
/// # Panics
/// If they differ in length.
pub fn gelu_grad(workspace: &Workspace, dy: &mut [f32], x: &[f32]) {
    assert_eq!(dy.len(), x.len());
    for_rows(workspace, dy, 1, |first, part| gelu_grad_part(part, &x[first..first + part.len()]));
}

/// tanh x, in place.
pub fn tanh(workspace: &Workspace, x: &mut [f32]) {
    for_rows(workspace, x, 1, |_, part| part.iter_mut().for_each(|x| *x = x.tanh()));
}

/// Multiplies `dy` by the derivative of tanh where its value is `y`.
///
/// # Panics
/// If they differ in length.
pub fn tanh_grad(workspace: &Workspace, dy: &mut [f32], y: &[f32]) {
    assert_eq!(dy.len(), y.len());
    for_rows(workspace, dy, 1, |first, part| {
        part.iter_mut().zip(&y[first..]).for_each(|(dy, y)| *dy *= 1.0 - y * y);
    });
}

vectorized! {
    /// [`gelu`] on this thread.
    fn gelu_part(values: &mut [f32]) {
        for x in values {
            *x = 0.5 * *x * (1.0 + erf(*x * FRAC_1_SQRT_2));
        }
    }
}

vectorized! {
    /// [`gelu_grad`] on this thread.
    fn gelu_grad_part(dy: &mut [f32], x: &[f32]) {
        const INV_SQRT_2PI: f32 = 0.398_942_3;
        for (dy, &x) in dy.iter_mut().zip(x) {
            let cumulative = 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2));
            *dy *= cumulative + x * INV_SQRT_2PI * exp(-0.5 * x * x);
        }
    }
}
