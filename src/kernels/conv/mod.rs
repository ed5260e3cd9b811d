//! Convolution of images with dense weights, and its gradients, by one kernel and without a column matrix.
//!
//! With channels last, the part of a window that lies on one line of pixels is contiguous: `columns * channels`
//! values. So a strip of lines is copied with its zeros around it, and each output pixel is a sum over a few
//! contiguous runs; see [`tile`]. The gradient of the input is a convolution of the output's gradient, spread by
//! the stride, with the weights turned around.

mod pack;
mod strip;
mod tile;
mod weight_grad;

use super::linear::{Linear, Tile};
use super::parallel::{in_turn, threads};
use super::{Epilogue, Grid, Tensor, Weight, Window, Workspace, few_rows, linear_input_grad};
use pack::Panels;
use strip::Strips;

pub use weight_grad::conv_weight_grad;

/// Convolution of `x [grid.rows(), in]` with `weight [out, in, height, width]` of the window's size, and what
/// follows it: `[window.output(grid).rows(), out]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn conv(
    workspace: &Workspace,
    x: &Tensor,
    grid: Grid,
    weight: Weight<'_>,
    window: Window,
    epilogue: Epilogue<'_>,
) -> Tensor {
    let inputs = x.cols();
    assert_eq!(x.rows(), grid.rows(), "rows of images of {grid:?}");
    let outputs = weight.rows(inputs * window.size[0] * window.size[1]);
    if !workspace.is_dry() {
        epilogue.check(window.output(grid).rows(), outputs);
    }
    if window.is_pointwise() {
        return pointwise(workspace, x, weight, outputs, epilogue);
    }
    let strips = Strips::of_input(grid, inputs, window);
    let panels = Panels::forward(workspace, weight, [outputs, inputs], window.size);
    run(workspace, x, &strips, &panels, epilogue)
}

/// Gradient of the input of a convolution of images of `grid`: `dy [window.output(grid).rows(), out]` to
/// `[grid.rows(), in]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn conv_input_grad(workspace: &Workspace, dy: &Tensor, grid: Grid, weight: Weight<'_>, window: Window) -> Tensor {
    let outputs = dy.cols();
    assert_eq!(dy.rows(), window.output(grid).rows(), "rows of the output for images of {grid:?}");
    if window.is_pointwise() {
        return linear_input_grad(workspace, dy, weight);
    }
    let inputs = weight.rows(outputs * window.size[0] * window.size[1]);
    let strips = Strips::of_output_grad(grid, outputs, window);
    let panels = Panels::turned(workspace, weight, [outputs, inputs], window.size);
    run(workspace, dy, &strips, &panels, Epilogue::default())
}

/// A convolution that looks at one pixel: a matrix product, in parts whose output is still in cache when the
/// epilogue goes over it.
fn pointwise(workspace: &Workspace, x: &Tensor, weight: Weight<'_>, outputs: usize, epilogue: Epilogue<'_>) -> Tensor {
    /// Values of input and output of a part.
    const PART: usize = 128 * 1024;
    let (rows, inputs) = (x.rows(), x.cols());
    let mut y = workspace.tensor(rows, outputs);
    let layer = Linear { weight, bias: None };
    if few_rows::are_few(rows) {
        let mut tile = Tile::new(workspace, rows, inputs, [layer], false);
        if !y.is_empty() {
            layer.forward_into(workspace, x, inputs, &mut y, &mut tile);
            epilogue.apply(&mut y, 0, outputs);
        }
        return y;
    }
    let (threads, within) = (threads(workspace, rows * outputs * inputs, usize::MAX), workspace.with_one_thread());
    let mut part = (PART / (inputs + outputs)).next_multiple_of(96).min(rows.div_ceil(threads)).max(1);
    if weight.is_converted() {
        // Which is done for each part.
        part = rows.div_ceil(threads);
    }
    let mut tiles: Vec<Tile> = (0..threads).map(|_| Tile::new(&within, part, inputs, [layer], false)).collect();
    if y.is_empty() {
        return y;
    }
    in_turn(&mut tiles, y.chunks_mut(part * outputs).enumerate().collect(), |tile, (index, y)| {
        let (first, count) = (index * part, y.len() / outputs);
        layer.forward_into(&within, &x[first * inputs..][..count * inputs], inputs, y, tile);
        epilogue.apply(y, first, outputs);
    });
    y
}

/// Convolves `x` strip by strip.
fn run(workspace: &Workspace, x: &Tensor, strips: &Strips, panels: &Panels, epilogue: Epilogue<'_>) -> Tensor {
    let outputs = panels.outputs;
    let mut y = workspace.tensor(strips.out.rows(), outputs);
    let threads = threads(workspace, y.elements() * panels.depth(), usize::MAX);
    let lines = strips.lines(threads);
    let mut padded: Vec<Tensor> = (0..threads).map(|_| workspace.tensor(1, strips.padded_len(lines))).collect();
    if y.is_empty() {
        return y;
    }
    // A strip does not reach from one image into the next.
    let strip = lines * strips.out.width * outputs;
    let images = y.chunks_mut(strips.out.height * strips.out.width * outputs);
    let jobs = images
        .enumerate()
        .flat_map(|(image, y)| y.chunks_mut(strip).enumerate().map(move |(index, y)| (image, index * lines, y)));
    in_turn(&mut padded, jobs.collect(), |padded, (image, first, y)| {
        let count = y.len() / (strips.out.width * outputs);
        strips.fill(padded, x, image, first, count);
        let row = (image * strips.out.height + first) * strips.out.width;
        tile::convolve(padded, strips, count, panels, y, row, epilogue);
    });
    y
}
