//! One row for each example: the mean of its rows, the highest of each column, one of them, or one put before them.

use super::math::vectorized;
use super::{Segments, Tensor, Workspace};

/// Mean of the rows of each example after its first `skip`: `[examples, features]`; zeros where there is none.
///
/// # Panics
/// If `x` has not as many rows as the segments.
pub fn mean_rows(workspace: &Workspace, x: &Tensor, segments: &Segments, skip: usize) -> Tensor {
    assert_eq!(x.rows(), segments.rows());
    let cols = x.cols();
    let mut out = workspace.zeros(segments.len(), cols);
    for (mean, range) in out.chunks_exact_mut(cols).zip(segments.ranges()) {
        let start = (range.start + skip).min(range.end);
        add_shares(mean, &x[start * cols..range.end * cols], 1.0 / (range.end - start).max(1) as f32);
    }
    out
}

vectorized! {
    /// Adds `share` of each row.
    fn add_shares(mean: &mut [f32], rows: &[f32], share: f32) {
        for row in rows.chunks_exact(mean.len()) {
            for (mean, value) in mean.iter_mut().zip(row) {
                *mean += value * share;
            }
        }
    }
}

/// Gradient of [`mean_rows`]: each row of an example after its first `skip` gets its share of that example's `dy`.
///
/// # Panics
/// If `dy` has not one row for each example.
pub fn mean_rows_grad(workspace: &Workspace, dy: &Tensor, segments: &Segments, skip: usize) -> Tensor {
    assert_eq!(dy.rows(), segments.len());
    let cols = dy.cols();
    let mut dx = workspace.tensor(segments.rows(), cols);
    if workspace.is_dry() {
        return dx;
    }
    for (index, range) in segments.ranges().enumerate() {
        let start = (range.start + skip).min(range.end);
        let weight = 1.0 / (range.end - start).max(1) as f32;
        dx[range.start * cols..start * cols].fill(0.0);
        for row in dx[start * cols..range.end * cols].chunks_exact_mut(cols) {
            row.iter_mut().zip(dy.row(index)).for_each(|(out, value)| *out = value * weight);
        }
    }
    dx
}

/// Highest value of each column among the rows of each example: `[examples, features]`; what is not a number is higher
/// than all others.
///
/// # Panics
/// If an example has no rows or `x` has not as many rows as the segments.
pub fn max_rows(workspace: &Workspace, x: &Tensor, segments: &Segments) -> Tensor {
    assert_eq!(x.rows(), segments.rows());
    let mut out = workspace.tensor(segments.len(), x.cols());
    for (out, range) in out.chunks_exact_mut(x.cols()).zip(segments.ranges()) {
        assert!(!range.is_empty(), "an example without rows has no highest");
        out.copy_from_slice(x.row(range.start));
        for row in range.skip(1) {
            for (highest, &value) in out.iter_mut().zip(x.row(row)) {
                if is_higher(value, *highest) {
                    *highest = value;
                }
            }
        }
    }
    out
}

/// Gradient of [`max_rows`] at `x`: each column's goes to the first row that has the highest value.
///
/// # Panics
/// If an example has no rows, or the sizes do not agree.
pub fn max_rows_grad(workspace: &Workspace, dy: &Tensor, x: &Tensor, segments: &Segments) -> Tensor {
    assert_eq!((dy.rows(), dy.cols()), (segments.len(), x.cols()));
    assert_eq!(x.rows(), segments.rows());
    let cols = dy.cols();
    let mut dx = workspace.zeros(segments.rows(), cols);
    if workspace.is_dry() {
        return dx;
    }
    for (index, range) in segments.ranges().enumerate() {
        assert!(!range.is_empty(), "an example without rows has no highest");
        for (column, &gradient) in dy.row(index).iter().enumerate() {
            let first = |best: usize, row: usize| match is_higher(x.row(row)[column], x.row(best)[column]) {
                true => row,
                false => best,
            };
            dx[range.clone().fold(range.start, first) * cols + column] = gradient;
        }
    }
    dx
}

fn is_higher(value: f32, than: f32) -> bool {
    value > than || (value.is_nan() && !than.is_nan())
}

/// Row `at` of each example, as of a class token: `[examples, features]`.
///
/// # Panics
/// If an example has no such row or `x` has not as many rows as the segments.
pub fn rows_at(workspace: &Workspace, x: &Tensor, segments: &Segments, at: usize) -> Tensor {
    assert_eq!(x.rows(), segments.rows());
    let mut out = workspace.tensor(segments.len(), x.cols());
    for (out, range) in out.chunks_exact_mut(x.cols()).zip(segments.ranges()) {
        assert!(at < range.len(), "an example of {} rows has no row {at}", range.len());
        out.copy_from_slice(x.row(range.start + at));
    }
    out
}

/// Gradient of [`rows_at`]: zero but in row `at` of each example.
///
/// # Panics
/// If an example has no such row or `dy` has not one row for each example.
pub fn rows_at_grad(workspace: &Workspace, dy: &Tensor, segments: &Segments, at: usize) -> Tensor {
    assert_eq!(dy.rows(), segments.len());
    let cols = dy.cols();
    let mut dx = workspace.zeros(segments.rows(), cols);
    if workspace.is_dry() {
        return dx;
    }
    for (index, range) in segments.ranges().enumerate() {
        assert!(at < range.len(), "an example of {} rows has no row {at}", range.len());
        dx[(range.start + at) * cols..][..cols].copy_from_slice(dy.row(index));
    }
    dx
}

/// Puts `row [features]`, a class token, before the rows of each example: `[rows + examples, features]`.
///
/// # Panics
/// If `x` has not as many rows as the segments.
pub fn prepend_row(workspace: &Workspace, x: &Tensor, row: &[f32], segments: &Segments) -> Tensor {
    assert_eq!(x.rows(), segments.rows());
    let cols = x.cols();
    let mut out = workspace.tensor(x.rows() + segments.len(), cols);
    if workspace.is_dry() {
        return out;
    }
    for (index, range) in segments.ranges().enumerate() {
        let (first, rest) = out[(range.start + index) * cols..][..(range.len() + 1) * cols].split_at_mut(cols);
        first.copy_from_slice(row);
        rest.copy_from_slice(&x[range.start * cols..range.end * cols]);
    }
    out
}

/// Gradients of [`prepend_row`]: that of `x`, and that of the row added to `row_grad [features]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn prepend_row_grad(workspace: &Workspace, dy: &Tensor, segments: &Segments, row_grad: &mut [f32]) -> Tensor {
    assert_eq!(dy.rows(), segments.rows() + segments.len());
    let cols = dy.cols();
    let mut dx = workspace.tensor(segments.rows(), cols);
    if workspace.is_dry() {
        return dx;
    }
    assert_eq!(row_grad.len(), cols);
    for (index, range) in segments.ranges().enumerate() {
        let (first, rest) = dy[(range.start + index) * cols..][..(range.len() + 1) * cols].split_at(cols);
        row_grad.iter_mut().zip(first).for_each(|(sum, value)| *sum += value);
        dx[range.start * cols..range.end * cols].copy_from_slice(rest);
    }
    dx
}
