//! What each kernel takes from the pool, in the order in which it does: its result and what it needs beside.

use super::ledger::{Buffer, Ledger};
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
    let _context = ledger.take(q.rows, q.cols);
    per_example(ledger, workspace, q.cols, segments, 1);
    ledger.take(q.rows, q.cols)
}

pub(super) fn attention_grad(ledger: &Ledger, workspace: &Workspace, dy: &Buffer, segments: &Segments) -> [Buffer; 3] {
    let grads = [(); 3].map(|()| ledger.take(dy.rows, dy.cols));
    per_example(ledger, workspace, dy.cols, segments, 2);
    grads.map(|_grad| ledger.take(dy.rows, dy.cols))
}

/// Matrices `[tokens, tokens]` of one head after another, on as many threads as rayon has.
fn per_example(ledger: &Ledger, workspace: &Workspace, features: usize, segments: &Segments, matrices: usize) {
    let products = segments.ranges().map(|rows| 2 * rows.len() * rows.len() * features).sum();
    let threads = if workspace.splits(products) { rayon::current_num_threads() } else { 1 };
    let mut last = 0;
    for rows in segments.ranges().filter(|rows| !rows.is_empty()) {
        // One after another of a length take the same buffers.
        if rows.len() != last {
            let _held: Vec<Buffer> =
                (0..ledger.at_once(threads) * matrices).map(|_| ledger.take(rows.len(), rows.len())).collect();
            last = rows.len();
        }
    }
}
