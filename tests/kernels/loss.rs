//! Softmax and cross-entropy, also of logits far from one.

use proptest::prelude::*;
use taps::kernels::{Tensor, cross_entropy, softmax};

use crate::check::{BOUND, Values, assert_close, assert_gradient, config, matrix, run, side, wide, workspace};
use crate::naive;

/// Rows of probabilities, in f64.
fn oracle(values: &[f32], cols: usize) -> Vec<f64> {
    wide(values).chunks(cols).flat_map(naive::softmax).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn softmax_is_the_oracle((rows, cols) in matrix(), power in prop_oneof![Just(0), -30..37_i32], seed: u64) {
        let factor = 10_f32.powi(power);
        let logits: Vec<f32> = Values(seed).take(rows * cols).iter().map(|value| value * factor).collect();
        let [p] = run(0.0, |_| {
            let mut p = logits.clone();
            softmax(&mut p, cols);
            [p]
        });
        assert_close(&p, &oracle(&logits, cols), 1.0);
        for row in p.chunks(cols) {
            assert_close(&[row.iter().sum()], &[1.0], 1.0 + (cols as f64).sqrt());
        }
    }

    #[test]
    fn cross_entropy_is_the_oracle(
        (rows, classes) in (side(), side()),
        factor in prop_oneof![Just(1.0_f32), Just(1e-6), Just(50.0)],
        smoothing in prop_oneof![Just(0.0_f32), Just(1.0), 0.0..0.5_f32],
        seed: u64,
    ) {
        let mut values = Values(seed);
        let logits: Vec<f32> = values.take(rows * classes).iter().map(|value| value * factor).collect();
        let logits = Tensor::from_vec(logits, rows, classes);
        let labels: Vec<usize> = (0..rows).map(|_| values.below(classes)).collect();
        let [loss, gradient] = run(0.0, |workspace| {
            let (loss, gradient) = cross_entropy(workspace, &logits, &labels, smoothing);
            assert_eq!((gradient.rows(), gradient.cols()), (rows, classes));
            [vec![loss], gradient.to_vec()]
        });
        let function = |logits: &[f64]| naive::cross_entropy(logits, classes, &labels, smoothing.into());
        let logits = wide(&logits);
        let size = 1.0 + (classes as f64).ln() + BOUND * f64::from(factor);
        assert_close(&loss, &[function(&logits)], size);
        assert_gradient(&gradient, &logits, 1.0 / rows as f64, function);
    }

    #[test]
    fn huge_logits_have_a_loss(power in 3..30_i32, smoothing in 0.0..0.5_f32, seed: u64) {
        let (mut values, factor) = (Values(seed), 10_f32.powi(power));
        let logits: Vec<f32> = values.take(5 * 7).iter().map(|value| value * factor).collect();
        let logits = Tensor::from_vec(logits, 5, 7);
        let labels = [0, 1, 2, 6, 6];
        let (loss, gradient) = cross_entropy(&workspace(1), &logits, &labels, smoothing);
        let expected = naive::cross_entropy(&wide(&logits), 7, &labels, smoothing.into());
        assert_close(&[loss], &[expected], BOUND * f64::from(factor));
        let smoothing = f64::from(smoothing);
        let mut expected = oracle(&logits, 7);
        for (row, label) in expected.chunks_mut(7).zip(labels) {
            row.iter_mut().for_each(|p| *p -= smoothing / 7.0);
            row[label] -= 1.0 - smoothing;
            row.iter_mut().for_each(|p| *p /= 5.0);
        }
        assert_close(&gradient, &expected, 1.0 / 5.0);
    }
}

#[test]
fn softmax_of_the_ends_of_the_range() {
    let (low, high) = (f32::NEG_INFINITY, f32::MAX);
    let mut p = [low, 0.0, low, 0.0, high, -high, high, -high, f32::MIN_POSITIVE, 0.0, -0.0, 1e-45];
    softmax(&mut p, 4);
    assert_close(&p, &[0.0, 0.5, 0.0, 0.5, 0.5, 0.0, 0.5, 0.0, 0.25, 0.25, 0.25, 0.25], 1.0);
    let mut p = [88.0, 0.0, -88.0, -200.0];
    softmax(&mut p, 4);
    assert_close(&p, &[1.0, 0.0, 0.0, 0.0], 1.0);
}

#[test]
fn a_batch_of_nothing_has_an_empty_gradient() {
    let (_, gradient) = cross_entropy(&workspace(1), &Tensor::from_vec(Vec::new(), 0, 3), &[], 0.1);
    assert_eq!((gradient.rows(), gradient.cols()), (0, 3));
    softmax(&mut [], 3);
}
