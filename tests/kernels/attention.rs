//! Attention of several heads in examples of different lengths, and its gradients.

use proptest::prelude::*;
use taps::kernels::{Heads, Segments, Tensor, attention, attention_grad};

use crate::check::{BOUND, Values, assert_close, assert_gradient, bits, config, lengths, run, wide, workspace};
use crate::naive;

/// Heads, features of a head, and lengths of the examples.
fn shape() -> impl Strategy<Value = (usize, usize, Vec<usize>)> {
    let long = (Just(2), 40..50_usize, prop::collection::vec(40..50_usize, 1));
    prop_oneof![9 => (1..5_usize, prop_oneof![1..12_usize, 15..18_usize], lengths(0)), 1 => long]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn attention_is_the_oracle((heads, width, lengths) in shape(), seed: u64) {
        let mut values = Values(seed);
        let segments = Segments::from_lengths(lengths.iter().copied());
        let (rows, cols) = (segments.rows(), heads * width);
        let [q, k, v] = [(); 3].map(|()| values.tensor(rows, cols));
        let size = BOUND.powi(3);
        let [y] = run(size, |workspace| {
            let y = attention(workspace, &q, &k, &v, Heads { count: heads }, &segments);
            assert_eq!((y.rows(), y.cols()), (rows, cols));
            [y.to_vec()]
        });
        let [q, k, v] = [&q, &k, &v].map(|tensor| wide(tensor));
        assert_close(&y, &naive::attention([&q, &k, &v], heads, width, &lengths), size);
    }

    #[test]
    fn gradients_are_the_slopes((heads, width, lengths) in shape(), seed: u64) {
        let mut values = Values(seed);
        let segments = Segments::from_lengths(lengths.iter().copied());
        let [q, k, v, dy] = [(); 4].map(|()| values.tensor(segments.rows(), heads * width));
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let size = BOUND.powi(3) * (longest as f64).sqrt();
        let grads = run(size, |workspace| {
            let grads = attention_grad(workspace, &dy, [&q, &k, &v], Heads { count: heads }, &segments);
            grads.map(|grad| {
                assert_eq!((grad.rows(), grad.cols()), (q.rows(), q.cols()));
                grad.to_vec()
            })
        });
        let [q, k, v, dy] = [q, k, v, dy].map(|tensor| wide(&tensor));
        let loss = |inputs: [&[f64]; 3]| naive::dot(&naive::attention(inputs, heads, width, &lengths), &dy);
        assert_gradient(&grads[0], &q, size, |q| loss([q, &k, &v]));
        assert_gradient(&grads[1], &k, size, |k| loss([&q, k, &v]));
        assert_gradient(&grads[2], &v, size, |v| loss([&q, &k, v]));
    }

    /// Whatever the other examples of the batch are.
    #[test]
    fn an_example_attends_to_itself_alone(heads in 1..4_usize, width in 1..9_usize, lengths in lengths(0), seed: u64) {
        let mut values = Values(seed);
        let segments = Segments::from_lengths(lengths.iter().copied());
        let cols = heads * width;
        let [q, k, v] = [(); 3].map(|()| values.tensor(segments.rows(), cols));
        let workspace = workspace(1);
        let heads = Heads { count: heads };
        let packed = attention(&workspace, &q, &k, &v, heads, &segments);
        for range in segments.ranges() {
            let part = |values: &[f32]| values[range.start * cols..range.end * cols].to_vec();
            let alone = |values| Tensor::from_vec(part(values), range.len(), cols);
            let segment = Segments::uniform(1, range.len());
            let y = attention(&workspace, &alone(&q), &alone(&k), &alone(&v), heads, &segment);
            assert_eq!(bits(&y), bits(&part(&packed)));
        }
    }
}

#[test]
fn one_token_attends_to_itself() {
    let mut values = Values(2);
    let [q, k, v] = [(); 3].map(|()| values.tensor(3, 8));
    let y = attention(&workspace(1), &q, &k, &v, Heads { count: 2 }, &Segments::uniform(3, 1));
    assert_eq!(bits(&y), bits(&v));
}
