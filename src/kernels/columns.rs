//! Columns put side by side and taken apart, and the shortcut of a residual block without weights.

use std::ops::Range;

use super::parallel::for_rows;
use super::{Grid, Tensor, Workspace};

/// The columns of all `parts`, which have the same rows, side by side: `[rows, sum of the columns]`.
///
/// # Panics
/// If there is no part or they differ in rows.
pub fn concat_columns(workspace: &Workspace, parts: &[&Tensor]) -> Tensor {
    let rows = parts[0].rows();
    assert!(parts.iter().all(|part| part.rows() == rows), "parts side by side have the same rows");
    let cols = parts.iter().map(|part| part.cols()).sum();
    let mut out = workspace.tensor(rows, cols);
    for_rows(workspace, &mut out, cols, |first, rows| {
        for (index, mut row) in rows.chunks_exact_mut(cols).enumerate() {
            for part in parts {
                let (values, rest) = row.split_at_mut(part.cols());
                values.copy_from_slice(part.row(first + index));
                row = rest;
            }
        }
    });
    out
}

/// A copy of the columns `range` of `x`: `[rows, columns of the range]`.
///
/// # Panics
/// If `x` has not these columns.
pub fn columns(workspace: &Workspace, x: &Tensor, range: Range<usize>) -> Tensor {
    assert!(range.start <= range.end && range.end <= x.cols(), "columns {range:?} of {}", x.cols());
    let cols = range.len();
    let mut out = workspace.tensor(x.rows(), cols);
    for_rows(workspace, &mut out, cols, |first, rows| {
        for (index, row) in rows.chunks_exact_mut(cols).enumerate() {
            row.copy_from_slice(&x.row(first + index)[range.clone()]);
        }
    });
    out
}

/// Adds `part [rows, columns]` to the columns of `into [rows, cols]` from `first` on.
///
/// # Panics
/// If they differ in rows or `into` has not these columns.
pub fn add_columns(into: &mut Tensor, part: &Tensor, first: usize) {
    let (cols, added) = (into.cols(), part.cols());
    assert_eq!(into.rows(), part.rows());
    assert!(first + added <= cols, "columns {first}..{} of {cols}", first + added);
    if added == 0 {
        return;
    }
    for (row, part) in into.chunks_exact_mut(cols).zip(part.chunks_exact(added)) {
        row[first..first + added].iter_mut().zip(part).for_each(|(value, add)| *value += add);
    }
}

/// Every `stride`-th pixel of every `stride`-th line of `x [images * height * width, channels]`, images of
/// `grid`, with `before` and `after` channels of zeros around its own: `[⌈height / stride⌉ * ⌈width / stride⌉
/// of each image, before + channels + after]`.
///
/// # Panics
/// If `x` has not the pixels of the grid or the stride is zero.
pub fn subsample_pad(
    workspace: &Workspace,
    x: &Tensor,
    grid: Grid,
    stride: usize,
    before: usize,
    after: usize,
) -> Tensor {
    assert_eq!(x.rows(), grid.rows(), "pixels of {grid:?}");
    let (output, channels) = (subsampled(grid, stride), x.cols());
    let cols = before + channels + after;
    let mut y = workspace.tensor(output.rows(), cols);
    for_rows(workspace, &mut y, cols, |first, rows| {
        for (index, row) in rows.chunks_exact_mut(cols).enumerate() {
            row[..before].fill(0.0);
            row[before..before + channels].copy_from_slice(x.row(taken(first + index, grid, output, stride)));
            row[before + channels..].fill(0.0);
        }
    });
    y
}

/// Gradient of the input of [`subsample_pad`] with `channels` columns, images of `grid`, from
/// `dy [output pixels, before + channels + after]`: `[images * height * width, channels]`.
///
/// # Panics
/// If `dy` has not the pixels of the output or these columns, or the stride is zero.
pub fn subsample_pad_grad(
    workspace: &Workspace,
    dy: &Tensor,
    grid: Grid,
    stride: usize,
    before: usize,
    channels: usize,
) -> Tensor {
    let output = subsampled(grid, stride);
    assert_eq!(dy.rows(), output.rows(), "pixels of {output:?}");
    assert!(before + channels <= dy.cols(), "columns {before}..{} of {}", before + channels, dy.cols());
    let mut dx = workspace.zeros(grid.rows(), channels);
    if workspace.is_dry() {
        return dx;
    }
    for index in 0..output.rows() {
        let row = taken(index, grid, output, stride);
        dx[row * channels..][..channels].copy_from_slice(&dy.row(index)[before..before + channels]);
    }
    dx
}

fn subsampled(grid: Grid, stride: usize) -> Grid {
    Grid { images: grid.images, height: grid.height.div_ceil(stride), width: grid.width.div_ceil(stride) }
}

/// The row of the images of `grid` that row `index` of the output is.
fn taken(index: usize, grid: Grid, output: Grid, stride: usize) -> usize {
    let (line, column) = (index / output.width, index % output.width);
    let (image, line) = (line / output.height, line % output.height);
    (image * grid.height + line * stride) * grid.width + column * stride
}
