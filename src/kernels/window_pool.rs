//! Pooling over windows that slide over images: the highest value or the mean of each channel.

use super::math::vectorized;
use super::parallel::for_rows;
use super::{Grid, Tensor, Window, Workspace, add_assign};

/// Highest value of each channel under each position of the window over `x [images * height * width, channels]`,
/// images of `grid`; what lies outside them is below every value: `[output pixels, channels]`.
///
/// # Panics
/// If `x` has not the pixels of the grid or the window is larger than a padded image.
pub fn max_pool(workspace: &Workspace, x: &Tensor, grid: Grid, window: Window) -> Tensor {
    let pool = Pool::new(grid, window);
    pool.fold(workspace, x, f32::NEG_INFINITY, keep_highest)
}

/// Gradient of the input of [`max_pool`], `x`, from `dy [output pixels, channels]`: the first highest value of
/// each window, by lines, gets it.
///
/// # Panics
/// If the sizes do not agree or the window is larger than a padded image.
pub fn max_pool_grad(workspace: &Workspace, dy: &Tensor, x: &Tensor, grid: Grid, window: Window) -> Tensor {
    let (pool, cols) = (Pool::new(grid, window), x.cols());
    assert_eq!((x.rows(), dy.cols()), (grid.rows(), cols), "pixels of {grid:?} and their channels");
    let best = || (vec![0.0; cols], vec![0_u32; cols]);
    let add = |output: usize, first: usize, dx: &mut [f32], (highest, chosen): &mut (Vec<f32>, Vec<u32>)| {
        let mut rows = pool.under(output).enumerate();
        let Some((_, row)) = rows.next() else { return };
        highest.copy_from_slice(x.row(row));
        chosen.fill(0);
        for (number, row) in rows {
            choose(highest, chosen, x.row(row), number as u32);
        }
        for (number, row) in pool.under(output).enumerate() {
            add_chosen(&mut dx[(row - first) * cols..][..cols], chosen, dy.row(output), number as u32);
        }
    };
    pool.spread(workspace, dy, best, add)
}

/// Mean of each channel under each position of the window over `x [images * height * width, channels]`, images
/// of `grid`: `[output pixels, channels]`.
///
/// # Panics
/// If `x` has not the pixels of the grid, or the window is padded or larger than an image.
pub fn average_pool(workspace: &Workspace, x: &Tensor, grid: Grid, window: Window) -> Tensor {
    let pool = Pool::unpadded(grid, window);
    let mut y = pool.fold(workspace, x, 0.0, add_assign);
    let (cols, share) = (y.cols(), pool.share());
    for_rows(workspace, &mut y, cols, |_, part| scale(part, share));
    y
}

/// Gradient of the input of [`average_pool`], images of `grid`, from `dy [output pixels, channels]`:
/// `[images * height * width, channels]`.
///
/// # Panics
/// If `dy` has not the pixels of the output, or the window is padded or larger than an image.
pub fn average_pool_grad(workspace: &Workspace, dy: &Tensor, grid: Grid, window: Window) -> Tensor {
    let pool = Pool::unpadded(grid, window);
    let (cols, share) = (dy.cols(), pool.share());
    let add = |output: usize, first: usize, dx: &mut [f32], (): &mut ()| {
        for row in pool.under(output) {
            add_share(&mut dx[(row - first) * cols..][..cols], dy.row(output), share);
        }
    };
    pool.spread(workspace, dy, || (), add)
}

/// Whether `value` takes the place of the highest so far; what is not a number always does, so that it is seen.
#[inline(always)]
fn beats(value: f32, highest: f32) -> bool {
    value > highest || value.is_nan()
}

vectorized! {
    fn keep_highest(highest: &mut [f32], row: &[f32]) {
        for (highest, &value) in highest.iter_mut().zip(row) {
            *highest = if beats(value, *highest) { value } else { *highest };
        }
    }
}

vectorized! {
    /// As [`keep_highest`], with the number of the row that has it.
    fn choose(highest: &mut [f32], chosen: &mut [u32], row: &[f32], number: u32) {
        for ((highest, chosen), &value) in highest.iter_mut().zip(chosen).zip(row) {
            let beaten = beats(value, *highest);
            *highest = if beaten { value } else { *highest };
            *chosen = if beaten { number } else { *chosen };
        }
    }
}

vectorized! {
    /// Adds `dy` where the row of this number has been chosen.
    fn add_chosen(dx: &mut [f32], chosen: &[u32], dy: &[f32], number: u32) {
        for ((dx, &chosen), &dy) in dx.iter_mut().zip(chosen).zip(dy) {
            *dx += if chosen == number { dy } else { 0.0 };
        }
    }
}

vectorized! {
    fn add_share(dx: &mut [f32], dy: &[f32], share: f32) {
        for (dx, dy) in dx.iter_mut().zip(dy) {
            *dx += dy * share;
        }
    }
}

vectorized! {
    fn scale(values: &mut [f32], share: f32) {
        for value in values {
            *value *= share;
        }
    }
}

/// A window over images.
#[derive(Clone, Copy)]
struct Pool {
    grid: Grid,
    window: Window,
    output: Grid,
}

impl Pool {
    fn new(grid: Grid, window: Window) -> Self {
        Self { grid, window, output: window.output(grid) }
    }

    fn unpadded(grid: Grid, window: Window) -> Self {
        assert_eq!([window.rows, window.cols], [[0; 2]; 2], "the mean counts no padding");
        Self::new(grid, window)
    }

    fn share(self) -> f32 {
        1.0 / (self.window.size[0] * self.window.size[1]) as f32
    }

    /// The rows of the input under the window that gives row `output`, in order.
    #[inline(always)]
    fn under(self, output: usize) -> impl Iterator<Item = usize> {
        let Self { grid, window, output: Grid { height, width, .. } } = self;
        let (image, top, left) = (output / (height * width), output / width % height, output % width);
        let (top, left) = (top * window.stride, left * window.stride);
        let lines = Window::inside(window.size[0], window.rows[0], top, grid.height);
        let columns = Window::inside(window.size[1], window.cols[0], left, grid.width);
        lines.flat_map(move |line| {
            let line = image * grid.height + top + line - window.rows[0];
            columns.clone().map(move |column| line * grid.width + left + column - window.cols[0])
        })
    }

    /// `merge` of what is under the window, row by row, from `start`.
    fn fold(self, workspace: &Workspace, x: &Tensor, start: f32, merge: fn(&mut [f32], &[f32])) -> Tensor {
        let cols = x.cols();
        assert_eq!(x.rows(), self.grid.rows(), "pixels of {:?}", self.grid);
        let mut y = workspace.tensor(self.output.rows(), cols);
        for_rows(workspace, &mut y, cols, |first, part| {
            for (index, out) in part.chunks_exact_mut(cols).enumerate() {
                out.fill(start);
                self.under(first + index).for_each(|row| merge(out, x.row(row)));
            }
        });
        y
    }

    /// The gradient of the input: calls `add(output, first, dx, scratch)` for each row of the output with the
    /// rows of `dx` from `first` on, those of its image among them.
    fn spread<T>(
        self,
        workspace: &Workspace,
        dy: &Tensor,
        scratch: impl Fn() -> T + Sync,
        add: impl Fn(usize, usize, &mut [f32], &mut T) + Sync,
    ) -> Tensor {
        let cols = dy.cols();
        assert_eq!(dy.rows(), self.output.rows(), "pixels of {:?}", self.output);
        let mut dx = workspace.zeros(self.grid.rows(), cols);
        let (rows, outputs) = (self.grid.height * self.grid.width, self.output.height * self.output.width);
        for_rows(workspace, &mut dx, rows * cols, |image, part| {
            let images = part.len() / (rows * cols);
            let mut scratch = scratch();
            for output in image * outputs..(image + images) * outputs {
                add(output, image * rows, part, &mut scratch);
            }
        });
        dx
    }
}
