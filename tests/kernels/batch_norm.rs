//! Batch normalization, the activation after it, and their gradients.

use proptest::prelude::*;
use taps::kernels::{
    Activation, Epilogue, FrozenGrad, Tensor, Workspace, affine, batch_norm_batch_grad, batch_norm_fold, moments,
};

use crate::check::{
    BOUND, Values, activation, assert_close, assert_gradient, bits, config, copy, matrix, run, sum_of, wide, workspace,
};
use crate::{naive, naive_images};

fn eps() -> impl Strategy<Value = f32> {
    prop_oneof![Just(1e-3), 0.01..0.1_f32]
}

/// 1 / √(variance + eps) in f32, and the highest.
fn inverse(variance: &[f64], eps: f32) -> (Vec<f32>, f64) {
    let inverse: Vec<f64> = variance.iter().map(|variance| 1.0 / (variance + f64::from(eps)).sqrt()).collect();
    (inverse.iter().map(|&inverse| inverse as f32).collect(), inverse.iter().copied().fold(0.0, f64::max))
}

/// A way back in which nothing is asked for.
fn nothing(inverse_deviation: &[f32]) -> FrozenGrad<'_> {
    FrozenGrad { activated: None, affine: None, scale: None, inverse_deviation, residual: None }
}

/// Gradients of scale and bias.
fn affine_grad(workspace: &Workspace, dy: &Tensor, x: &Tensor, mean: &[f32], inverse: &[f32]) -> [Vec<f32>; 2] {
    let mut dx = copy(dy);
    let grad = FrozenGrad { affine: Some((x, mean)), ..nothing(inverse) };
    let (scale, bias) = grad.step(workspace, &mut dx).unwrap();
    assert_eq!(bits(&dx), bits(dy), "without a scale the gradient stays");
    [scale.to_vec(), bias.to_vec()]
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn frozen_statistics_are_the_oracle((rows, cols) in matrix(), eps in eps(), seed: u64) {
        let mut values = Values(seed);
        let (x, scale, bias, mean) = (values.tensor(rows, cols), values.take(cols), values.take(cols), values.take(cols));
        let variance: Vec<f32> = values.take(cols).iter().map(|value| value.abs()).collect();
        let size = BOUND * (1.0 + 2.0 * BOUND * inverse(&wide(&variance), eps).1);
        let [y] = run(size, |workspace| {
            let (factor, addend) = batch_norm_fold(workspace, x.cols(), &scale, &bias, &mean, &variance, eps);
            assert_eq!([factor.rows(), factor.cols(), addend.rows(), addend.cols()], [1, cols, 1, cols]);
            let epilogue = Epilogue { scale: Some(&factor), shift: Some(&addend), ..Epilogue::default() };
            [affine(workspace, &x, epilogue).to_vec()]
        });
        let [scale, bias, mean, variance] = [scale, bias, mean, variance].map(|values| wide(&values));
        assert_close(&y, &naive_images::batch_norm(&wide(&x), [&scale, &bias, &mean, &variance], eps.into()), size);
    }

    #[test]
    fn affine_is_the_oracle(
        (rows, cols) in matrix(),
        [scaled, shifted, added] in any::<[bool; 3]>(),
        activation in activation(),
        seed: u64,
    ) {
        let mut values = Values(seed);
        let x = values.tensor(rows, cols);
        let scale = scaled.then(|| values.take(cols));
        let shift = shifted.then(|| values.take(cols));
        let residual = added.then(|| values.take(rows * cols));
        let [y] = run(sum_of(1), |workspace| {
            let (scale, shift, residual) = (scale.as_deref(), shift.as_deref(), residual.as_deref());
            let y = affine(workspace, &x, Epilogue { scale, shift, residual, activation });
            assert_eq!((y.rows(), y.cols()), (rows, cols));
            [y.to_vec()]
        });
        let [scale, shift, residual] = [scale, shift, residual].map(|values| values.as_deref().map(wide));
        let (scale, shift, residual) = (scale.as_deref(), shift.as_deref(), residual.as_deref());
        assert_close(&y, &naive_images::epilogue(&wide(&x), cols, scale, shift, residual, activation), sum_of(1));
    }

    #[test]
    fn moments_are_the_oracle((rows, cols) in matrix(), far in prop::bool::weighted(0.3), seed: u64) {
        let mut x = Values(seed).tensor(rows, cols);
        let offset = if far { 1000.0 } else { 0.0 };
        x.iter_mut().for_each(|x| *x += offset);
        let size = f64::from(offset) + BOUND;
        let [mean, variance] = run(BOUND, |workspace| {
            let (mean, variance) = moments(workspace, &x);
            assert_eq!([mean.rows(), mean.cols(), variance.rows(), variance.cols()], [1, cols, 1, cols]);
            [mean.to_vec(), variance.to_vec()]
        });
        let (expected, squares) = naive_images::moments(&wide(&x), cols);
        assert_close(&mean, &expected, size);
        assert_close(&variance, &squares, BOUND * BOUND);
    }

    #[test]
    fn the_gradient_of_an_activation_is_zero_at_its_bounds(
        (rows, cols) in matrix(),
        activation in activation(),
        seed: u64,
    ) {
        let mut values = Values(seed);
        let (x, dy) = (values.tensor(rows, cols), values.tensor(rows, cols));
        let y = affine(&workspace(1), &x, Epilogue { scale: Some(&vec![5.0; cols]), activation, ..Epilogue::default() });
        let [dx] = run(0.0, |workspace| {
            let mut dx = copy(&dy);
            let ones = vec![1.0; cols];
            let grad = FrozenGrad { activated: Some((&y, activation)), ..nothing(&ones) };
            assert!(grad.step(workspace, &mut dx).is_none());
            [dx.to_vec()]
        });
        let expected = y.iter().zip(wide(&dy)).map(|(&y, dy)| match activation {
            Activation::Relu if y <= 0.0 => 0.0,
            Activation::Relu6 if y <= 0.0 || y >= 6.0 => 0.0,
            _ => dy,
        });
        assert_close(&dx, &expected.collect::<Vec<f64>>(), 0.0);
    }

    #[test]
    fn gradients_with_frozen_statistics_are_the_slopes((rows, cols) in matrix(), eps in eps(), seed: u64) {
        let mut values = Values(seed);
        let (x, dy) = (values.tensor(rows, cols), values.tensor(rows, cols));
        let [scale, bias, mean] = [(); 3].map(|()| values.take(cols));
        let variance: Vec<f64> = wide(&values.take(cols)).iter().map(|value| value.abs()).collect();
        let (inverse, highest) = inverse(&variance, eps);
        let size = sum_of(rows) * (1.0 + BOUND * highest);
        let [dx, scaled, biased] = run(size, |workspace| {
            let mut dx = copy(&dy);
            let grad = FrozenGrad { affine: Some((&x, &mean)), scale: Some(&scale), ..nothing(&inverse) };
            let (scaled, biased) = grad.step(workspace, &mut dx).unwrap();
            [dx.to_vec(), scaled.to_vec(), biased.to_vec()]
        });
        let [x, dy, scale, bias, mean] = [&x[..], &dy, &scale, &bias, &mean].map(wide);
        let loss = |x: &[f64], scale: &[f64], bias: &[f64]| {
            let y = naive_images::batch_norm(x, [scale, bias, &mean, &variance], eps.into());
            naive::dot(&y, &dy)
        };
        assert_gradient(&dx, &x, BOUND * BOUND * highest, |x| loss(x, &scale, &bias));
        assert_gradient(&scaled, &scale, size, |scale| loss(&x, scale, &bias));
        assert_gradient(&biased, &bias, sum_of(rows), |bias| loss(&x, &scale, bias));
    }

    /// One pass is what its parts are one after another.
    #[test]
    fn the_parts_of_the_way_back_come_in_their_order((rows, cols) in matrix(), activation in activation(), seed: u64) {
        let (mut values, workspace) = (Values(seed), workspace(1));
        let (x, y, dy) = (values.tensor(rows, cols), values.tensor(rows, cols), values.tensor(rows, cols));
        let [scale, mean, inverse] = [(); 3].map(|()| values.take(cols));
        let (mut dx, mut residual) = (copy(&dy), copy(&dy));
        let whole = FrozenGrad {
            activated: Some((&y, activation)),
            affine: Some((&x, &mean)),
            scale: Some(&scale),
            inverse_deviation: &inverse,
            residual: Some(&mut residual),
        };
        let (scaled, biased) = whole.step(&workspace, &mut dx).unwrap();
        let mut cut = copy(&dy);
        FrozenGrad { activated: Some((&y, activation)), ..nothing(&inverse) }.step(&workspace, &mut cut);
        assert_eq!(bits(&residual), bits(&cut));
        assert_eq!([scaled.to_vec(), biased.to_vec()], affine_grad(&workspace, &cut, &x, &mean, &inverse));
        FrozenGrad { scale: Some(&scale), ..nothing(&inverse) }.step(&workspace, &mut cut);
        assert_eq!(bits(&dx), bits(&cut));
    }

    #[test]
    fn gradients_with_the_statistics_of_the_batch_are_the_slopes((rows, cols) in matrix(), eps in eps(), seed: u64) {
        let mut values = Values(seed);
        let (x, dy) = (values.tensor(rows, cols), values.tensor(rows, cols));
        let (scale, bias) = (values.take(cols), values.take(cols));
        let (mean, variance) = naive_images::moments(&wide(&x), cols);
        let (mean, (inverse, highest)) = (narrow(&mean), inverse(&variance, eps));
        let normalized = 1.0 + BOUND * highest;
        let size = BOUND.powi(2) * highest * normalized * normalized;
        let [dx] = run(size, |workspace| {
            let mut dx = copy(&dy);
            let [scaled, biased] = affine_grad(workspace, &dy, &x, &mean, &inverse);
            batch_norm_batch_grad(workspace, &mut dx, &x, &mean, &inverse, &scale, &scaled, &biased);
            [dx.to_vec()]
        });
        let [x, dy, scale, bias] = [&x[..], &dy, &scale, &bias].map(wide);
        assert_gradient(&dx, &x, size, |x| {
            let (mean, variance) = naive_images::moments(x, cols);
            naive::dot(&naive_images::batch_norm(x, [&scale, &bias, &mean, &variance], eps.into()), &dy)
        });
    }
}

/// A plain sum in f32 loses these.
#[test]
fn sums_over_a_million_rows_are_accurate() {
    let (rows, cols) = (1_100_000, 4);
    let mut x = Values(3).tensor(rows, cols);
    x.iter_mut().for_each(|x| *x += 100.0);
    let dy = Tensor::from_vec(vec![0.1; rows * cols], rows, cols);
    let [mean, variance, along, total] = run(1e4, |workspace| {
        let (mean, variance) = moments(workspace, &x);
        let [along, total] = affine_grad(workspace, &dy, &x, &[99.0; 4], &[1.0; 4]);
        [mean.to_vec(), variance.to_vec(), along, total]
    });
    let (means, variances) = naive_images::moments(&wide(&x), cols);
    assert_close(&mean, &means, 10.0);
    assert_close(&variance, &variances, 1.0);
    let sum = rows as f64 * f64::from(0.1_f32);
    assert_close(&total, &[sum; 4], sum);
    assert_close(&along, &means.iter().map(|mean| (mean - 99.0) * sum).collect::<Vec<f64>>(), sum);
}

#[test]
fn moments_without_rows_are_zero() {
    let (mean, variance) = moments(&workspace(1), &Tensor::from_vec(Vec::new(), 0, 3));
    assert_eq!((&mean[..], &variance[..]), (&[0.0; 3][..], &[0.0; 3][..]));
}

/// A loss that diverged is seen, and a ReLU lets what overflowed through.
#[test]
fn activations_at_the_ends_of_the_range() {
    let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    let of = |activation| {
        let (mut dy, x) = (Tensor::from_vec(vec![1.0; 3], 1, 3), Tensor::from_vec(x.to_vec(), 1, 3));
        let y = affine(&workspace(1), &x, Epilogue { activation, ..Epilogue::default() });
        FrozenGrad { activated: Some((&y, activation)), ..nothing(&[1.0; 3]) }.step(&workspace(1), &mut dy);
        (y.to_vec(), dy.to_vec())
    };
    let (y, dx) = of(Activation::Relu);
    assert!(y[0].is_nan());
    assert_eq!((bits(&y[1..]), bits(&dx)), (bits(&[f32::INFINITY, 0.0]), bits(&[1.0, 1.0, 0.0])));
    let (y, dx) = of(Activation::Relu6);
    assert!(y[0].is_nan());
    assert_eq!((bits(&y[1..]), bits(&dx)), (bits(&[6.0, 0.0]), bits(&[1.0, 0.0, 0.0])));
}
