//! Layer normalization and its gradients.

use proptest::prelude::*;
use taps::kernels::{Tensor, layer_norm, layer_norm_affine_grad, layer_norm_grad, layer_norm_kept};

use crate::check::{BOUND, Values, assert_close, assert_gradient, bits, config, copy, matrix, run, wide, workspace};
use crate::naive;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn layer_norm_is_the_oracle(
        (rows, cols) in matrix(),
        eps in prop_oneof![Just(1e-12), Just(1e-5), 0.01..0.1_f32],
        seed: u64,
    ) {
        let mut values = Values(seed);
        let (x, scale, bias) = (values.tensor(rows, cols), values.take(cols), values.take(cols));
        let [y] = run(0.0, |workspace| {
            let y = layer_norm(workspace, &x, &scale, Some(&bias), eps);
            assert_eq!((y.rows(), y.cols()), (rows, cols));
            let (again, normalized) = layer_norm_kept(workspace, &x, &scale, Some(&bias), eps);
            assert_eq!(bits(&again), bits(&y));
            assert_eq!((normalized.inverse_deviation.rows(), normalized.inverse_deviation.cols()), (rows, 1));
            [y.to_vec()]
        });
        let (_, normalized) = layer_norm_kept(&workspace(2), &x, &scale, Some(&bias), eps);
        assert_eq!(bits(&normalized.scaled(&workspace(2), &scale, Some(&bias))), bits(&y));
        let expected = naive::layer_norm(&wide(&x), &wide(&scale), &wide(&bias), eps.into());
        for row in 0..rows {
            let span = row * cols..(row + 1) * cols;
            let (values, inverse) = naive::normalized(&wide(x.row(row)), eps.into());
            let size = BOUND * (1.0 + BOUND * inverse);
            assert_close(normalized.values.row(row), &values, size);
            assert_close(&normalized.inverse_deviation[row..=row], &[inverse], inverse);
            assert_close(&y[span.clone()], &expected[span], size);
        }
    }

    #[test]
    fn gradients_are_the_slopes(
        (rows, cols) in matrix(),
        eps in prop_oneof![Just(1e-5), 0.01..0.1_f32],
        seed: u64,
    ) {
        let mut values = Values(seed);
        let (x, dy) = (values.tensor(rows, cols), values.tensor(rows, cols));
        let [scale, bias, scale_grad, bias_grad] = [(); 4].map(|()| values.take(cols));
        let inverse = (0..rows).map(|row| naive::normalized(&wide(x.row(row)), eps.into()).1).fold(0.0, f64::max);
        let normalized = 1.0 + BOUND * inverse;
        let [dx, scaled, biased] = run(0.0, |workspace| {
            let (_, normalized) = layer_norm_kept(workspace, &x, &scale, Some(&bias), eps);
            let (mut scaled, mut biased) = (scale_grad.clone(), bias_grad.clone());
            layer_norm_affine_grad(&dy, &normalized, &mut scaled, &mut biased);
            let mut dx = copy(&dy);
            layer_norm_grad(workspace, &mut dx, &normalized, &scale);
            [dx.to_vec(), scaled, biased]
        });
        let [x, dy, scale, bias] = [&x[..], &dy, &scale, &bias].map(wide);
        let (scale_grad, bias_grad) = (wide(&scale_grad), wide(&bias_grad));
        let loss = |x: &[f64], scale: &[f64], bias: &[f64]| {
            let y = naive::layer_norm(x, scale, bias, eps.into());
            naive::dot(&y, &dy) + naive::dot(scale, &scale_grad) + naive::dot(bias, &bias_grad)
        };
        assert_gradient(&dx, &x, BOUND.powi(2) * inverse * normalized, |x| loss(x, &scale, &bias));
        let size = BOUND * normalized * (rows as f64).sqrt() + BOUND;
        assert_gradient(&scaled, &scale, size, |scale| loss(&x, scale, &bias));
        assert_gradient(&biased, &bias, size, |bias| loss(&x, &scale, bias));
    }
}

#[test]
fn a_constant_row_becomes_the_bias() {
    let (scale, bias) = ([3.0; 7], [0.5; 7]);
    let x = Tensor::from_vec(vec![0.1; 14], 2, 7);
    let (y, normalized) = layer_norm_kept(&workspace(1), &x, &scale, Some(&bias), 1e-5);
    assert_close(&y, &[0.5; 14], 1.0 / 1e-5_f64.sqrt());
    assert_close(&normalized.inverse_deviation, &[1.0 / 1e-5_f64.sqrt(); 2], 1.0 / 1e-5_f64.sqrt());
}

#[test]
fn a_far_mean_is_taken_off() {
    let mut values = Values(1);
    let far: Vec<f32> = values.take(3 * 50).iter().map(|value| value + 1000.0).collect();
    let x = Tensor::from_vec(far, 3, 50);
    let y = layer_norm(&workspace(1), &x, &[1.0; 50], Some(&[0.0; 50]), 1e-5);
    assert_close(&y, &naive::layer_norm(&wide(&x), &[1.0; 50], &[0.0; 50], 1e-5), 1000.0);
}

#[test]
fn no_bias_is_a_bias_of_zero() {
    let (x, scale, zero) = (Tensor::from_vec(vec![1.5, -2.0, 0.25, 3.0, 1.0, -1.0], 2, 3), [0.5, 2.0, -1.0], [0.0; 3]);
    let workspace = workspace(1);
    let expected = layer_norm(&workspace, &x, &scale, Some(&zero), 1e-5);
    assert_eq!(bits(&layer_norm(&workspace, &x, &scale, None, 1e-5)), bits(&expected));
    let (y, normalized) = layer_norm_kept(&workspace, &x, &scale, None, 1e-5);
    assert_eq!(bits(&y), bits(&expected));
    assert_eq!(bits(&normalized.scaled(&workspace, &scale, None)), bits(&expected));
}
