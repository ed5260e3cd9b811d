//! Softmax and its cross-entropy with smoothed labels.

use super::math::{exp, vectorize};
use super::{Tensor, Workspace};

/// Softmax of each row of `cols` values, in place.
pub fn softmax(values: &mut [f32], cols: usize) {
    vectorize(|| values.chunks_exact_mut(cols).for_each(softmax_row));
}

#[inline(always)]
pub(super) fn softmax_row(row: &mut [f32]) {
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = exp(*value - highest);
        sum += *value;
    }
    let scale = 1.0 / sum;
    row.iter_mut().for_each(|value| *value *= scale);
}

/// Mean cross-entropy of `logits [examples, classes]` against `labels`, with `smoothing` of the
/// probability spread evenly over all classes; and its gradient `[examples, classes]`.
///
/// # Panics
/// If a label is no class, or there is not one label for each row.
pub fn cross_entropy(workspace: &Workspace, logits: &Tensor, labels: &[usize], smoothing: f32) -> (f32, Tensor) {
    assert_eq!(logits.rows(), labels.len());
    let (examples, classes) = (logits.rows() as f32, logits.cols());
    let mut gradient = workspace.copy(logits);
    let mut loss = 0.0;
    for (row, &label) in gradient.chunks_exact_mut(classes).zip(labels) {
        let chosen = row[label];
        let mean = row.iter().sum::<f32>() / classes as f32;
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let log_sum = highest + row.iter().map(|&value| exp(value - highest)).sum::<f32>().ln();
        loss += f64::from(log_sum - (1.0 - smoothing) * chosen - smoothing * mean);
        softmax_row(row);
        row.iter_mut().for_each(|p| *p -= smoothing / classes as f32);
        row[label] -= 1.0 - smoothing;
        row.iter_mut().for_each(|p| *p /= examples);
    }
    ((loss / f64::from(examples)) as f32, gradient)
}
