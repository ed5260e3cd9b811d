//! Batch normalization over the rows of each column, and its gradient where the statistics are those of the batch.

use rayon::prelude::*;

use super::math::vectorized;
use super::parallel::for_rows;
use super::{Epilogue, Tensor, Workspace};

/// Values summed one after another in f32 before the sum goes on in f64: a block stays in the cache while it
/// is read twice.
const BLOCK: usize = 8 * 1024;

/// Rows of a block of `cols` columns.
pub(super) fn block_rows(cols: usize) -> usize {
    (BLOCK / cols).clamp(16, 256)
}

/// Batch normalization of so many channels by frozen statistics as x · factor + addend: both `[1, channels]`.
///
/// # Panics
/// If the slices differ in length.
pub fn batch_norm_fold(
    workspace: &Workspace,
    channels: usize,
    scale: &[f32],
    bias: &[f32],
    mean: &[f32],
    variance: &[f32],
    eps: f32,
) -> (Tensor, Tensor) {
    let (mut factor, mut addend) = (workspace.tensor(1, channels), workspace.tensor(1, channels));
    if workspace.is_dry() {
        return (factor, addend);
    }
    let fits = [scale, bias, mean, variance].iter().all(|values| values.len() == channels);
    assert!(fits, "a norm of {channels} channels");
    for channel in 0..channels {
        factor[channel] = scale[channel] / (variance[channel] + eps).sqrt();
        addend[channel] = bias[channel] - mean[channel] * factor[channel];
    }
    (factor, addend)
}

/// activation(x · scale + shift + residual) of `x [rows, channels]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn affine(workspace: &Workspace, x: &Tensor, epilogue: Epilogue<'_>) -> Tensor {
    /// Values that stay in the first cache between being copied and being changed.
    const BLOCK: usize = 4 * 1024;
    let channels = x.cols();
    let mut out = workspace.tensor(x.rows(), channels);
    if workspace.is_dry() {
        return out;
    }
    epilogue.check(x.rows(), channels);
    let rows = (BLOCK / channels.max(1)).max(1);
    for_rows(workspace, &mut out, channels, |first, part| {
        for (index, block) in part.chunks_mut(rows * channels).enumerate() {
            let first = first + index * rows;
            block.copy_from_slice(&x[first * channels..][..block.len()]);
            epilogue.apply(block, first, channels);
        }
    });
    out
}

/// Mean and variance of each column of `x [rows, channels]`, the mean of squared distances from the mean:
/// `[1, channels]` each. Without rows both are zero.
pub fn moments(workspace: &Workspace, x: &Tensor) -> (Tensor, Tensor) {
    let cols = x.cols();
    let (mut mean, mut variance) = (workspace.tensor(1, cols), workspace.tensor(1, cols));
    if workspace.is_dry() {
        return (mean, variance);
    }
    let blocks = x.rows().div_ceil(block_rows(cols));
    let parts = if workspace.splits(x.len()) { workspace.threads().min(blocks) } else { 1 };
    let of_part = |part: &[f32]| Moments::of(part, cols);
    let found = match parts {
        0 | 1 => of_part(x),
        _ => {
            let part = blocks.div_ceil(parts) * block_rows(cols) * cols;
            let found: Vec<Moments> = x.par_chunks(part).map(of_part).collect();
            found.into_iter().fold(Moments::none(cols), |mut all, part| {
                all.join(part.rows, part.mean.into_iter().zip(part.squares));
                all
            })
        }
    };
    mean.iter_mut().zip(&found.mean).for_each(|(out, &mean)| *out = mean as f32);
    let rows = found.rows.max(1.0);
    variance.iter_mut().zip(&found.squares).for_each(|(out, squares)| *out = (squares / rows) as f32);
    (mean, variance)
}

/// Mean of each column of some rows, and the sum of the squared distances from it.
struct Moments {
    rows: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn none(cols: usize) -> Self {
        Self { rows: 0.0, mean: vec![0.0; cols], squares: vec![0.0; cols] }
    }

    fn of(values: &[f32], cols: usize) -> Self {
        let mut found = Self::none(cols);
        let mut sums = [(); 3].map(|()| vec![0.0; cols]);
        for block in values.chunks(block_rows(cols) * cols) {
            let rows = (block.len() / cols) as f64;
            add_up(block, &mut sums);
            let [centre, apart, squares] = &sums;
            let columns = centre.iter().zip(apart).zip(squares).map(|((&centre, &apart), &squares)| {
                let (centre, apart, squares) = (f64::from(centre), f64::from(apart), f64::from(squares));
                (centre + apart / rows, squares - apart * apart / rows)
            });
            found.join(rows, columns);
        }
        found
    }

    /// Takes in the moments of more rows (Chan, Golub & LeVeque 1979).
    fn join(&mut self, rows: f64, columns: impl Iterator<Item = (f64, f64)>) {
        let (share, between) = (rows / (self.rows + rows), self.rows * rows / (self.rows + rows));
        for ((mean, squares), (more_mean, more_squares)) in self.mean.iter_mut().zip(&mut self.squares).zip(columns) {
            let apart = more_mean - *mean;
            *mean += apart * share;
            *squares += more_squares + apart * apart * between;
        }
        self.rows += rows;
    }
}

/// About the mean of each column of a block of rows, the sum of the distances from that, which rounding leaves,
/// and the sum of their squares.
fn add_up(block: &[f32], [centre, apart, squares]: &mut [Vec<f32>; 3]) {
    [&mut *centre, apart, squares].into_iter().for_each(|sums| sums.fill(0.0));
    add_up_to(block, centre, apart, squares);
}

vectorized! {
    fn add_up_to(block: &[f32], centre: &mut [f32], apart: &mut [f32], squares: &mut [f32]) {
        let cols = centre.len();
        let share = 1.0 / (block.len() / cols) as f32;
        for row in block.chunks_exact(cols) {
            for (sum, x) in centre.iter_mut().zip(row) {
                *sum += x;
            }
        }
        for sum in centre.iter_mut() {
            *sum *= share;
        }
        for row in block.chunks_exact(cols) {
            for (((x, centre), apart), squares) in row.iter().zip(&*centre).zip(&mut *apart).zip(&mut *squares) {
                *apart += x - centre;
                *squares += (x - centre) * (x - centre);
            }
        }
    }
}

/// Turns `dy` into the gradient of `x`, the input of a normalization by the statistics of `x` itself. The
/// gradients of scale and bias are those of this `dy` alone, as [`FrozenGrad::step`](super::FrozenGrad::step) returns them.
///
/// # Panics
/// If the sizes do not agree.
#[expect(clippy::too_many_arguments, reason = "what the statistics of a batch are made of")]
pub fn batch_norm_batch_grad(
    workspace: &Workspace,
    dy: &mut Tensor,
    x: &Tensor,
    mean: &[f32],
    inverse_deviation: &[f32],
    scale: &[f32],
    scale_grad: &[f32],
    bias_grad: &[f32],
) {
    let cols = dy.cols();
    assert_eq!((dy.rows(), cols), (x.rows(), x.cols()));
    if workspace.is_dry() {
        return;
    }
    let slices = [mean, inverse_deviation, scale, scale_grad, bias_grad];
    assert!(slices.iter().all(|values| values.len() == cols), "a norm of {cols} channels");
    // dx = scale · inverse · (dy − Σdy/n − x̂ · Σ(dy x̂)/n) = factor · dy + slope · (x − mean) + addend.
    let share = 1.0 / dy.rows().max(1) as f32;
    let column = |of: &dyn Fn(usize) -> f32| (0..cols).map(of).collect::<Vec<f32>>();
    let factor = column(&|col| scale[col] * inverse_deviation[col]);
    let slope = column(&|col| -factor[col] * inverse_deviation[col] * scale_grad[col] * share);
    let addend = column(&|col| -factor[col] * bias_grad[col] * share);
    for_rows(workspace, dy, cols, |first, part| {
        let x = &x[first * cols..][..part.len()];
        along_channels(part, x, mean, &factor, &slope, &addend);
    });
}

vectorized! {
    fn along_channels(dy: &mut [f32], x: &[f32], mean: &[f32], factor: &[f32], slope: &[f32], addend: &[f32]) {
        let cols = mean.len();
        let (factor, slope, addend) = (&factor[..cols], &slope[..cols], &addend[..cols]);
        for (dy, x) in dy.chunks_exact_mut(cols).zip(x.chunks_exact(cols)) {
            for col in 0..cols {
                dy[col] = dy[col] * factor[col] + (x[col] - mean[col]) * slope[col] + addend[col];
            }
        }
    }
}
