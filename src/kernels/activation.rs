//! GELU with the exact error function.

use std::f32::consts::FRAC_1_SQRT_2;

use super::Workspace;
use super::math::{erf, exp, vectorize};
use super::parallel::for_rows;

/// x Φ(x), in place.
pub fn gelu(workspace: &Workspace, x: &mut [f32]) {
    for_rows(workspace, x, 1, |_, part| {
        vectorize(|| part.iter_mut().for_each(|x| *x = 0.5 * *x * (1.0 + erf(*x * FRAC_1_SQRT_2))))
    });
}

/// Multiplies `dy` by the derivative of GELU at `x`.
///
/// # Panics
/// If they differ in length.
pub fn gelu_grad(workspace: &Workspace, dy: &mut [f32], x: &[f32]) {
    const INV_SQRT_2PI: f32 = 0.398_942_3;
    assert_eq!(dy.len(), x.len());
    for_rows(workspace, dy, 1, |first, part| {
        let x = &x[first..first + part.len()];
        vectorize(|| {
            for (dy, &x) in part.iter_mut().zip(x) {
                let cumulative = 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2));
                *dy *= cumulative + x * INV_SQRT_2PI * exp(-0.5 * x * x);
            }
        })
    });
}
