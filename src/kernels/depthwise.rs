//! Depthwise convolution, each channel with a window of its own, and its gradients.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::epilogue::Finish;
use super::lines::{Line, Ring, Slide, lanes, load};
use super::parallel::{for_rows_with, parts, sum_parts, threads};
use super::{Epilogue, Grid, Tensor, Weight, Window, Workspace};

/// Pixels of an output line that are computed together.
const TILE: usize = 4;

/// Convolution of each channel of `x [images * height * width, channels]`, images of `grid`, with its own
/// window of `weight [channels, 1, lines, columns]`, then the epilogue: `[output pixels, channels]`.
///
/// # Panics
/// If the sizes do not agree or the window is larger than a padded image.
pub fn depthwise(
    workspace: &Workspace,
    x: &Tensor,
    grid: Grid,
    weight: Weight<'_>,
    window: Window,
    epilogue: Epilogue<'_>,
) -> Tensor {
    let slide = Slide::forward(x, grid, window);
    if !workspace.is_dry() {
        epilogue.check(slide.output.rows(), x.cols());
    }
    convolve(workspace, slide, weight, false, epilogue)
}

/// Gradient of the input, images of `grid`, from `dy [output pixels, channels]`:
/// `[images * height * width, channels]`.
///
/// # Panics
/// If the sizes do not agree or the window is larger than a padded image.
pub fn depthwise_input_grad(
    workspace: &Workspace,
    dy: &Tensor,
    grid: Grid,
    weight: Weight<'_>,
    window: Window,
) -> Tensor {
    convolve(workspace, Slide::backward(dy, grid, window), weight, true, Epilogue::default())
}

/// Gradient of the weight from `dy [output pixels, channels]` and the input `x`, images of `grid`:
/// `[channels, lines * columns]`.
///
/// # Panics
/// If the sizes do not agree or the window is larger than a padded image.
pub fn depthwise_weight_grad(workspace: &Workspace, dy: &Tensor, x: &Tensor, grid: Grid, window: Window) -> Tensor {
    let slide = Slide::forward(x, grid, window);
    let (channels, taps) = (x.cols(), window.size[0] * window.size[1]);
    assert_eq!((dy.rows(), dy.cols()), (slide.output.rows(), channels), "gradient of {:?}", slide.output);
    let lines = grid.images * slide.output.height;
    let threads = threads(workspace, dy.elements() * taps, lines);
    let mut blocks: Vec<Blocks> = (0..threads).map(|_| Blocks::new(workspace, &slide)).collect();
    sum_parts(workspace, lines, [channels, taps], &mut blocks, |blocks, lines, sums| {
        Arch::new().dispatch(WeightGrad { blocks, slide, dy, lines, sums });
    })
}

fn convolve(workspace: &Workspace, slide: Slide, weight: Weight<'_>, turned: bool, epilogue: Epilogue) -> Tensor {
    let channels = slide.channels;
    assert_eq!(weight.rows(slide.size[0] * slide.size[1]), channels, "weight of {channels} windows");
    let mut y = workspace.tensor(slide.output.rows(), channels);
    let lines = slide.output.images * slide.output.height;
    let threads = parts(workspace, y.elements(), lines).max(1);
    let mut blocks: Vec<Blocks> = (0..threads).map(|_| Blocks::new(workspace, &slide)).collect();
    for_rows_with(&mut y, slide.output.width * channels, &mut blocks, |blocks, first, out| {
        Arch::new().dispatch(Convolve { blocks, slide, weight, turned, epilogue, first, out });
    });
    y
}

/// What a thread computes in, in blocks of as many channels as a vector register has: the weight or its gradient, and the
/// lines that the window is on.
struct Blocks {
    packed: Tensor,
    ring: Ring,
}

impl Blocks {
    fn new(workspace: &Workspace, slide: &Slide) -> Self {
        let taps = slide.size[0] * slide.size[1];
        let packed = workspace.zeros(taps, slide.channels.next_multiple_of(lanes()));
        Self { packed, ring: Ring::new(workspace, slide) }
    }
}

/// The lines of the output from `first` on.
struct Convolve<'a> {
    blocks: &'a mut Blocks,
    slide: Slide<'a>,
    weight: Weight<'a>,
    /// Whether the last tap of the weight is the first of the window.
    turned: bool,
    epilogue: Epilogue<'a>,
    first: usize,
    out: &'a mut [f32],
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.slide.size[1], self.slide.step) {
            (3, 1) => self.lines(simd, tile::<S, 3, 1, 6>),
            (3, 2) => self.lines(simd, tile::<S, 3, 2, 9>),
            (5, 1) => self.lines(simd, tile::<S, 5, 1, 8>),
            (5, 2) => self.lines(simd, tile::<S, 5, 2, 11>),
            _ => self.lines(simd, any::<S>),
        }
    }
}

/// What the window sees of one block of channels.
#[derive(Clone, Copy)]
struct Under<'a, V> {
    /// The block of each line of the ring from `Line::start` on.
    ring: &'a [V],
    lines: &'a [Line],
    /// The taps of each line of the window.
    weight: &'a [V],
    columns: usize,
    step: usize,
}

/// The outputs of [`TILE`] positions of the window from position `at` on. `REACH` positions are under it.
#[inline(always)]
fn tile<S: Simd, const COLUMNS: usize, const STEP: usize, const REACH: usize>(
    simd: S,
    under: Under<S::f32s>,
    at: usize,
) -> [S::f32s; TILE] {
    let mut sums = [simd.splat_f32s(0.0); TILE];
    for line in under.lines {
        let x = &under.ring[line.start + at..][..REACH];
        let weight = &under.weight[line.number * COLUMNS..][..COLUMNS];
        for (pixel, sum) in sums.iter_mut().enumerate() {
            for (column, &tap) in weight.iter().enumerate() {
                *sum = simd.mul_add_e_f32s(x[pixel * STEP + column], tap, *sum);
            }
        }
    }
    sums
}

/// The output of the window at position `at`.
#[inline(always)]
fn one<S: Simd>(simd: S, under: Under<S::f32s>, at: usize) -> S::f32s {
    let mut sum = simd.splat_f32s(0.0);
    for line in under.lines {
        let x = &under.ring[line.start + at..][..under.columns];
        let weight = &under.weight[line.number * under.columns..][..under.columns];
        for (&x, &tap) in x.iter().zip(weight) {
            sum = simd.mul_add_e_f32s(x, tap, sum);
        }
    }
    sum
}

/// [`tile`] for windows of any width and stride.
#[inline(always)]
fn any<S: Simd>(simd: S, under: Under<S::f32s>, at: usize) -> [S::f32s; TILE] {
    let mut sums = [simd.splat_f32s(0.0); TILE];
    for line in under.lines {
        let x = &under.ring[line.start + at..];
        let weight = &under.weight[line.number * under.columns..][..under.columns];
        for (column, &tap) in weight.iter().enumerate() {
            for (pixel, sum) in sums.iter_mut().enumerate() {
                *sum = simd.mul_add_e_f32s(x[pixel * under.step + column], tap, *sum);
            }
        }
    }
    sums
}

impl Convolve<'_> {
    #[inline(always)]
    fn lines<S: Simd>(self, simd: S, tile: impl Fn(S, Under<S::f32s>, usize) -> [S::f32s; TILE]) {
        let Slide { channels, step, size: [_, columns], .. } = self.slide;
        let (width, lanes) = (self.slide.output.width, S::F32_LANES);
        let taps = columns * self.slide.size[0];
        let Blocks { packed, ring } = self.blocks;
        pack(self.weight, packed, taps, lanes, self.turned);
        let packed = S::as_simd_f32s(packed).0;
        for (line, out) in self.out.chunks_exact_mut(width * channels).enumerate() {
            let row = (self.first + line) * width;
            let (ring, lines) = ring.at(simd, &self.slide, self.first + line);
            for (block, weight) in packed.chunks_exact(taps).enumerate() {
                let span = block * lanes..channels.min((block + 1) * lanes);
                let under = Under { ring: &ring[block * self.slide.width()..], lines, weight, columns, step };
                let finish = Finish::new(simd, &self.epilogue, channels, span);
                if width < TILE {
                    for pixel in 0..width {
                        finish.put(simd, out, pixel, row, one(simd, under, pixel * step));
                    }
                    continue;
                }
                for first in (0..width).step_by(TILE) {
                    let first = first.min(width - TILE);
                    let sums = tile(simd, under, first * step);
                    for (pixel, sum) in sums.into_iter().enumerate() {
                        finish.put(simd, out, first + pixel, row, sum);
                    }
                }
            }
        }
    }
}

/// From `[channels, taps]` to `[blocks of channels, taps, lanes]`.
fn pack(weight: Weight<'_>, packed: &mut [f32], taps: usize, lanes: usize, turned: bool) {
    let mut scratch = vec![0.0; if weight.is_converted() { taps } else { 0 }];
    for channel in 0..weight.rows(taps) {
        let block = &mut packed[channel / lanes * taps * lanes..];
        for (tap, &value) in weight.read(channel * taps..(channel + 1) * taps, &mut scratch).iter().enumerate() {
            let tap = if turned { taps - 1 - tap } else { tap };
            block[tap * lanes + channel % lanes] = value;
        }
    }
}

/// Adds to `sums [channels, taps]` what `lines` of the output contribute.
struct WeightGrad<'a> {
    blocks: &'a mut Blocks,
    slide: Slide<'a>,
    dy: &'a [f32],
    lines: Range<usize>,
    sums: &'a mut [f32],
}

impl WithSimd for WeightGrad<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.slide.size[1], self.slide.step) {
            (3, 1) => self.add(simd, along::<S, 3, 1, 4, 6>),
            (3, 2) => self.add(simd, along::<S, 3, 2, 4, 9>),
            (5, 1) => self.add(simd, along::<S, 5, 1, 2, 6>),
            (5, 2) => self.add(simd, along::<S, 5, 2, 2, 7>),
            _ => self.add(simd, along_any::<S>),
        }
    }
}

impl WeightGrad<'_> {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, along: impl Fn(S, &[S::f32s], Gradient<'_>, &mut [S::f32s])) {
        let Slide { channels, step, size: [rows, columns], .. } = self.slide;
        let (width, lanes, taps) = (self.slide.width(), S::F32_LANES, rows * columns);
        let Blocks { packed, ring } = self.blocks;
        let pixels = self.slide.output.width;
        for line in self.lines {
            let dy = &self.dy[line * pixels * channels..][..pixels * channels];
            let (ring, lines) = ring.at(simd, &self.slide, line);
            let blocks = S::as_mut_simd_f32s(packed).0.chunks_exact_mut(taps);
            for (block, sums) in blocks.enumerate() {
                let (from, to) = (block * lanes, channels.min((block + 1) * lanes));
                for line in lines {
                    let x = &ring[line.start + block * width..][..width];
                    let sums = &mut sums[line.number * columns..][..columns];
                    along(simd, x, Gradient { dy, channels, from, to, step }, sums);
                }
            }
        }
        for (channel, sums) in self.sums.chunks_exact_mut(taps).enumerate() {
            let block = &packed[channel / lanes * taps * lanes..];
            for (tap, sum) in sums.iter_mut().enumerate() {
                *sum += block[tap * lanes + channel % lanes];
            }
        }
    }
}

/// One block of channels of a line of the gradient of the output.
#[derive(Clone, Copy)]
struct Gradient<'a> {
    dy: &'a [f32],
    channels: usize,
    from: usize,
    to: usize,
    /// By which the window moves with each of its pixels.
    step: usize,
}

impl Gradient<'_> {
    fn pixels(self) -> usize {
        self.dy.len() / self.channels
    }

    #[inline(always)]
    fn at<S: Simd>(self, simd: S, pixel: usize) -> S::f32s {
        load(simd, &self.dy[pixel * self.channels + self.from..pixel * self.channels + self.to])
    }
}

/// Adds to the taps `sums` of one line of the window what the line of pixels `x` under it contributes: `TILE`
/// pixels of the output at a time, each with sums of its own, since an addition waits for the one before.
#[inline(always)]
fn along<S: Simd, const COLUMNS: usize, const STEP: usize, const TILE: usize, const REACH: usize>(
    simd: S,
    x: &[S::f32s],
    dy: Gradient<'_>,
    sums: &mut [S::f32s],
) {
    let mut partial = [[simd.splat_f32s(0.0); COLUMNS]; TILE];
    let tiled = dy.pixels() / TILE * TILE;
    for first in (0..tiled).step_by(TILE) {
        let x = &x[first * STEP..][..REACH];
        for (pixel, partial) in partial.iter_mut().enumerate() {
            add_products(simd, &x[pixel * STEP..], dy.at(simd, first + pixel), partial);
        }
    }
    for pixel in tiled..dy.pixels() {
        add_products(simd, &x[pixel * STEP..], dy.at(simd, pixel), &mut partial[0]);
    }
    for partial in partial {
        for (sum, partial) in sums.iter_mut().zip(partial) {
            *sum = simd.add_f32s(*sum, partial);
        }
    }
}

#[inline(always)]
fn add_products<S: Simd, const COLUMNS: usize>(simd: S, x: &[S::f32s], dy: S::f32s, sums: &mut [S::f32s; COLUMNS]) {
    for (sum, &x) in sums.iter_mut().zip(&x[..COLUMNS]) {
        *sum = simd.mul_add_e_f32s(x, dy, *sum);
    }
}

/// [`along`] for windows of any width and stride.
#[inline(always)]
fn along_any<S: Simd>(simd: S, x: &[S::f32s], dy: Gradient<'_>, sums: &mut [S::f32s]) {
    for (column, sum) in sums.iter_mut().enumerate() {
        let mut partial = simd.splat_f32s(0.0);
        for pixel in 0..dy.pixels() {
            partial = simd.mul_add_e_f32s(x[pixel * dy.step + column], dy.at(simd, pixel), partial);
        }
        *sum = simd.add_f32s(*sum, partial);
    }
}
