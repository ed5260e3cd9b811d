//! The linear layer and its gradients.

use proptest::prelude::*;
use taps::kernels::{Tensor, Weight, add_column_sums, linear, linear_input_grad, linear_weight_grad};

use crate::check::{Values, assert_close, assert_gradient, bits, config, run, side, sum_of, wide, workspace};
use crate::naive;

/// Rows, inputs and outputs.
fn shape() -> impl Strategy<Value = [usize; 3]> {
    let small = (prop_oneof![6 => side(), 1 => Just(0)], side(), side());
    let tall = (270..300_usize, side(), 123..133_usize);
    let deep = (1..4_usize, 500..520_usize, side());
    prop_oneof![7 => small, 1 => tall, 1 => deep].prop_map(|(rows, inputs, outputs)| [rows, inputs, outputs])
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn linear_is_the_oracle([rows, inputs, outputs] in shape(), biased: bool, seed: u64) {
        let mut values = Values(seed);
        let (x, weight) = (values.tensor(rows, inputs), values.take(outputs * inputs));
        let bias = biased.then(|| values.take(outputs));
        let size = sum_of(inputs);
        let [y] = run(size, |workspace| {
            let y = linear(workspace, &x, Weight::f32(&weight), bias.as_deref());
            assert_eq!((y.rows(), y.cols()), (rows, outputs));
            [y.to_vec()]
        });
        let bias = bias.as_deref().map(wide);
        assert_close(&y, &naive::linear(&wide(&x), &wide(&weight), bias.as_deref(), inputs), size);
    }

    #[test]
    fn gradients_are_the_slopes([rows, inputs, outputs] in shape(), seed: u64) {
        let mut values = Values(seed);
        let (x, dy) = (values.tensor(rows, inputs), values.tensor(rows, outputs));
        let (weight, bias, sums) = (values.take(outputs * inputs), values.take(outputs), values.take(outputs));
        let [dx, dw, db] = run(sum_of(rows.max(outputs)), |workspace| {
            let dx = linear_input_grad(workspace, &dy, Weight::f32(&weight));
            let dw = linear_weight_grad(workspace, &dy, &x);
            assert_eq!((dx.rows(), dx.cols()), (rows, inputs));
            assert_eq!((dw.rows(), dw.cols()), (outputs, inputs));
            let mut db = sums.clone();
            add_column_sums(&dy, &mut db);
            [dx.to_vec(), dw.to_vec(), db]
        });
        let [x, dy, weight, bias, sums] = [&x[..], &dy, &weight, &bias, &sums].map(wide);
        let loss = |x: &[f64], weight: &[f64], bias: &[f64]| {
            naive::dot(&naive::linear(x, weight, Some(bias), inputs), &dy) + naive::dot(bias, &sums)
        };
        assert_gradient(&dx, &x, sum_of(outputs), |x| loss(x, &weight, &bias));
        assert_gradient(&dw, &weight, sum_of(rows), |weight| loss(&x, weight, &bias));
        assert_gradient(&db, &bias, sum_of(rows), |bias| loss(&x, &weight, bias));
    }

    /// A weight in a mapped file and one in a merged layer lie at different places.
    #[test]
    fn the_place_of_the_weight_does_not_change_the_bits(
        [rows, inputs, outputs] in shape(),
        offset in 1..16_usize,
        seed: u64,
    ) {
        let mut values = Values(seed);
        let (x, dy) = (values.tensor(rows, inputs), values.tensor(rows, outputs));
        let weight = values.take(outputs * inputs);
        let mut moved = vec![0.0; offset];
        moved.extend(&weight);
        let workspace = workspace(1);
        let here = linear(&workspace, &x, Weight::f32(&weight), None);
        let there = linear(&workspace, &x, Weight::f32(&moved[offset..]), None);
        assert_eq!(bits(&here), bits(&there));
        let here = linear_input_grad(&workspace, &dy, Weight::f32(&weight));
        let there = linear_input_grad(&workspace, &dy, Weight::f32(&moved[offset..]));
        assert_eq!(bits(&here), bits(&there));
    }
}

#[test]
fn the_gradient_of_a_weight_without_rows_is_zero() {
    let (dy, x) = (Tensor::from_vec(Vec::new(), 0, 5), Tensor::from_vec(Vec::new(), 0, 3));
    let dw = linear_weight_grad(&workspace(1), &dy, &x);
    assert_eq!((dw.rows(), dw.cols(), &dw[..]), (5, 3, &[0.0; 15][..]));
}
