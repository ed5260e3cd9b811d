//! Attention of examples to themselves with its three linear layers, some examples at a time: queries, keys and values
//! are of these examples alone, and the way back forms them again.

use std::ops::Range;

use faer::Accum;

use super::attention::Squares;
use super::feed_forward::{LayersGrad, Wanted, added_up, longest};
use super::linear::{Linear, LinearGrad, Tile};
use super::norm::Reader;
use super::parallel::{example_ranges, for_ranges};
use super::{Heads, Kept, Segments, Tensor, Workspace};

/// [`attention`](super::attention()) of what the layers of queries, keys and values make of `x [rows, in]`: `[rows, features]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn self_attention(
    workspace: &Workspace,
    x: &Tensor,
    layers: [Linear<'_>; 3],
    heads: Heads,
    segments: &Segments,
) -> Tensor {
    assert_eq!(x.rows(), segments.rows());
    let (inputs, features) = (x.cols(), layers[0].outputs(x.cols()));
    let mut y = workspace.tensor(x.rows(), features);
    let (ranges, within) = example_ranges(workspace, segments, 4 * features);
    let start = |ranges: &[Range<usize>]| {
        let qkv = [(); 3].map(|()| workspace.tensor(longest(ranges), features));
        let tile = Tile::new(&within, longest(ranges), inputs, layers, false);
        (qkv, tile, Squares::<1>::new(&within, features, heads, &examples(segments, &joined(ranges))))
    };
    for_ranges(workspace, &ranges, [(&mut y, features)], start, |(qkv, tile, squares), rows, [y]| {
        let x = &x[rows.start * inputs..rows.end * inputs];
        let qkv = made_of(&within, (x, inputs), layers, qkv, rows.len() * features, tile);
        squares.attend(qkv, &examples(segments, &rows), y);
    });
    y
}

/// Queries, keys and values of some rows: so many values each.
fn made_of<'q>(
    workspace: &Workspace,
    (x, inputs): (&[f32], usize),
    layers: [Linear<'_>; 3],
    qkv: &'q mut [Tensor; 3],
    values: usize,
    tile: &mut Tile,
) -> [&'q [f32]; 3] {
    let [q, k, v] = qkv.each_mut().map(|out| &mut out[..values]);
    for (layer, out) in layers.into_iter().zip([&mut *q, &mut *k, &mut *v]) {
        layer.forward_into(workspace, x, inputs, out, tile);
    }
    [q, k, v]
}

/// All rows of ranges that follow each other.
fn joined(ranges: &[Range<usize>]) -> Range<usize> {
    ranges.first().map_or(0, |range| range.start)..ranges.last().map_or(0, |range| range.end)
}

/// Gradients of [`self_attention`] from that of its result, `dy [rows, features]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn self_attention_grad(
    workspace: &Workspace,
    dy: &Tensor,
    x: Kept<'_>,
    layers: [Linear<'_>; 3],
    (heads, segments): (Heads, &Segments),
    wanted: Wanted<3>,
) -> LayersGrad<3> {
    let (rows, inputs) = (x.rows(), x.cols());
    let features = layers[0].outputs(inputs);
    assert_eq!((dy.rows(), dy.cols(), rows), (rows, features, segments.rows()));
    let added = wanted.onto.is_some();
    let onto = wanted.onto.inspect(|onto| assert_eq!((onto.rows(), onto.cols()), (rows, inputs)));
    let mut dx = wanted.input.then(|| onto.unwrap_or_else(|| workspace.tensor(rows, inputs)));
    let (ranges, within) = example_ranges(workspace, segments, 7 * features);
    let start = |ranges: &[Range<usize>]| {
        let rows = longest(ranges);
        let tensors = || [(); 3].map(|()| workspace.tensor(rows, features));
        Thread {
            sums: wanted.layers.map(|wanted| wanted.then(|| LinearGrad::zeros(workspace, features, inputs))),
            x: x.reader(workspace, rows),
            qkv: tensors(),
            grads: tensors(),
            tile: Tile::new(&within, rows, inputs, layers, false),
            squares: Squares::new(&within, features, heads, &examples(segments, &joined(ranges))),
        }
    };
    let cols = if dx.is_some() { inputs } else { 0 };
    let out = dx.as_mut().map_or(&mut [][..], |dx| &mut dx[..]);
    let threads = for_ranges(workspace, &ranges, [(out, cols)], start, |thread, rows, [dx]| {
        let Thread { sums, x, qkv, grads, tile, squares } = thread;
        let dy = &dy[rows.start * features..rows.end * features];
        let (segments, values) = (examples(segments, &rows), rows.len() * features);
        let x = x.rows(&within, rows);
        let qkv = made_of(&within, (x, inputs), layers, qkv, values, tile);
        squares.attend_grad(dy, qkv, &segments, grads.each_mut().map(|grad| &mut grad[..values]));
        for (index, (grad, layer)) in grads.iter().zip(layers).enumerate() {
            let grad = &grad[..values];
            if let Some(sum) = &mut sums[index] {
                sum.add_rows(&within, grad, x);
            }
            if !dx.is_empty() {
                let accum = if index == 0 && !added { Accum::Replace } else { Accum::Add };
                layer.input_grad(&within, grad, inputs, (&mut *dx, accum), tile);
            }
        }
    });
    LayersGrad { input: dx, layers: added_up(workspace, threads.into_iter().map(|thread| thread.sums)) }
}

/// What a thread sums and computes in.
struct Thread<'a> {
    sums: [Option<LinearGrad>; 3],
    x: Reader<'a>,
    qkv: [Tensor; 3],
    grads: [Tensor; 3],
    tile: Tile,
    squares: Squares<2>,
}

/// The examples that `rows` are made of.
fn examples(segments: &Segments, rows: &Range<usize>) -> Segments {
    let within = segments.ranges().filter(|example| rows.contains(&example.start) && !example.is_empty());
    Segments::from_lengths(within.map(|example| example.len()))
}
