//! What each kernel takes from the pool, in the order in which it does: its result and what it needs beside.

use std::ops::Range;

use super::ledger::{Buffer, Ledger};
use crate::kernels::parallel::{even_ranges, example_ranges};
use crate::kernels::{
    Grid, Scratch, Segments, Window, Workspace, conv_input_grad_scratch, conv_scratch, conv_weight_grad_scratch,
    depthwise_scratch, depthwise_weight_grad_scratch,
};

/// What the threads of a kernel hold at the same time.
fn of_threads(ledger: &Ledger, scratch: &Scratch) -> Vec<Buffer> {
    let each = scratch.each.iter().filter(|&&length| length > 0);
    (0..ledger.at_once(scratch.threads)).flat_map(|_| each.clone()).map(|&length| ledger.take(1, length)).collect()
}

fn once(ledger: &Ledger, scratch: &Scratch) -> Option<Buffer> {
    (scratch.once > 0).then(|| ledger.take(1, scratch.once))
}

pub(super) fn conv(ledger: &Ledger, workspace: &Workspace, grid: Grid, channels: [usize; 2], window: Window) -> Buffer {
    let scratch = conv_scratch(workspace, grid, channels, window);
    let _panels = once(ledger, &scratch);
    let y = ledger.take(window.output(grid).rows(), channels[1]);
    of_threads(ledger, &scratch);
    y
}

pub(super) fn conv_input_grad(
    ledger: &Ledger,
    workspace: &Workspace,
    grid: Grid,
    channels: [usize; 2],
    window: Window,
) -> Buffer {
    let scratch = conv_input_grad_scratch(workspace, grid, channels, window);
    let _panels = once(ledger, &scratch);
    let dx = ledger.take(grid.rows(), channels[0]);
    of_threads(ledger, &scratch);
    dx
}

/// `elements` of weight.
pub(super) fn conv_weight_grad(
    ledger: &Ledger,
    workspace: &Workspace,
    grid: Grid,
    channels: [usize; 2],
    window: Window,
) -> Buffer {
    let scratch = conv_weight_grad_scratch(workspace, grid, channels, window);
    let [sums, padded] = [0, 1].map(|at| scratch.each.get(at).copied().unwrap_or(0));
    let mut parts = Vec::new();
    if sums > 0 {
        let at_once = ledger.at_once(scratch.threads);
        for _ in 0..scratch.threads / at_once.max(1) {
            let threads: Vec<_> = (0..at_once).map(|_| [ledger.take(1, sums), ledger.take(1, padded)]).collect();
            parts.extend(threads.into_iter().map(|[sums, _padded]| sums));
        }
    }
    ledger.take(channels[1], channels[0] * window.size[0] * window.size[1])
}

pub(super) fn depthwise(ledger: &Ledger, workspace: &Workspace, grid: Grid, channels: usize, window: Window) -> Buffer {
    let y = ledger.take(window.output(grid).rows(), channels);
    of_threads(ledger, &depthwise_scratch(workspace, grid, channels, window, false));
    y
}

pub(super) fn depthwise_input_grad(
    ledger: &Ledger,
    workspace: &Workspace,
    grid: Grid,
    channels: usize,
    window: Window,
) -> Buffer {
    let dx = ledger.take(grid.rows(), channels);
    of_threads(ledger, &depthwise_scratch(workspace, grid, channels, window, true));
    dx
}

pub(super) fn depthwise_weight_grad(
    ledger: &Ledger,
    workspace: &Workspace,
    grid: Grid,
    channels: usize,
    window: Window,
) -> Buffer {
    let scratch = depthwise_weight_grad_scratch(workspace, grid, channels, window);
    let sums = ledger.take(channels, window.size[0] * window.size[1]);
    let _partial = once(ledger, &scratch);
    of_threads(ledger, &scratch);
    sums
}

pub(super) fn attention(ledger: &Ledger, workspace: &Workspace, q: &Buffer, segments: &Segments) -> Buffer {
    let context = ledger.take(q.rows, q.cols);
    per_head(ledger, workspace, q.cols, segments, 1);
    context
}

pub(super) fn attention_grad(ledger: &Ledger, workspace: &Workspace, dy: &Buffer, segments: &Segments) -> [Buffer; 3] {
    let grads = [(); 3].map(|()| ledger.take(dy.rows, dy.cols));
    per_head(ledger, workspace, dy.cols, segments, 2);
    grads
}

/// Matrices `[tokens, tokens]` of one head after another, on as many threads as rayon has.
fn per_head(ledger: &Ledger, workspace: &Workspace, features: usize, segments: &Segments, matrices: usize) {
    let products = segments.ranges().map(|rows| 2 * rows.len() * rows.len() * features).sum();
    let threads = if workspace.splits(products) { rayon::current_num_threads() } else { 1 };
    let mut last = 0;
    for rows in segments.ranges().filter(|rows| !rows.is_empty()) {
        // One after another of a length take the same buffers.
        if rows.len() != last {
            drop(squares(ledger, ledger.at_once(threads) * matrices, rows.len()));
            last = rows.len();
        }
    }
}

fn squares(ledger: &Ledger, count: usize, tokens: usize) -> Vec<Buffer> {
    (0..count).map(|_| ledger.take(tokens, tokens)).collect()
}

/// Attention to `segments` with its linear layers: `[rows, features]`.
pub(super) fn self_attention(ledger: &Ledger, workspace: &Workspace, features: usize, segments: &Segments) -> Buffer {
    let y = ledger.take(segments.rows(), features);
    let (ranges, within) = example_ranges(workspace, segments, 4 * features);
    let whole = ranges.len() == 1;
    in_ranges(
        ledger,
        workspace,
        &ranges,
        || (),
        |rows| {
            let mut held: Vec<Buffer> = (0..4).map(|_| ledger.take(rows.len(), features)).collect();
            match whole {
                true => per_head(ledger, &within, features, segments, 1),
                false => held.extend(squares(ledger, 1, longest(segments, rows))),
            }
            held
        },
    );
    y
}

/// Gradients of the layers of [`self_attention`], each of a size in `wanted` where it is; of an input `held.0` wide
/// that is formed again if `held.1`.
pub(super) fn self_attention_grad(
    ledger: &Ledger,
    workspace: &Workspace,
    features: usize,
    segments: &Segments,
    wanted: [Option<[usize; 2]>; 3],
    held: (usize, bool),
) -> [Option<[Buffer; 2]>; 3] {
    let (ranges, within) = example_ranges(workspace, segments, 7 * features);
    let whole = ranges.len() == 1;
    let sums = in_ranges(
        ledger,
        workspace,
        &ranges,
        || sums(ledger, wanted),
        |rows| {
            let mut all = vec![ledger.take(rows.len(), features)];
            all.extend(held.1.then(|| ledger.take(rows.len(), held.0)));
            all.extend((0..6).map(|_| ledger.take(rows.len(), features)));
            match whole {
                true => per_head(ledger, &within, features, segments, 2),
                false => all.extend(squares(ledger, 2, longest(segments, rows))),
            }
            all
        },
    );
    sums.into_iter().next().unwrap_or_default()
}

/// Tokens of the longest example that begins in `rows`.
fn longest(segments: &Segments, rows: &Range<usize>) -> usize {
    segments.ranges().filter(|example| rows.contains(&example.start)).map(|example| example.len()).max().unwrap_or(0)
}

/// Two linear layers with GELU between: `[rows, outputs]`.
pub(super) fn feed_forward(
    ledger: &Ledger,
    workspace: &Workspace,
    rows: usize,
    width: usize,
    outputs: usize,
) -> Buffer {
    let y = ledger.take(rows, outputs);
    let (ranges, _) = even_ranges(workspace, rows, width);
    in_ranges(ledger, workspace, &ranges, || (), |rows| vec![ledger.take(rows.len(), width)]);
    y
}

/// Gradients of the layers of [`feed_forward`], each of a size in `wanted` where it is; of an input that is formed again
/// where its width is in `scaled`.
pub(super) fn feed_forward_grad(
    ledger: &Ledger,
    workspace: &Workspace,
    rows: usize,
    width: usize,
    wanted: [Option<[usize; 2]>; 2],
    scaled: Option<usize>,
) -> [Option<[Buffer; 2]>; 2] {
    let (ranges, _) = even_ranges(workspace, rows, 2 * width);
    let sums = in_ranges(
        ledger,
        workspace,
        &ranges,
        || sums(ledger, wanted),
        |rows| scaled.into_iter().chain([width; 2]).map(|cols| ledger.take(rows.len(), cols)).collect(),
    );
    sums.into_iter().next().unwrap_or_default()
}

/// Gradients of weights `[out, in]` and biases `[1, out]`.
fn sums<const N: usize>(ledger: &Ledger, sizes: [Option<[usize; 2]>; N]) -> [Option<[Buffer; 2]>; N] {
    sizes.map(|size| size.map(|[outputs, inputs]| [ledger.take(outputs, inputs), ledger.take(1, outputs)]))
}

/// Takes for `ranges` what `body` does, on as many threads as the kernel has, each with something of its own from
/// `start` to the end: all of these.
fn in_ranges<S>(
    ledger: &Ledger,
    workspace: &Workspace,
    ranges: &[Range<usize>],
    start: impl Fn() -> S,
    body: impl Fn(&Range<usize>) -> Vec<Buffer>,
) -> Vec<S> {
    let threads = if ranges.len() < 2 { 1 } else { workspace.threads() };
    let rows = ranges.last().map_or(0, |range| range.end).max(1);
    let of = |thread| ranges.iter().filter(move |range| (range.start + range.end) / 2 * threads / rows == thread);
    let mut own = Vec::new();
    if ledger.at_once(threads) == threads {
        own.extend((0..threads).map(|_| start()));
        let mut left: Vec<_> = (0..threads).map(of).collect();
        loop {
            let held: Vec<_> = left.iter_mut().filter_map(Iterator::next).map(&body).collect();
            if held.is_empty() {
                return own;
            }
        }
    }
    for thread in 0..threads {
        own.push(start());
        of(thread).for_each(|range| drop(body(range)));
    }
    own
}
