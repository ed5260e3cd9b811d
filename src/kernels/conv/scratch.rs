//! What a convolution takes from the pool beside its result.

use super::pack::packed_len;
use super::strip::Strips;
use crate::kernels::{Grid, Scratch, Window, Workspace};

/// What [`conv`](super::conv) of images of `grid` takes, with `channels` in and out.
pub fn conv_scratch(workspace: &Workspace, grid: Grid, channels: [usize; 2], window: Window) -> Scratch {
    match window.is_pointwise() {
        true => Scratch::default(),
        false => run_scratch(workspace, &Strips::of_input(grid, channels[0], window), channels[1]),
    }
}

/// What [`conv_input_grad`](super::conv_input_grad) takes, with `channels` in and out of the convolution.
pub fn conv_input_grad_scratch(workspace: &Workspace, grid: Grid, channels: [usize; 2], window: Window) -> Scratch {
    match window.is_pointwise() {
        true => Scratch::default(),
        false => run_scratch(workspace, &Strips::of_output_grad(grid, channels[1], window), channels[0]),
    }
}

/// What [`conv_weight_grad`](super::conv_weight_grad) takes, with `channels` in and out of the convolution.
pub fn conv_weight_grad_scratch(workspace: &Workspace, grid: Grid, channels: [usize; 2], window: Window) -> Scratch {
    if window.is_pointwise() {
        return Scratch::default();
    }
    let (strips, [inputs, outputs]) = (Strips::of_input(grid, channels[0], window), channels);
    let depth = window.size[0] * window.size[1] * inputs;
    let splits = workspace.splits(strips.out.rows() * outputs * depth);
    let threads = if splits { workspace.threads().min(grid.images.max(1)) } else { 1 };
    Scratch { once: 0, each: vec![depth * outputs, strips.padded_len(strips.lines(1))], threads }
}

fn run_scratch(workspace: &Workspace, strips: &Strips, outputs: usize) -> Scratch {
    let depth = strips.size[0] * strips.size[1] * strips.channels;
    let threads = if workspace.splits(strips.out.rows() * outputs * depth) { workspace.threads() } else { 1 };
    let padded = strips.padded_len(strips.lines(threads));
    Scratch { once: packed_len(outputs, depth), each: vec![padded], threads }
}
