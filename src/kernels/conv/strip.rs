//! Strips of lines of an image with the zeros around them.

use crate::kernels::{Grid, Tensor, Window};

/// How lines of images are laid out for a convolution that needs no look at the edges.
pub(super) struct Strips {
    /// The images that are read.
    grid: Grid,
    /// Their channels.
    pub(super) channels: usize,
    /// The images that are written.
    pub(super) out: Grid,
    /// Lines and columns of the window.
    pub(super) size: [usize; 2],
    /// Pixels the window moves by.
    pub(super) stride: usize,
    /// Padded pixels of a line.
    pub(super) width: usize,
    /// Zero lines above and columns on the left; fewer than none where the window starts inside.
    before: [isize; 2],
    /// Distance of neighbouring pixels that are read, with zeros between them.
    spread: usize,
}

impl Strips {
    /// For a convolution of `grid`.
    pub(super) fn of_input(grid: Grid, channels: usize, window: Window) -> Self {
        let out = window.output(grid);
        let width = (out.width.max(1) - 1) * window.stride + window.size[1];
        let before = [window.rows[0] as isize, window.cols[0] as isize];
        Self { grid, channels, out, size: window.size, stride: window.stride, width, before, spread: 1 }
    }

    /// For the gradient of the input of a convolution of `grid`: what is read is the output's gradient.
    pub(super) fn of_output_grad(grid: Grid, channels: usize, window: Window) -> Self {
        let before = |size: usize, pad: usize| size as isize - 1 - pad as isize;
        Self {
            grid: window.output(grid),
            channels,
            out: grid,
            size: window.size,
            stride: 1,
            width: grid.width + window.size[1] - 1,
            before: [before(window.size[0], window.rows[0]), before(window.size[1], window.cols[0])],
            spread: window.stride,
        }
    }

    /// Values of one padded line.
    pub(super) fn line(&self) -> usize {
        self.width * self.channels
    }

    /// Values of a padded strip of `lines` lines of output.
    pub(super) fn padded_len(&self, lines: usize) -> usize {
        ((lines.max(1) - 1) * self.stride + self.size[0]) * self.line()
    }

    /// Lines of output in a strip: as many as stay in the second cache with what is read for them, and no
    /// more than leaves each thread a strip.
    pub(super) fn lines(&self, threads: usize) -> usize {
        const CACHED: usize = 96 * 1024;
        let fair = (self.out.height * self.out.images).div_ceil(threads).max(1);
        (CACHED / (self.stride * self.line()).max(1)).clamp(1, self.out.height.max(1)).min(fair)
    }

    /// Fills `padded` with what `count` lines of output from `first` on read of image `image` of `x`.
    pub(super) fn fill(&self, padded: &mut Tensor, x: &Tensor, image: usize, first: usize, count: usize) {
        let (line, channels) = (self.line(), self.channels);
        let length = self.padded_len(count);
        // Pixel `p` of the images that are read stands at `p * spread + before`.
        let columns = Inside::new(self.grid.width, self.spread, self.before[1], self.width);
        for (index, out) in padded[..length].chunks_exact_mut(line).enumerate() {
            let at = (first * self.stride + index) as isize - self.before[0];
            let y = at / self.spread as isize;
            if at < 0 || at % self.spread as isize != 0 || y as usize >= self.grid.height {
                out.fill(0.0);
                continue;
            }
            let start = (image * self.grid.height + y as usize) * self.grid.width + columns.from;
            let source = &x[start * channels..][..columns.count * channels];
            if self.spread == 1 {
                let (left, rest) = out.split_at_mut(columns.at * channels);
                let (middle, right) = rest.split_at_mut(source.len());
                left.fill(0.0);
                middle.copy_from_slice(source);
                right.fill(0.0);
            } else {
                out.fill(0.0);
                let places = out[columns.at * channels..].chunks_mut(self.spread * channels);
                for (place, pixel) in places.zip(source.chunks_exact(channels)) {
                    place[..channels].copy_from_slice(pixel);
                }
            }
        }
    }
}

/// The pixels of a line that fall into the padded line.
struct Inside {
    /// The first of them.
    from: usize,
    /// How many.
    count: usize,
    /// Where the first stands.
    at: usize,
}

impl Inside {
    fn new(length: usize, spread: usize, before: isize, width: usize) -> Self {
        let from = if before < 0 { before.unsigned_abs().div_ceil(spread) } else { 0 };
        let at = ((from * spread) as isize + before) as usize;
        let count = length.saturating_sub(from).min(width.saturating_sub(at).div_ceil(spread));
        let (at, from) = if count == 0 { (0, 0) } else { (at, from) };
        Self { from, count, at }
    }
}
