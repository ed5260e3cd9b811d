//! Weights that are not f32 in their place: what kernels make of them is what they make of the converted values.

use half::{bf16, f16};
use taps::kernels::{
    Epilogue, Grid, Heads, Kept, Linear, Segments, Tensor, Wanted, Weight, Window, Workspace, conv, conv_input_grad,
    depthwise, depthwise_input_grad, feed_forward, feed_forward_grad, gather, linear, linear_input_grad,
    self_attention, self_attention_grad,
};

use crate::check::Values;

/// A weight stored in some way, and its values as f32.
struct Stored {
    floats: Vec<f32>,
    bytes: Vec<u8>,
    of: fn(&[u8]) -> Weight<'_>,
}

impl Stored {
    fn all(values: &[f32]) -> [Self; 3] {
        let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        let brains: Vec<bf16> = values.iter().map(|&value| bf16::from_f32(value)).collect();
        [
            Self {
                floats: halves.iter().map(|value| value.to_f32()).collect(),
                bytes: halves.iter().flat_map(|value| value.to_le_bytes()).collect(),
                of: |bytes| Weight::f16(bytes),
            },
            Self {
                floats: brains.iter().map(|value| value.to_f32()).collect(),
                bytes: brains.iter().flat_map(|value| value.to_le_bytes()).collect(),
                of: |bytes| Weight::bf16(bytes),
            },
            Self {
                floats: values.to_vec(),
                bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                of: |bytes| Weight::f32_bytes(bytes),
            },
        ]
    }

    fn get(&self) -> Weight<'_> {
        (self.of)(&self.bytes)
    }
}

fn close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(1e-3f32, |size, value| size.max(value.abs()));
    let off = found.iter().zip(expected).fold(0f32, |off, (a, b)| off.max((a - b).abs()));
    assert!(off < 1e-5 * size, "{what}: off by {off} of {size}");
}

/// Runs `kernel` with each way to store weights of these sizes, on one and on several threads, and in a dry workspace, which
/// counts what the others hold.
fn check<const N: usize>(what: &str, sizes: [usize; N], kernel: impl Fn(&Workspace, [Weight<'_>; N]) -> Vec<Tensor>) {
    let weights = sizes.map(|size| Stored::all(&Values(size as u64).take(size)));
    for threads in [1, 2] {
        for (way, name) in ["f16", "bf16", "unaligned f32"].into_iter().enumerate() {
            let weight = |index: usize| &weights[index][way];
            let stored: [Weight<'_>; N] = std::array::from_fn(|index| weight(index).get());
            let expected = kernel(&Workspace::new(1), std::array::from_fn(|index| Weight::f32(&weight(index).floats)));
            let (wet, dry) = (Workspace::new(threads), Workspace::dry(threads));
            let found = kernel(&wet, stored);
            for (found, expected) in found.iter().zip(&expected) {
                close(found, expected, &format!("{what}, {threads} threads, {name}"));
            }
            drop(found);
            assert!(kernel(&dry, stored).iter().all(|tensor| tensor.is_empty()));
            assert_eq!(dry.peak_bytes(), wet.peak_bytes(), "{what}, {threads} threads, {name}");
        }
    }
}

#[test]
fn products_convert_tile_by_tile() {
    // The last is several tiles of inputs and of outputs.
    for [rows, inputs, outputs] in [[1, 5, 3], [7, 64, 33], [32, 96, 70], [40, 24, 50], [200, 300, 700]] {
        let x = Values(1).tensor(rows, inputs);
        let (bias, dy) = (Values(2).take(outputs), Values(3).tensor(rows, outputs));
        check(&format!("linear {rows}×{inputs}×{outputs}"), [outputs * inputs], |workspace, [weight]| {
            vec![linear(workspace, &x, weight, Some(&bias)), linear_input_grad(workspace, &dy, weight)]
        });
        check(&format!("gather {rows}×{inputs}×{outputs}"), [outputs * inputs], |workspace, [weight]| {
            let rows = gather(workspace, weight, inputs, &[0, 2, 0], None);
            let twice = gather(workspace, weight, inputs, &[1, 1, 2], Some(workspace.copy(&rows)));
            vec![rows, twice]
        });
    }
}

#[test]
fn convolutions_convert_as_they_pack() {
    let grid = Grid { images: 2, height: 9, width: 7 };
    for (window, inputs, outputs) in
        [(Window::square(3, 1, 1), 5, 40), (Window::square(3, 2, 1), 33, 6), (Window::square(1, 1, 0), 20, 35)]
    {
        let x = Values(4).tensor(grid.rows(), inputs);
        let dy = Values(5).tensor(window.output(grid).rows(), outputs);
        let size = outputs * inputs * window.size[0] * window.size[1];
        check(&format!("{window:?}"), [size], |workspace, [weight]| {
            let y = conv(workspace, &x, grid, weight, window, Epilogue::default());
            vec![y, conv_input_grad(workspace, &dy, grid, weight, window)]
        });
        let dy = Values(5).tensor(window.output(grid).rows(), inputs);
        check(&format!("depthwise {window:?}"), [inputs * window.size[0] * window.size[1]], |workspace, [weight]| {
            let y = depthwise(workspace, &x, grid, weight, window, Epilogue::default());
            vec![y, depthwise_input_grad(workspace, &dy, grid, weight, window)]
        });
    }
}

/// Rows that divide into a thread's many and another's few, of more inputs than a tile has room for.
#[test]
fn a_tile_for_many_rows_serves_few() {
    let (grid, inputs, outputs) = (Grid { images: 1, height: 65, width: 1 }, 7000, 20);
    let x = Values(8).tensor(grid.rows(), inputs);
    check("pointwise", [outputs * inputs], |workspace, [weight]| {
        vec![conv(workspace, &x, grid, weight, Window::square(1, 1, 0), Epilogue::default())]
    });
}

#[test]
fn blocks_of_a_transformer_convert_in_each_thread() {
    let (hidden, inner) = (48, 96);
    for lengths in [vec![3, 9], vec![130, 140, 7, 200]] {
        let segments = Segments::from_lengths(lengths);
        let (x, dy) = (Values(6).tensor(segments.rows(), hidden), Values(7).tensor(segments.rows(), hidden));
        check("feed-forward", [inner * hidden, hidden * inner], |workspace, weights| {
            let layers = weights.map(|weight| Linear { weight, bias: None });
            let wanted = Wanted { layers: [true; 2], input: true, onto: None };
            let grads = feed_forward_grad(workspace, &dy, Kept::Values(&x), layers, wanted);
            let sums = grads.layers.into_iter().flatten().map(|grad| grad.weight);
            sums.chain(grads.input).chain([feed_forward(workspace, &x, layers)]).collect()
        });
        let heads = Heads { count: 4 };
        check("self-attention", [hidden * hidden; 3], |workspace, weights| {
            let layers = weights.map(|weight| Linear { weight, bias: None });
            let wanted = Wanted { layers: [true; 3], input: true, onto: None };
            let grads = self_attention_grad(workspace, &dy, Kept::Values(&x), layers, (heads, &segments), wanted);
            let sums = grads.layers.into_iter().flatten().map(|grad| grad.weight);
            sums.chain(grads.input).chain([self_attention(workspace, &x, layers, heads, &segments)]).collect()
        });
    }
}
