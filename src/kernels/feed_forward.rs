//! A transformer's feed-forward layers, gelu(x W₁ᵀ + b₁) W₂ᵀ + b₂, some rows at a time: what lies between the two
//! products stays in the cache, and the way back forms it again.

use std::ops::Range;

use faer::Accum;

use super::linear::{Linear, LinearGrad, Tile};
use super::norm::Reader;
use super::parallel::{even_ranges, for_ranges};
use super::{Kept, Tensor, Workspace, gelu, gelu_grad};

/// What [`feed_forward_grad`] is to form.
#[derive(Debug)]
pub struct Wanted<const N: usize> {
    /// For each layer whether the gradients of weight and bias are wanted.
    pub layers: [bool; N],
    /// Whether that of the input is.
    pub input: bool,
    /// What that of the input is added to.
    pub onto: Option<Tensor>,
}

/// Gradients of layers that share an input.
#[derive(Debug)]
pub struct LayersGrad<const N: usize> {
    /// Of the input, `[rows, in]`.
    pub input: Option<Tensor>,
    /// Of the layers.
    pub layers: [Option<LinearGrad>; N],
}

/// gelu(x W₁ᵀ + b₁) W₂ᵀ + b₂ of `x [rows, in]`: `[rows, out]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn feed_forward(workspace: &Workspace, x: &Tensor, layers: [Linear<'_>; 2]) -> Tensor {
    let (rows, inputs) = (x.rows(), x.cols());
    let [inner, outer] = layers;
    let width = inner.outputs(inputs);
    let outputs = outer.outputs(width);
    let mut y = workspace.tensor(rows, outputs);
    let (ranges, within) = even_ranges(workspace, rows, width);
    let start = |ranges: &[Range<usize>]| {
        let rows = longest(ranges);
        (workspace.tensor(rows, width), Tile::new(&within, rows, inputs, layers, true))
    };
    for_ranges(workspace, &ranges, [(&mut y, outputs)], start, |(middle, tile), rows, [y]| {
        let middle = &mut middle[..rows.len() * width];
        inner.forward_into(&within, &x[rows.start * inputs..rows.end * inputs], inputs, middle, tile);
        gelu(&within, middle);
        outer.forward_into(&within, middle, width, y, tile);
    });
    y
}

/// Gradients of [`feed_forward`] from that of its result, `dy [rows, out]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn feed_forward_grad(
    workspace: &Workspace,
    dy: &Tensor,
    x: Kept<'_>,
    layers: [Linear<'_>; 2],
    wanted: Wanted<2>,
) -> LayersGrad<2> {
    let (rows, inputs, outputs) = (x.rows(), x.cols(), dy.cols());
    let [inner, outer] = layers;
    let width = inner.outputs(inputs);
    assert_eq!((dy.rows(), outputs), (rows, outer.outputs(width)));
    let accum = if wanted.onto.is_some() { Accum::Add } else { Accum::Replace };
    let onto = wanted.onto.inspect(|onto| assert_eq!((onto.rows(), onto.cols()), (rows, inputs)));
    let mut dx = wanted.input.then(|| onto.unwrap_or_else(|| workspace.tensor(rows, inputs)));
    let sizes = [[width, inputs], [outputs, width]];
    let (ranges, within) = even_ranges(workspace, rows, 2 * width);
    let start = |ranges: &[Range<usize>]| {
        let rows = longest(ranges);
        let sums = [0, 1].map(|layer| {
            let [outputs, inputs] = sizes[layer];
            wanted.layers[layer].then(|| LinearGrad::zeros(workspace, outputs, inputs))
        });
        let (x, [before, middle]) = (x.reader(workspace, rows), [(); 2].map(|()| workspace.tensor(rows, width)));
        Thread { sums, x, before, middle, tile: Tile::new(&within, rows, inputs, layers, true) }
    };
    let cols = if dx.is_some() { inputs } else { 0 };
    let out = dx.as_mut().map_or(&mut [][..], |dx| &mut dx[..]);
    let threads = for_ranges(workspace, &ranges, [(out, cols)], start, |thread, rows, [dx]| {
        let dy = &dy[rows.start * outputs..rows.end * outputs];
        let Thread { sums: [inner_sum, outer_sum], x, before, middle, tile } = thread;
        let (before, middle) = (&mut before[..rows.len() * width], &mut middle[..rows.len() * width]);
        let x = x.rows(&within, rows);
        inner.forward_into(&within, x, inputs, before, tile);
        if let Some(sum) = outer_sum {
            middle.copy_from_slice(before);
            gelu(&within, middle);
            sum.add_rows(&within, dy, middle);
        }
        if inner_sum.is_some() || !dx.is_empty() {
            outer.input_grad(&within, dy, width, (middle, Accum::Replace), tile);
            gelu_grad(&within, middle, before);
        }
        if let Some(sum) = inner_sum {
            sum.add_rows(&within, middle, x);
        }
        if !dx.is_empty() {
            inner.input_grad(&within, middle, inputs, (dx, accum), tile);
        }
    });
    LayersGrad { input: dx, layers: added_up(workspace, threads.into_iter().map(|thread| thread.sums)) }
}

/// What a thread sums and computes in.
struct Thread<'a> {
    sums: [Option<LinearGrad>; 2],
    x: Reader<'a>,
    before: Tensor,
    middle: Tensor,
    tile: Tile,
}

/// Rows of the longest of some ranges.
pub(super) fn longest(ranges: &[Range<usize>]) -> usize {
    ranges.iter().map(|range| range.len()).max().unwrap_or(0)
}

/// The sums of all threads in one.
pub(super) fn added_up<const N: usize>(
    workspace: &Workspace,
    mut sums: impl Iterator<Item = [Option<LinearGrad>; N]>,
) -> [Option<LinearGrad>; N] {
    let mut all = sums.next().unwrap_or_else(|| std::array::from_fn(|_| None));
    for part in sums {
        for (sum, part) in all.iter_mut().zip(&part) {
            if let (Some(sum), Some(part)) = (sum, part) {
                sum.add(workspace, part);
            }
        }
    }
    all
}
