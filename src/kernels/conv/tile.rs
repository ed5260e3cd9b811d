//! The tile kernel: a few pixels times a few vectors of channels, summed in registers.

use pulp::{Arch, Simd, WithSimd};

use super::pack::{PANEL, Panels};
use super::strip::Strips;
use crate::kernels::Epilogue;
use crate::kernels::epilogue::Finish;

/// Convolves the `count` lines of output whose padded strip is `padded`: `y [count * width, out]`, which are the
/// rows from `row` on of the whole output.
pub(super) fn convolve(
    padded: &[f32],
    strips: &Strips,
    count: usize,
    panels: &Panels,
    y: &mut [f32],
    row: usize,
    epilogue: Epilogue<'_>,
) {
    Arch::new().dispatch(Convolve { padded, strips, count, panels, y, row, epilogue });
}

struct Convolve<'a> {
    padded: &'a [f32],
    strips: &'a Strips,
    count: usize,
    panels: &'a Panels,
    y: &'a mut [f32],
    row: usize,
    epilogue: Epilogue<'a>,
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The sums of a tile, the weights it takes and one value of the image fill the registers.
        match S::F32_LANES {
            16 => self.tiles::<S, 8, 2>(simd),
            8 => self.tiles::<S, 4, 2>(simd),
            4 => self.tiles::<S, 8, 2>(simd),
            _ => self.tiles::<S, 1, 4>(simd),
        }
    }
}

impl Convolve<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const PIXELS: usize, const VECTORS: usize>(self, simd: S) {
        let Self { padded, strips, count, panels, y, row, epilogue } = self;
        let (outputs, width) = (panels.outputs, strips.out.width);
        let (line, step) = (strips.line(), strips.stride * strips.channels);
        let pixels = count * width;
        let block = S::F32_LANES * VECTORS;
        for (panel, weights) in panels.iter().enumerate() {
            let (weights, _) = S::as_simd_f32s(weights);
            for part in 0..PANEL / block {
                let first = panel * PANEL + part * block;
                if first >= outputs {
                    break;
                }
                let one = outputs - first <= S::F32_LANES && VECTORS > 1;
                for pixel in (0..pixels).step_by(PIXELS) {
                    let starts: [usize; PIXELS] = std::array::from_fn(|p| {
                        let pixel = (pixel + p).min(pixels - 1);
                        pixel / width * strips.stride * line + pixel % width * step
                    });
                    let out = Out { y, first, outputs, pixel, pixels, row };
                    let at = part * VECTORS;
                    if one {
                        let sums = sum::<S, PIXELS, 1>(simd, padded, &starts, line, panels, weights, at);
                        out.store(simd, sums, epilogue);
                    } else {
                        let sums = sum::<S, PIXELS, VECTORS>(simd, padded, &starts, line, panels, weights, at);
                        out.store(simd, sums, epilogue);
                    }
                }
            }
        }
    }
}

/// Sums of products of the windows that start at `starts` with the vectors from `at` on of a panel.
#[inline(always)]
fn sum<S: Simd, const PIXELS: usize, const VECTORS: usize>(
    simd: S,
    padded: &[f32],
    starts: &[usize; PIXELS],
    line: usize,
    panels: &Panels,
    weights: &[S::f32s],
    at: usize,
) -> [[S::f32s; VECTORS]; PIXELS] {
    let per_panel = PANEL / S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; PIXELS];
    for (index, weights) in weights.chunks_exact(panels.run * per_panel).enumerate() {
        let runs: [&[f32]; PIXELS] = std::array::from_fn(|p| &padded[starts[p] + index * line..][..panels.run]);
        for (k, weights) in weights.chunks_exact(per_panel).enumerate().take(panels.run) {
            let weights: [S::f32s; VECTORS] = std::array::from_fn(|v| weights[at + v]);
            for p in 0..PIXELS {
                let x = simd.splat_f32s(runs[p][k]);
                for v in 0..VECTORS {
                    sums[p][v] = simd.mul_add_e_f32s(x, weights[v], sums[p][v]);
                }
            }
        }
    }
    sums
}

/// Where a tile goes.
struct Out<'a> {
    y: &'a mut [f32],
    /// First output channel.
    first: usize,
    outputs: usize,
    /// First pixel of the tile, and all pixels of the strip.
    pixel: usize,
    pixels: usize,
    /// Row of the whole output at which the strip starts.
    row: usize,
}

impl Out<'_> {
    #[inline(always)]
    fn store<S: Simd, const PIXELS: usize, const VECTORS: usize>(
        self,
        simd: S,
        sums: [[S::f32s; VECTORS]; PIXELS],
        epilogue: Epilogue<'_>,
    ) {
        for v in 0..VECTORS {
            let first = self.first + v * S::F32_LANES;
            if first >= self.outputs {
                break;
            }
            let channels = first..self.outputs.min(first + S::F32_LANES);
            let finish = Finish::<S>::new(simd, &epilogue, self.outputs, channels);
            for (p, sums) in sums.iter().enumerate().take(self.pixels - self.pixel) {
                finish.put(simd, self.y, self.pixel + p, self.row, sums[v]);
            }
        }
    }
}
