//! A transformer's feed-forward layers and their gradients, in one range of rows and in several.

use proptest::prelude::*;
use taps::kernels::{
    Kept, Linear, Wanted, Weight, feed_forward, feed_forward_grad, layer_norm_kept, linear_weight_grad,
};

use crate::check::{BOUND, Values, assert_close, assert_gradient, bits, config, copy, run, wide, workspace};
use crate::naive;

/// Rows, inputs, width between the layers, and outputs.
fn shape() -> impl Strategy<Value = [usize; 4]> {
    let rows = prop_oneof![4 => 0..12_usize, 1 => 128..140_usize, 1 => 500..530_usize];
    (rows, 1..9_usize, 1..18_usize, 1..9_usize)
        .prop_map(|(rows, inputs, width, outputs)| [rows, inputs, width, outputs])
}

fn oracle(x: &[f64], [w1, b1, w2, b2]: [&[f64]; 4], inputs: usize) -> Vec<f64> {
    let middle: Vec<f64> = naive::linear(x, w1, Some(b1), inputs).into_iter().map(naive::gelu).collect();
    naive::linear(&middle, w2, Some(b2), b1.len())
}

/// Size of a value of the result, and of the slopes with respect to a row.
fn size(inputs: usize, width: usize) -> f64 {
    BOUND.powi(4) * (inputs * width) as f64 + BOUND
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn feed_forward_is_the_oracle([rows, inputs, width, outputs] in shape(), seed: u64) {
        let mut values = Values(seed);
        let x = values.tensor(rows, inputs);
        let [w1, b1] = [width * inputs, width].map(|count| values.take(count));
        let [w2, b2] = [outputs * width, outputs].map(|count| values.take(count));
        let layers = [Linear { weight: Weight::f32(&w1), bias: Some(&b1) }, Linear { weight: Weight::f32(&w2), bias: Some(&b2) }];
        let size = size(inputs, width);
        let [y] = run(size, |workspace| {
            let y = feed_forward(workspace, &x, layers);
            assert_eq!((y.rows(), y.cols()), (rows, outputs));
            [y.to_vec()]
        });
        let [w1, b1, w2, b2] = [&w1, &b1, &w2, &b2].map(|values| wide(values));
        assert_close(&y, &oracle(&wide(&x), [&w1, &b1, &w2, &b2], inputs), size);
    }

    #[test]
    fn gradients_are_the_slopes([rows, inputs, width, outputs] in shape(), added: bool, seed: u64) {
        let mut values = Values(seed);
        let (x, dy, onto) = (values.tensor(rows, inputs), values.tensor(rows, outputs), values.tensor(rows, inputs));
        let [w1, b1] = [width * inputs, width].map(|count| values.take(count));
        let [w2, b2] = [outputs * width, outputs].map(|count| values.take(count));
        let layers = [Linear { weight: Weight::f32(&w1), bias: Some(&b1) }, Linear { weight: Weight::f32(&w2), bias: Some(&b2) }];
        let size = size(inputs, width) * (outputs as f64 + (rows as f64).sqrt());
        let found = run(size, |workspace| {
            let wanted = Wanted { layers: [true; 2], input: true, onto: added.then(|| copy(&onto)) };
            let grad = feed_forward_grad(workspace, &dy, Kept::Values(&x), layers, wanted);
            let [Some(inner), Some(outer)] = grad.layers else { panic!("both layers were wanted") };
            assert_eq!((inner.weight.rows(), inner.weight.cols()), (width, inputs));
            assert_eq!((outer.weight.rows(), outer.weight.cols()), (outputs, width));
            let input = grad.input.expect("the input's was wanted");
            [&input, &inner.weight, &inner.bias, &outer.weight, &outer.bias].map(|tensor| tensor.to_vec())
        });
        let onto = if added { wide(&onto) } else { vec![0.0; rows * inputs] };
        let [x, dy, w1, b1, w2, b2] = [&x[..], &dy, &w1, &b1, &w2, &b2].map(wide);
        let loss = |x: &[f64], weights: [&[f64]; 4]| naive::dot(&oracle(x, weights, inputs), &dy);
        assert_gradient(&found[0], &x, size, |x| loss(x, [&w1, &b1, &w2, &b2]) + naive::dot(x, &onto));
        assert_gradient(&found[1], &w1, size, |w1| loss(&x, [w1, &b1, &w2, &b2]));
        assert_gradient(&found[2], &b1, size, |b1| loss(&x, [&w1, b1, &w2, &b2]));
        assert_gradient(&found[3], &w2, size, |w2| loss(&x, [&w1, &b1, w2, &b2]));
        assert_gradient(&found[4], &b2, size, |b2| loss(&x, [&w1, &b1, &w2, b2]));
    }

    /// What is not wanted is not formed, and what is does not depend on it.
    #[test]
    fn only_what_is_wanted_is_formed(
        [rows, inputs, width, outputs] in shape(),
        first: bool,
        second: bool,
        input: bool,
        seed: u64,
    ) {
        let mut values = Values(seed);
        let (x, dy) = (values.tensor(rows, inputs), values.tensor(rows, outputs));
        let (w1, w2) = (values.take(width * inputs), values.take(outputs * width));
        let layers = [&w1, &w2].map(|weight| Linear { weight: Weight::f32(weight), bias: None });
        let grad = |layers_wanted, input| {
            let wanted = Wanted { layers: layers_wanted, input, onto: None };
            feed_forward_grad(&workspace(1), &dy, Kept::Values(&x), layers, wanted)
        };
        let (some, all) = (grad([first, second], input), grad([true; 2], true));
        assert_eq!(some.input.is_some(), input);
        if let (Some(some), Some(all)) = (&some.input, &all.input) {
            assert_eq!(bits(some), bits(all));
        }
        for ((some, all), wanted) in some.layers.iter().zip(&all.layers).zip([first, second]) {
            assert_eq!(some.is_some(), wanted);
            if let (Some(some), Some(all)) = (some, all) {
                assert_eq!((bits(&some.weight), bits(&some.bias)), (bits(&all.weight), bits(&all.bias)));
            }
        }
    }

    /// An input formed again from what a normalization kept is that input, to the bit.
    #[test]
    fn the_input_is_what_the_norm_gave([rows, inputs, width, outputs] in shape(), seed: u64) {
        let mut values = Values(seed);
        let [scale, bias] = [(); 2].map(|()| values.take(inputs));
        let (sum, dy) = (values.tensor(rows, inputs), values.tensor(rows, outputs));
        let (w1, w2) = (values.take(width * inputs), values.take(outputs * width));
        let layers = [&w1, &w2].map(|weight| Linear { weight: Weight::f32(weight), bias: None });
        let workspace = workspace(1);
        let (x, normalized) = layer_norm_kept(&workspace, &sum, &scale, Some(&bias), 1e-5);
        let grads = [Kept::Values(&x), Kept::Normalized(&normalized, &scale, Some(&bias))].map(|x| {
            assert_eq!((x.rows(), x.cols()), (rows, inputs));
            let grad = feed_forward_grad(&workspace, &dy, x, layers, Wanted { layers: [true; 2], input: true, onto: None });
            let [Some(inner), Some(outer)] = grad.layers else { panic!("both layers were wanted") };
            let input = grad.input.expect("the input's was wanted");
            let dw = x.with(&workspace, |x| linear_weight_grad(&workspace, &dy, x));
            [&input, &inner.weight, &outer.weight, &dw].map(|tensor| bits(tensor))
        });
        assert_eq!(grads[0], grads[1]);
    }
}
