//! The way back through a batch normalization by frozen statistics, its residual and its activation, in one pass.

use rayon::prelude::*;

use super::batch_norm::block_rows;
use super::math::vectorized;
use super::{Activation, Tensor, Workspace};

/// What the way back through a batch normalization by frozen statistics needs, and what it makes.
pub struct FrozenGrad<'a> {
    /// What came out of the activation, and which it was.
    pub activated: Option<(&'a Tensor, Activation)>,
    /// What was normalized and its mean, where the gradients of scale and bias are wanted.
    pub affine: Option<(&'a Tensor, &'a [f32])>,
    /// Scale, where the gradient of the input is wanted.
    pub scale: Option<&'a [f32]>,
    /// 1 / deviation of each channel, `[channels]`.
    pub inverse_deviation: &'a [f32],
    /// Gets the gradient of what was added before the activation, `[rows, channels]`.
    pub residual: Option<&'a mut Tensor>,
}

impl FrozenGrad<'_> {
    /// Turns `dy [rows, channels]` into the gradient of the input, and returns those of scale and bias, `[1, channels]`
    /// each. Everything that is done with a few rows is done while they are in cache.
    ///
    /// # Panics
    /// If the sizes do not agree.
    pub fn step(self, workspace: &Workspace, dy: &mut Tensor) -> Option<(Tensor, Tensor)> {
        let (rows, cols) = (dy.rows(), dy.cols());
        let Self { activated, affine, scale, inverse_deviation, residual } = self;
        if workspace.is_dry() {
            return affine.map(|_| (workspace.tensor(1, cols), workspace.tensor(1, cols)));
        }
        let fits = |tensor: &Tensor| (tensor.rows(), tensor.cols()) == (rows, cols);
        assert!(activated.is_none_or(|(y, _)| fits(y)) && affine.is_none_or(|(x, _)| fits(x)), "[{rows}, {cols}]");
        assert!(
            inverse_deviation.len() == cols && affine.is_none_or(|(_, mean)| mean.len() == cols),
            "{cols} channels"
        );
        let factor: Option<Vec<f32>> = scale.map(|scale| {
            assert_eq!(scale.len(), cols);
            scale.iter().zip(inverse_deviation).map(|(scale, inverse)| scale * inverse).collect()
        });
        let block = block_rows(cols) * cols;
        let blocks = dy.len().div_ceil(block.max(1));
        let parts = if workspace.splits(dy.len()) { workspace.threads().min(blocks).max(1) } else { 1 };
        let part = blocks.div_ceil(parts).max(1) * block.max(1);
        let of_part = |(index, (dy, mut residual)): (usize, (&mut [f32], Option<&mut [f32]>))| {
            let mut sums = vec![0.0; 2 * cols];
            let mut block_sums = vec![0.0; 2 * cols];
            for (number, dy) in dy.chunks_mut(block).enumerate() {
                let range = index * part + number * block..index * part + number * block + dy.len();
                if let Some((y, activation)) = activated {
                    cut_off(dy, &y[range.clone()], activation);
                }
                if let Some(residual) = &mut residual {
                    residual[number * block..][..dy.len()].copy_from_slice(dy);
                }
                if let Some((x, mean)) = affine {
                    add_affine(dy, &x[range], mean, &mut block_sums, &mut sums);
                }
                if let Some(factor) = &factor {
                    multiply(dy, factor);
                }
            }
            sums
        };
        let residuals: Vec<Option<&mut [f32]>> = match residual {
            Some(residual) => {
                assert!(fits(residual), "residual of [{rows}, {cols}]");
                residual.chunks_mut(part).map(Some).collect()
            }
            None => (0..parts).map(|_| None).collect(),
        };
        let work = dy.chunks_mut(part).zip(residuals).enumerate();
        let found: Vec<Vec<f64>> = match parts {
            1 => work.map(of_part).collect(),
            _ => work.collect::<Vec<_>>().into_par_iter().map(of_part).collect(),
        };
        affine?;
        let mut sums = vec![0.0; 2 * cols];
        found.iter().for_each(|part| sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part));
        let (mut scale, mut bias) = (workspace.tensor(1, cols), workspace.tensor(1, cols));
        let (along, total) = sums.split_at(cols);
        for ((grad, along), &inverse) in scale.iter_mut().zip(along).zip(inverse_deviation) {
            *grad = (along * f64::from(inverse)) as f32;
        }
        bias.iter_mut().zip(total).for_each(|(grad, &total)| *grad = total as f32);
        Some((scale, bias))
    }
}

vectorized! {
    /// Adds Σ dy (x − mean) and Σ dy of a block of rows to `sums`, both in one slice.
    fn add_affine(dy: &[f32], x: &[f32], mean: &[f32], block_sums: &mut [f32], sums: &mut [f64]) {
        let cols = mean.len();
        block_sums.fill(0.0);
        let (along, total) = block_sums.split_at_mut(cols);
        for (dy, x) in dy.chunks_exact(cols).zip(x.chunks_exact(cols)) {
            for ((((along, total), dy), x), mean) in along.iter_mut().zip(total.iter_mut()).zip(dy).zip(x).zip(mean) {
                *along += dy * (x - mean);
                *total += dy;
            }
        }
        for (sum, &block) in sums.iter_mut().zip(&*block_sums) {
            *sum += f64::from(block);
        }
    }
}

vectorized! {
    /// Multiplies each row by `factor`.
    fn multiply(rows: &mut [f32], factor: &[f32]) {
        for row in rows.chunks_exact_mut(factor.len()) {
            for (value, factor) in row.iter_mut().zip(factor) {
                *value *= factor;
            }
        }
    }
}

/// `dy` where the output `y` of an activation was not cut off, and zero elsewhere.
fn cut_off(dy: &mut [f32], y: &[f32], activation: Activation) {
    if activation == Activation::None {
        return;
    }
    // No output is at an infinite bound but one that overflowed, and that one is not cut off.
    let (low, high) = activation.bounds();
    let high = if high == f32::INFINITY { f32::NAN } else { high };
    zero_outside(dy, y, low, high);
}

vectorized! {
    fn zero_outside(dy: &mut [f32], y: &[f32], low: f32, high: f32) {
        for (dy, &y) in dy.iter_mut().zip(y) {
            *dy = if y <= low || y >= high { 0.0 } else { *dy };
        }
    }
}
