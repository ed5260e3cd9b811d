//! Optimizer steps against the formulas of PyTorch, and the sum of a base and a delta.

use proptest::prelude::*;
use taps::kernels::{AdamStep, Workspace, adamw, add_into, momentum};

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
        let found = run(0.0, |workspace| {
            let [mut mean, mut square] = [(); 2].map(|()| vec![0.0; length]);
            let mut values = start.clone();
            for ((index, gradient), &scale) in (1..).zip(&gradients).zip(&scales) {
                let step = AdamStep { step: index, ..step };
                adamw(workspace, &mut values, gradient, scale, [&mut mean, &mut square], step);
            }
            [values, mean, square]
        });
        let numbers = [rate, beta1, beta2, step.eps, decay].map(f64::from);
        let mut states: Vec<_> =
            wide(&start).iter().map(|&value| naive::Adam { value, mean: 0.0, square: 0.0 }).collect();
        for ((index, gradient), &scale) in (1..).zip(&gradients).zip(&scales) {
            for (state, &gradient) in states.iter_mut().zip(gradient) {
                state.step(f64::from(gradient) * f64::from(scale), index, numbers);
            }
        }
        let fields: [fn(&naive::Adam) -> f64; 3] = [|adam| adam.value, |adam| adam.mean, |adam| adam.square];
        for (found, field) in found.iter().zip(fields) {
            assert_close(found, &states.iter().map(field).collect::<Vec<_>>(), 2.0 * BOUND * scales.len() as f64);
        }
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
        let found = run(0.0, |workspace| {
            let (mut values, mut velocity) = (start.clone(), vec![0.0; length]);
            for (gradient, &scale) in gradients.iter().zip(&scales) {
                momentum(workspace, &mut values, gradient, scale, &mut velocity, numbers);
            }
            [values, velocity]
        });
        let (mut values, mut velocity) = (wide(&start), vec![0.0; length]);
        for (gradient, &scale) in gradients.iter().zip(&scales) {
            for index in 0..length {
                let gradient = f64::from(gradient[index]) * f64::from(scale);
                naive::momentum(&mut values[index], &mut velocity[index], gradient, numbers.map(f64::from));
            }
        }
        let size = 2.0 * BOUND * scales.len() as f64;
        assert_close(&found[0], &values, size);
        assert_close(&found[1], &velocity, size);
    }

    #[test]
    fn add_into_is_the_oracle(length in length(), seed: u64) {
        let mut values = Values(seed);
        let (base, delta) = (values.take(length), values.take(length));
        let [out] = run(0.0, |workspace| {
            let mut out = vec![f32::NAN; length];
            add_into(workspace, &mut out, &base, &delta);
            [out]
        });
        assert_close(&out, &naive::add(&wide(&base), &wide(&delta)), BOUND);
    }
}

/// One step with a gradient, then `step` with none: how far the second moved each value.
fn moved(step: impl Fn(&Workspace, &mut [f32], &[f32], f32, [&mut [f32]; 2], u32)) -> [f32; 3] {
    let (workspace, gradient) = (workspace(1), [1.0, -1.0, 0.0]);
    let (mut values, [mut first, mut second]) = ([1.0; 3], [[0.0; 3]; 2]);
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
        moved(move |workspace, values, gradient, scale, [velocity, _], _| {
            momentum(workspace, values, gradient, scale, velocity, [rate, 0.9, decay]);
        })
    };
    for [by_momentum, against, still] in [adam(0.1, 0.0), descent(0.1, 0.0)] {
        assert!(by_momentum < -0.01 && against > 0.01 && still == 0.0);
    }
    assert!(adam(0.1, 0.5)[2] < -0.01 && descent(0.1, 0.5)[2] < -0.01, "decay alone");
}
