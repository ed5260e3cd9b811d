//! Splitting rows over threads.

use std::ops::Range;

use rayon::prelude::*;

use super::{Tensor, Workspace, add_assign};

/// Values under which a second thread costs more than it gains.
const SMALL: usize = 16 * 1024;

/// Calls `body(first_row, rows)` on parts of `values` that together are all of it, each a whole number
/// of rows of `cols` values, on as many threads as pay off.
pub(super) fn for_rows<T: Send>(
    workspace: &Workspace,
    values: &mut [T],
    cols: usize,
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    if values.is_empty() {
        return;
    }
    let rows = values.len() / cols;
    let parts = parts(workspace, values.len(), rows);
    if parts <= 1 {
        return body(0, values);
    }
    let rows_each = rows.div_ceil(parts);
    values.par_chunks_mut(rows_each * cols).enumerate().for_each(|(part, values)| body(part * rows_each, values));
}

/// Parts that pay off for `length` values in `rows`.
pub(super) fn parts(workspace: &Workspace, length: usize, rows: usize) -> usize {
    workspace.threads().min(length / SMALL).min(rows)
}

/// What `body(range, sums)` adds to `sums [rows, cols]` for ranges that together are `0..count`: each thread
/// that pays off for `products` multiplications sums one, and the sums are added in order.
pub(super) fn sum_parts(
    workspace: &Workspace,
    count: usize,
    products: usize,
    [rows, cols]: [usize; 2],
    body: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Tensor {
    let mut sums = workspace.zeros(rows, cols);
    let parts = if workspace.splits(products) { workspace.threads().min(count) } else { 1 };
    if parts <= 1 {
        body(0..count, &mut sums);
        return sums;
    }
    let each = count.div_ceil(parts);
    let mut partial = workspace.zeros(parts, rows * cols);
    partial.par_chunks_mut(rows * cols).enumerate().for_each(|(part, sums)| {
        body((part * each).min(count)..((part + 1) * each).min(count), sums);
    });
    partial.chunks_exact(rows * cols).for_each(|part| add_assign(&mut sums, part));
    sums
}
