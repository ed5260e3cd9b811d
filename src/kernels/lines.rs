//! Lines of images cut into blocks of channels, as vector registers hold them, for windows that slide along.

use pulp::Simd;

use super::{Grid, Tensor, Window, Workspace};

/// Where the pixels of an image come to lie, in one direction, under a window that slides over it: pixel `i`
/// at position `i * spread + lead`, and zeros at every other position.
#[derive(Clone, Copy)]
struct Axis {
    length: usize,
    spread: usize,
    lead: isize,
}

impl Axis {
    fn position(self, pixel: usize) -> Option<usize> {
        usize::try_from((pixel * self.spread) as isize + self.lead).ok()
    }

    fn pixel(self, position: usize) -> Option<usize> {
        let offset = usize::try_from(position as isize - self.lead).ok()?;
        let pixel = offset / self.spread;
        (offset.is_multiple_of(self.spread) && pixel < self.length).then_some(pixel)
    }
}

/// Images `[rows, channels]` with a window that slides over them in steps of `step`.
#[derive(Clone, Copy)]
pub(super) struct Slide<'a> {
    values: &'a [f32],
    pub channels: usize,
    images: Grid,
    rows: Axis,
    cols: Axis,
    /// Lines and columns of the window.
    pub size: [usize; 2],
    pub step: usize,
    /// The positions of the window.
    pub output: Grid,
}

/// A line of the images in a [`Ring`]: where it starts, and the number of the window's line that is on it.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub start: usize,
    pub number: usize,
}

impl<'a> Slide<'a> {
    /// `window` over `x`, images of `grid`.
    pub fn forward(x: &'a Tensor, grid: Grid, window: Window) -> Self {
        assert_eq!(x.rows(), grid.rows(), "pixels of {grid:?}");
        let axis = |length, pad: [usize; 2]| Axis { length, spread: 1, lead: pad[0] as isize };
        let (rows, cols) = (axis(grid.height, window.rows), axis(grid.width, window.cols));
        let (size, step, output) = (window.size, window.stride, window.output(grid));
        Self { values: x, channels: x.cols(), images: grid, rows, cols, size, step, output }
    }

    /// The window turned around over `dy`, so that it meets for each pixel of `grid` the outputs that pixel
    /// had a part in, each at the tap it had it by.
    pub fn backward(dy: &'a Tensor, grid: Grid, window: Window) -> Self {
        let images = window.output(grid);
        assert_eq!(dy.rows(), images.rows(), "pixels of {images:?}");
        let axis = |length, size: usize, pad: [usize; 2]| {
            let lead = size as isize - 1 - pad[0] as isize;
            Axis { length, spread: window.stride, lead }
        };
        let rows = axis(images.height, window.size[0], window.rows);
        let cols = axis(images.width, window.size[1], window.cols);
        Self { values: dy, channels: dy.cols(), images, rows, cols, size: window.size, step: 1, output: grid }
    }

    /// Positions of a line that the window reaches.
    pub fn width(&self) -> usize {
        self.output.width.saturating_sub(1) * self.step + self.size[1]
    }

    /// Vector registers that hold the channels of a pixel.
    #[inline(always)]
    pub fn blocks<S: Simd>(&self) -> usize {
        self.channels.div_ceil(S::F32_LANES)
    }
}

/// The lines that a window is on, by block of channels, then position: a window that moves down by a line
/// finds all but one there already.
pub(super) struct Ring {
    buffer: Tensor,
    /// Which line of all images each slot holds.
    held: Vec<Option<usize>>,
    lines: Vec<Line>,
}

impl Ring {
    pub fn new(workspace: &Workspace, slide: &Slide) -> Self {
        let slots = slide.size[0];
        let slot = slide.channels.next_multiple_of(lanes()) * slide.width();
        Self { buffer: workspace.zeros(slots, slot), held: vec![None; slots], lines: Vec::with_capacity(slots) }
    }

    /// Takes in the lines that the window is on when it gives line `output` of all outputs: the vectors, of
    /// which `width` are of one block of a line, and the lines that are inside the image.
    #[inline(always)]
    pub fn at<S: Simd>(&mut self, simd: S, slide: &Slide, output: usize) -> (&[S::f32s], &[Line]) {
        let (image, top) = (output / slide.output.height, output % slide.output.height * slide.step);
        let (slots, slot) = (self.held.len(), slide.blocks::<S>() * slide.width());
        let vectors = S::as_mut_simd_f32s(&mut self.buffer).0;
        self.lines.clear();
        for number in 0..slots {
            let Some(line) = slide.rows.pixel(top + number) else { continue };
            let (held, start) = (&mut self.held[line % slots], line % slots * slot);
            let line = image * slide.images.height + line;
            if *held != Some(line) {
                *held = Some(line);
                take_in(simd, slide, line, &mut vectors[start..start + slot]);
            }
            self.lines.push(Line { start, number });
        }
        (vectors, &self.lines)
    }
}

/// Copies a line of pixels. What lies between and beside them is zero from the start and stays so.
#[inline(always)]
fn take_in<S: Simd>(simd: S, slide: &Slide, line: usize, slot: &mut [S::f32s]) {
    let (length, channels, width) = (slide.images.width, slide.channels, slide.width());
    let pixels = slide.values[line * length * channels..][..length * channels].chunks_exact(channels);
    for (pixel, values) in pixels.enumerate() {
        let Some(position) = slide.cols.position(pixel).filter(|&position| position < width) else { continue };
        let (whole, rest) = S::as_simd_f32s(values);
        let mut blocks = slot[position..].iter_mut().step_by(width);
        blocks.by_ref().zip(whole).for_each(|(block, values)| *block = *values);
        if let (Some(block), false) = (blocks.next(), rest.is_empty()) {
            *block = simd.partial_load_f32s(rest);
        }
    }
}

/// Channels of a block: those of a vector register of this machine.
pub(super) fn lanes() -> usize {
    struct Lanes;
    impl pulp::WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    pulp::Arch::new().dispatch(Lanes)
}

/// The values of one pixel in one block of channels: fewer than a register holds in the last block.
#[inline(always)]
pub(super) fn load<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    match S::as_simd_f32s(values) {
        ([whole], []) => *whole,
        _ => simd.partial_load_f32s(values),
    }
}

/// Writes what [`load`] reads.
#[inline(always)]
pub(super) fn store<S: Simd>(simd: S, values: &mut [f32], vector: S::f32s) {
    if values.len() == S::F32_LANES {
        S::as_mut_simd_f32s(values).0[0] = vector;
    } else {
        simd.partial_store_f32s(values, vector);
    }
}
