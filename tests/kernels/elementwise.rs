//! GELU and tanh and their gradients, and sums over slices.

use proptest::prelude::*;
use taps::kernels::{add, add_assign, dot, gelu, gelu_grad, squared_norm, tanh, tanh_grad};

use crate::check::{BOUND, Values, assert_close, assert_gradient, bits, config, matrix, run, wide};
use crate::naive;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn gelu_is_the_oracle((rows, cols) in matrix(), power in -20..20_i32, seed: u64) {
        let x = scaled(&mut Values(seed), rows * cols, power);
        let [y] = run(0.0, |workspace| {
            let mut y = x.clone();
            gelu(workspace, &mut y);
            [y]
        });
        for (&y, x) in y.iter().zip(wide(&x)) {
            assert_close(&[y], &[naive::gelu(x)], x.abs());
        }
    }

    #[test]
    fn the_gradient_of_gelu_is_the_slope((rows, cols) in matrix(), power in -3..5_i32, seed: u64) {
        let mut values = Values(seed);
        let (x, dy) = (scaled(&mut values, rows * cols, power), values.take(rows * cols));
        let [dx] = run(0.0, |workspace| {
            let mut dx = dy.clone();
            gelu_grad(workspace, &mut dx, &x);
            [dx]
        });
        for ((&dx, x), dy) in dx.iter().zip(wide(&x)).zip(wide(&dy)) {
            assert_gradient(&[dx], &[x], dy.abs() + 1e-3, |x| dy * naive::gelu(x[0]));
        }
    }

    #[test]
    fn tanh_and_its_gradient_are_the_oracle((rows, cols) in matrix(), power in -20..8_i32, seed: u64) {
        let mut values = Values(seed);
        let (x, dy) = (scaled(&mut values, rows * cols, power), values.take(rows * cols));
        let [y, dx] = run(0.0, |workspace| {
            let (mut y, mut dx) = (x.clone(), dy.clone());
            tanh(workspace, &mut y);
            tanh_grad(workspace, &mut dx, &y);
            [y, dx]
        });
        for (((&y, &dx), x), dy) in y.iter().zip(&dx).zip(wide(&x)).zip(wide(&dy)) {
            assert_close(&[y], &[x.tanh()], x.abs().min(1.0));
            assert_gradient(&[dx], &[x], dy.abs() + 1e-3, |x| dy * x[0].tanh());
        }
    }

    #[test]
    fn sums_are_the_oracle((rows, cols) in matrix(), seed: u64) {
        let mut values = Values(seed);
        let (a, b) = (values.take(rows * cols), values.take(rows * cols));
        let [sums, added, again] = run(0.0, |workspace| {
            let mut added = a.clone();
            add_assign(&mut added, &b);
            let mut again = a.clone();
            add(workspace, &mut again, &b);
            [vec![dot(&a, &b), squared_norm(&a)], added, again]
        });
        let size = BOUND * BOUND * (a.len() as f64).sqrt();
        let (a, b) = (wide(&a), wide(&b));
        let norm = naive::dot(&a, &a);
        assert_close(&sums, &[naive::dot(&a, &b), norm], size.max(norm));
        assert_eq!(bits(&again), bits(&added));
        assert_close(&added, &naive::add(&a, &b), BOUND);
    }
}

/// Values times 2 to the `power`.
fn scaled(values: &mut Values, count: usize, power: i32) -> Vec<f32> {
    values.take(count).iter().map(|value| value * 2_f32.powi(power)).collect()
}

#[test]
fn each_element_is_added_once_in_any_length() {
    for length in 0..70 {
        let ones = vec![1.0; length];
        assert_eq!((dot(&ones, &ones), squared_norm(&ones)), (length as f32, length as f32));
        let mut twos = ones.clone();
        add_assign(&mut twos, &ones);
        assert_eq!(twos, vec![2.0; length]);
    }
}

/// Far from zero the curve is its asymptotes, and no value is lost on the way there.
#[test]
fn gelu_of_the_ends_of_the_range() {
    let far = [0.0, 10.0, 1e20, f32::MAX, -0.0];
    let [y, slope] = run(0.0, |workspace| {
        let (mut y, mut slope) = (far.to_vec(), vec![1.0; 5]);
        gelu(workspace, &mut y);
        gelu_grad(workspace, &mut slope, &far);
        [y, slope]
    });
    assert_eq!(bits(&y[..1]), bits(&[0.0]));
    assert!(y.iter().zip(far).all(|(y, x)| (y - x).abs() <= x.abs() * 1e-6), "{y:?}");
    assert_close(&slope, &[0.5, 1.0, 1.0, 1.0, 0.5], 1.0);
    let [y, slope] = run(0.0, |workspace| {
        let far = [-10.0, -1e10, -f32::MAX];
        let (mut y, mut slope) = (far.to_vec(), vec![1.0; 3]);
        gelu(workspace, &mut y);
        gelu_grad(workspace, &mut slope, &far);
        [y.iter().zip(far).map(|(y, x)| y / x).collect(), slope]
    });
    assert_close(&y, &[0.0; 3], 1.0);
    assert_close(&slope, &[0.0; 3], 1.0);
}
