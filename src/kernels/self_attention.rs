//! Attention of examples to themselves with its three linear layers, some examples at a time: queries, keys and values
//! are of these examples alone, and the way back forms them again.

use std::ops::Range;

use faer::Accum;

use super::feed_forward::{LayersGrad, Wanted, added_up};
use super::linear::{Linear, LinearGrad};
use super::parallel::{example_ranges, for_ranges};
use super::{Heads, Kept, Segments, Tensor, Workspace, attention, attention_grad};

/// [`attention`] of what the layers of queries, keys and values make of `x [rows, in]`: `[rows, features]`.
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
    let features = layers[0].outputs(x.cols());
    let mut y = workspace.tensor(x.rows(), features);
    let (ranges, within) = example_ranges(workspace, segments, 4 * features);
    for_ranges(
        workspace,
        &ranges,
        [(&mut y, features)],
        || (),
        |(), rows, [y]| {
            let inputs = x.cols();
            let segments = examples(segments, &rows);
            let x = &x[rows.start * inputs..rows.end * inputs];
            let [q, k, v] = layers.map(|layer| layer.forward(&within, x, inputs));
            y.copy_from_slice(&attention(&within, &q, &k, &v, heads, &segments));
        },
    );
    y
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
    let start = || wanted.layers.map(|wanted| wanted.then(|| LinearGrad::zeros(workspace, features, inputs)));
    let cols = if dx.is_some() { inputs } else { 0 };
    let out = dx.as_mut().map_or(&mut [][..], |dx| &mut dx[..]);
    let sums = for_ranges(workspace, &ranges, [(out, cols)], start, |sums, rows, [dx]| {
        let segments = examples(segments, &rows);
        let mut part = within.tensor(rows.len(), features);
        part.copy_from_slice(&dy[rows.start * features..rows.end * features]);
        x.with_rows(&within, rows, |x| {
            let [q, k, v] = layers.map(|layer| layer.forward(&within, x, inputs));
            let grads = attention_grad(&within, &part, [&q, &k, &v], heads, &segments);
            for (index, (grad, layer)) in grads.iter().zip(layers).enumerate() {
                if let Some(sum) = &mut sums[index] {
                    sum.add_rows(&within, grad, x);
                }
                if !dx.is_empty() {
                    let accum = if index == 0 && !added { Accum::Replace } else { Accum::Add };
                    layer.input_grad(&within, grad, inputs, dx, accum);
                }
            }
        });
    });
    LayersGrad { input: dx, layers: added_up(workspace, sums) }
}

/// The examples that `rows` are made of.
fn examples(segments: &Segments, rows: &Range<usize>) -> Segments {
    let within = segments.ranges().filter(|example| rows.contains(&example.start) && !example.is_empty());
    Segments::from_lengths(within.map(|example| example.len()))
}
