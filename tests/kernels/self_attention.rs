//! Attention with its three linear layers, in one range of examples and in several, and its gradients.

use proptest::prelude::*;
use taps::kernels::{
    Heads, Kept, Linear, Segments, Wanted, Weight, attention, attention_grad, linear, linear_input_grad,
};
use taps::kernels::{add_assign, linear_weight_grad, self_attention, self_attention_grad};

use crate::check::{Values, assert_close, config, copy, lengths, run, wide, workspace};
use crate::naive;

/// Inputs, heads, features of a head, and lengths of the examples; at times so many that each thread has several ranges.
fn shape() -> impl Strategy<Value = ([usize; 3], Vec<usize>)> {
    let many = prop::collection::vec(prop_oneof![0..40_usize, Just(64)], 12..20);
    let one = prop::collection::vec(270..280_usize, 1);
    let lengths = prop_oneof![4 => lengths(0), 2 => many, 1 => one];
    ((1..12_usize, 1..4_usize, 1..9_usize), lengths)
        .prop_map(|((inputs, heads, width), lengths)| ([inputs, heads, width], lengths))
}

/// Values so small that scores stay near one.
fn weights(values: &mut Values, count: usize, inputs: usize) -> Vec<f32> {
    values.take(count).iter().map(|value| value / (4 * inputs) as f32).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn self_attention_is_the_oracle(([inputs, heads, width], lengths) in shape(), seed: u64) {
        let mut values = Values(seed);
        let segments = Segments::from_lengths(lengths.iter().copied());
        let features = heads * width;
        let x = values.tensor(segments.rows(), inputs);
        let layers = [(); 3].map(|()| (weights(&mut values, features * inputs, inputs), values.take(features)));
        let linears = layers.each_ref().map(|(weight, bias)| Linear { weight: Weight::f32(weight), bias: Some(bias) });
        let [y] = run(8.0, |workspace| {
            let y = self_attention(workspace, &x, linears, Heads { count: heads }, &segments);
            assert_eq!((y.rows(), y.cols()), (segments.rows(), features));
            [y.to_vec()]
        });
        let x = wide(&x);
        let [q, k, v] = layers.map(|(weight, bias)| naive::linear(&x, &wide(&weight), Some(&wide(&bias)), inputs));
        assert_close(&y, &naive::attention([&q, &k, &v], heads, width, &lengths), 32.0);
    }

    /// Gradients are those of attention and of the layers, which are checked against slopes by themselves.
    #[test]
    fn gradients_are_those_of_its_parts(
        ([inputs, heads, width], lengths) in shape(),
        added: bool,
        seed: u64,
    ) {
        let mut values = Values(seed);
        let segments = Segments::from_lengths(lengths.iter().copied());
        let (rows, features, heads) = (segments.rows(), heads * width, Heads { count: heads });
        let (x, dy, onto) = (values.tensor(rows, inputs), values.tensor(rows, features), values.tensor(rows, inputs));
        let layers = [(); 3].map(|()| (weights(&mut values, features * inputs, inputs), values.take(features)));
        let linears = layers.each_ref().map(|(weight, bias)| Linear { weight: Weight::f32(weight), bias: Some(bias) });
        let size = 64.0 * (rows as f64 + 1.0).sqrt();
        let found = run(size, |workspace| {
            let wanted = Wanted { layers: [true; 3], input: true, onto: added.then(|| copy(&onto)) };
            let grad = self_attention_grad(workspace, &dy, Kept::Values(&x), linears, (heads, &segments), wanted);
            let [Some(q), Some(k), Some(v)] = grad.layers else { panic!("all layers were wanted") };
            let input = grad.input.expect("the input's was wanted");
            [&input, &q.weight, &k.weight, &v.weight, &q.bias, &k.bias, &v.bias].map(|tensor| tensor.to_vec())
        });
        let workspace = workspace(1);
        let [q, k, v] = linears.map(|layer| linear(&workspace, &x, layer.weight, layer.bias));
        let _ = attention(&workspace, &q, &k, &v, heads, &segments);
        let grads = attention_grad(&workspace, &dy, [&q, &k, &v], heads, &segments);
        let mut dx = if added { onto.to_vec() } else { vec![0.0; rows * inputs] };
        for (index, (grad, layer)) in grads.iter().zip(linears).enumerate() {
            add_assign(&mut dx, &linear_input_grad(&workspace, grad, layer.weight));
            assert_close(&found[1 + index], &wide(&linear_weight_grad(&workspace, grad, &x)), size);
            let sums = (0..features).map(|feature| (0..rows).map(|row| f64::from(grad.row(row)[feature])).sum());
            assert_close(&found[4 + index], &sums.collect::<Vec<f64>>(), size);
        }
        assert_close(&found[0], &wide(&dx), size);
    }

    #[test]
    fn only_what_is_wanted_is_formed(([inputs, heads, width], lengths) in shape(), key: bool, input: bool, seed: u64) {
        let mut values = Values(seed);
        let segments = Segments::from_lengths(lengths.iter().copied());
        let (rows, features) = (segments.rows(), heads * width);
        let (x, dy) = (values.tensor(rows, inputs), values.tensor(rows, features));
        let weight = values.take(features * inputs);
        let wanted = Wanted { layers: [false, key, false], input, onto: None };
        let layers = [Linear { weight: Weight::f32(&weight), bias: None }; 3];
        let grad = self_attention_grad(&workspace(2), &dy, Kept::Values(&x), layers, (Heads { count: heads }, &segments), wanted);
        assert_eq!(grad.layers.map(|layer| layer.is_some()), [false, key, false]);
        assert_eq!(grad.input.is_some(), input);
    }
}
