//! Gradient of a convolution's weight.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::strip::Strips;
use crate::kernels::parallel::threads;
use crate::kernels::{Grid, Tensor, Window, Workspace, add_assign, linear_weight_grad};

/// Gradient of the weight of a convolution of `x [grid.rows(), in]` whose output's gradient is
/// `dy [window.output(grid).rows(), out]`: `[out, in * height * width]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn conv_weight_grad(workspace: &Workspace, dy: &Tensor, x: &Tensor, grid: Grid, window: Window) -> Tensor {
    let (inputs, outputs) = (x.cols(), dy.cols());
    assert_eq!(x.rows(), grid.rows(), "rows of images of {grid:?}");
    assert_eq!(dy.rows(), window.output(grid).rows(), "rows of the output for images of {grid:?}");
    if window.is_pointwise() {
        return linear_weight_grad(workspace, dy, x);
    }
    let strips = Strips::of_input(grid, inputs, window);
    let depth = window.size[0] * window.size[1] * inputs;
    let images = grid.images;
    let threads = threads(workspace, dy.elements() * depth, images.max(1));
    let lines = strips.lines(1);
    // Summed as `[height * width * in, out]`, by each thread over images of its own.
    let own = || (workspace.zeros(depth, outputs), workspace.tensor(1, strips.padded_len(lines)));
    let mut own: Vec<(Tensor, Tensor)> = (0..threads).map(|_| own()).collect();
    let mut out = workspace.zeros(outputs, depth);
    if workspace.is_dry() {
        return out;
    }
    let each = images.div_ceil(threads).max(1);
    let sum = |(part, (sums, padded)): (usize, &mut (Tensor, Tensor))| {
        for image in part * each..images.min((part + 1) * each) {
            for first in (0..strips.out.height).step_by(lines) {
                let count = lines.min(strips.out.height - first);
                strips.fill(padded, x, image, first, count);
                let row = (image * strips.out.height + first) * strips.out.width;
                let dy = &dy[row * outputs..][..count * strips.out.width * outputs];
                Arch::new().dispatch(Accumulate { padded, strips: &strips, dy, outputs, sums });
            }
        }
    };
    match threads {
        1 => own.iter_mut().enumerate().for_each(sum),
        _ => own.par_iter_mut().enumerate().for_each(sum),
    }
    let (mut sums, _) = own.remove(0);
    own.iter().for_each(|(part, _)| add_assign(&mut sums, part));
    let taps = window.size[0] * window.size[1];
    for (index, row) in sums.chunks_exact(outputs.max(1)).enumerate() {
        let (tap, input) = (index / inputs, index % inputs);
        for (output, &value) in row.iter().enumerate() {
            out[output * depth + input * taps + tap] = value;
        }
    }
    out
}

/// Adds what a strip contributes to `sums [height * width * in, out]`.
struct Accumulate<'a> {
    padded: &'a [f32],
    strips: &'a Strips,
    /// `[lines * width, out]`.
    dy: &'a [f32],
    outputs: usize,
    sums: &'a mut [f32],
}

impl WithSimd for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            8 => self.tiles::<S, 4, 2>(simd),
            _ => self.tiles::<S, 8, 2>(simd),
        }
    }
}

impl Accumulate<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const VALUES: usize, const VECTORS: usize>(mut self, simd: S) {
        let run = self.strips.size[1] * self.strips.channels;
        for line in 0..self.strips.size[0] {
            for at in (0..run).step_by(VALUES) {
                for first in (0..self.outputs).step_by(VECTORS * S::F32_LANES) {
                    let tile = Tile { line, at, count: VALUES.min(run - at), first };
                    match (self.outputs - first).div_ceil(S::F32_LANES) {
                        1 if VALUES.min(run - at) == VALUES => self.tile::<S, VALUES, 1>(simd, tile),
                        _ if VALUES.min(run - at) == VALUES => self.tile::<S, VALUES, VECTORS>(simd, tile),
                        _ => (0..tile.count).for_each(|value| {
                            self.tile::<S, 1, VECTORS>(simd, Tile { at: at + value, count: 1, ..tile });
                        }),
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const VALUES: usize, const VECTORS: usize>(&mut self, simd: S, tile: Tile) {
        let (strips, outputs) = (self.strips, self.outputs);
        let (line, step) = (strips.line(), strips.stride * strips.channels);
        let whole = tile.first + VECTORS * S::F32_LANES <= outputs;
        let channels = |v: usize| {
            let first = (tile.first + v * S::F32_LANES).min(outputs);
            first..outputs.min(first + S::F32_LANES)
        };
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; VALUES];
        for (index, dy) in self.dy.chunks_exact(strips.out.width * outputs).enumerate() {
            let x = &self.padded[(index * strips.stride + tile.line) * line + tile.at..];
            for (pixel, dy) in dy.chunks_exact(outputs).enumerate() {
                let x = &x[pixel * step..][..VALUES];
                let dy: [S::f32s; VECTORS] = if whole {
                    let (vectors, _) = S::as_simd_f32s(&dy[tile.first..][..VECTORS * S::F32_LANES]);
                    std::array::from_fn(|v| vectors[v])
                } else {
                    std::array::from_fn(|v| simd.partial_load_f32s(&dy[channels(v)]))
                };
                for value in 0..VALUES {
                    let x = simd.splat_f32s(x[value]);
                    for v in 0..VECTORS {
                        sums[value][v] = simd.mul_add_e_f32s(x, dy[v], sums[value][v]);
                    }
                }
            }
        }
        let row = tile.line * strips.size[1] * strips.channels + tile.at;
        for (value, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let channels = channels(v);
                let at = (row + value) * outputs;
                let out = &mut self.sums[at + channels.start..at + channels.end];
                let sum = simd.add_f32s(sum, simd.partial_load_f32s(out));
                simd.partial_store_f32s(out, sum);
            }
        }
    }
}

/// Some values of a line of the window, and some output channels.
#[derive(Clone, Copy)]
struct Tile {
    line: usize,
    /// First value, and how many.
    at: usize,
    count: usize,
    /// First output channel.
    first: usize,
}
