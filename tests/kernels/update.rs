//! Optimizer steps against the formulas of PyTorch, and the sum of a base and a delta.

use proptest::prelude::*;
use taps::kernels::{AdamStep, Means, Precision, Weight, Workspace, adamw, add_into, momentum};

use crate::check::{BOUND, Values, assert_close, config, run, side, wide, workspace};
use crate::naive;

/// Numbers of values: around a block of registers, and enough for two threads and a rest.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![6 => side(), 1 => Just(0), 1 => 65_500..66_000_usize, 1 => 32_700..32_800_usize]
}

/// Factors of the gradients of several steps; a gate that is shut gives zero.
fn scales() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), 0.01..2.0_f32], 1..6)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn adamw_is_pytorchs(
        length in length(),
        scales in scales(),
        rate in 1e-4..0.1_f32,
        beta1 in prop_oneof![Just(0.9_f32), 0.0..0.95_f32],
        beta2 in prop_oneof![Just(0.999_f32), 0.5..0.9999_f32],
        decay in prop_oneof![Just(0.0), 0.0..0.2_f32],
        seed: u64,
    ) {
        let step = AdamStep { rate, beta1, beta2, eps: 1e-8, decay, step: 0 };
        let mut values = Values(seed);
        let start = values.take(length);
        let gradients: Vec<Vec<f32>> = scales.iter().map(|_| values.take(length)).collect();
        // What the means are shows in the next step.
        let [found] = run(0.0, |workspace| {
            let [mut mean, mut square] = [(); 2].map(|()| Means::zeros(length, Precision::F32));
            let mut values = start.clone();
            for ((index, gradient), &scale) in (1..).zip(&gradients).zip(&scales) {
                let step = AdamStep { step: index, ..step };
                adamw(workspace, &mut values, gradient, scale, [&mut mean, &mut square], step);
            }
            [values]
        });
        let numbers = [rate, beta1, beta2, step.eps, decay].map(f64::from);
        let mut states: Vec<_> =
            wide(&start).iter().map(|&value| naive::Adam { value, mean: 0.0, square: 0.0 }).collect();
        for ((index, gradient), &scale) in (1..).zip(&gradients).zip(&scales) {
            for (state, &gradient) in states.iter_mut().zip(gradient) {
                state.step(f64::from(gradient) * f64::from(scale), index, numbers);
            }
        }
        let expected: Vec<f64> = states.iter().map(|adam| adam.value).collect();
        assert_close(&found, &expected, 2.0 * BOUND * scales.len() as f64);
    }

    #[test]
    fn momentum_is_pytorchs(
        length in length(),
        scales in scales(),
        numbers in (1e-4..0.1_f32, 0.0..0.99_f32, prop_oneof![Just(0.0), 0.0..0.2_f32]),
        seed: u64,
    ) {
        let numbers = <[f32; 3]>::from(numbers);
        let mut values = Values(seed);
        let start = values.take(length);
        let gradients: Vec<Vec<f32>> = scales.iter().map(|_| values.take(length)).collect();
        let [found] = run(0.0, |workspace| {
            let (mut values, mut velocity) = (start.clone(), Means::zeros(length, Precision::F32));
            for (gradient, &scale) in gradients.iter().zip(&scales) {
                momentum(workspace, &mut values, gradient, scale, &mut velocity, numbers, 1);
            }
            [values]
        });
        let (mut values, mut velocity) = (wide(&start), vec![0.0; length]);
        for (gradient, &scale) in gradients.iter().zip(&scales) {
            for index in 0..length {
                let gradient = f64::from(gradient[index]) * f64::from(scale);
                naive::momentum(&mut values[index], &mut velocity[index], gradient, numbers.map(f64::from));
            }
        }
        assert_close(&found, &values, 2.0 * BOUND * scales.len() as f64);
    }

    #[test]
    fn add_into_is_the_oracle(length in length(), seed: u64) {
        let mut values = Values(seed);
        let (base, delta) = (values.take(length), values.take(length));
        let [out] = run(0.0, |workspace| {
            let mut out = vec![f32::NAN; length];
            add_into(workspace, &mut out, Weight::f32(&base), &delta);
            [out]
        });
        assert_close(&out, &naive::add(&wide(&base), &wide(&delta)), BOUND);
    }
}

/// One step with a gradient, then `step` with none: how far the second moved each value.
fn moved(step: impl Fn(&Workspace, &mut [f32], &[f32], f32, [&mut Means; 2], u32)) -> [f32; 3] {
    let (workspace, gradient) = (workspace(1), [1.0, -1.0, 0.0]);
    let (mut values, [mut first, mut second]) = ([1.0; 3], [(); 2].map(|()| Means::zeros(3, Precision::F32)));
    step(&workspace, &mut values, &gradient, 1.0, [&mut first, &mut second], 1);
    let before = values;
    step(&workspace, &mut values, &gradient, 0.0, [&mut first, &mut second], 2);
    std::array::from_fn(|index| values[index] - before[index])
}

#[test]
fn a_step_scaled_to_nothing_still_moves() {
    let adam = |rate, decay| {
        moved(move |workspace, values, gradient, scale, states, step| {
            let step = AdamStep { rate, beta1: 0.9, beta2: 0.999, eps: 1e-8, decay, step };
            adamw(workspace, values, gradient, scale, states, step);
        })
    };
    let descent = |rate, decay| {
        moved(move |workspace, values, gradient, scale, [velocity, _], step| {
            momentum(workspace, values, gradient, scale, velocity, [rate, 0.9, decay], step);
        })
    };
    for [by_momentum, against, still] in [adam(0.1, 0.0), descent(0.1, 0.0)] {
        assert!(by_momentum < -0.01 && against > 0.01 && still == 0.0);
    }
    assert!(adam(0.1, 0.5)[2] < -0.01 && descent(0.1, 0.5)[2] < -0.01, "decay alone");
}

/// How far `length` values are from their targets after 400 steps of noisy gradients towards them, at most and in the
/// root of the mean square; and the values.
fn descended(precision: Precision, threads: usize, adam: bool, length: usize) -> (f64, f64, Vec<f32>) {
    const STEPS: u32 = 400;
    let workspace = workspace(threads);
    let mut random = Values(7);
    // Targets of very different sizes, so that the means of a block are.
    let targets: Vec<f32> =
        random.take(length).iter().enumerate().map(|(at, x)| x * [1.0, 0.1, 0.01][at % 3]).collect();
    let mut values = vec![0.0; length];
    let [mut first, mut second] = [(); 2].map(|()| Means::zeros(length, precision));
    for step in 1..=STEPS {
        let noise = random.take(length);
        let gradient: Vec<f32> = (0..length).map(|at| (values[at] - targets[at]) * (1.0 + 0.5 * noise[at])).collect();
        let left = 1.0 - (step - 1) as f32 / STEPS as f32;
        match adam {
            true => {
                let step = AdamStep { rate: 0.02 * left, beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0.0, step };
                adamw(&workspace, &mut values, &gradient, 1.0, [&mut first, &mut second], step);
            }
            false => momentum(&workspace, &mut values, &gradient, 1.0, &mut first, [0.02 * left, 0.9, 0.0], step),
        }
    }
    let far = |at: usize| f64::from(values[at] - targets[at]).abs();
    let most = (0..length).map(far).fold(0.0, f64::max);
    let square = (0..length).map(|at| far(at).powi(2)).sum::<f64>() / length as f64;
    (most, square.sqrt(), values)
}

#[test]
fn packed_means_lead_to_the_same_place() {
    for adam in [true, false] {
        let exact = descended(Precision::F32, 1, adam, 70_001);
        for precision in [Precision::Bf16, Precision::Int8] {
            let found = descended(precision, 1, adam, 70_001);
            let what = format!("{} {adam}: {} {}, in f32 {} {}", precision.name(), found.0, found.1, exact.0, exact.1);
            println!("{what}");
            assert!(found.0 < 1.2 * exact.0 + 0.01 && found.1 < 1.1 * exact.1 + 0.001, "{what}");
            assert!(descended(precision, 2, adam, 70_001).2 == found.2, "threads decide");
        }
    }
}
