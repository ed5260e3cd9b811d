//! Softmax and its cross-entropy with smoothed labels.

use super::math::{exp, highest, sum, vectorized};
use super::{Tensor, Workspace};

vectorized! {
    /// Softmax of each row of `cols` values, in place.
    pub fn softmax(values: &mut [f32], cols: usize) {
        for row in values.chunks_exact_mut(cols) {
            softmax_row(row);
        }
    }
}

#[inline(always)]
fn softmax_row(row: &mut [f32]) {
    let highest = highest(row);
    for value in row.iter_mut() {
        *value = exp(*value - highest);
    }
    let scale = 1.0 / sum(row, |value| value);
    for value in row {
        *value *= scale;
    }
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
    if workspace.is_dry() {
        return (0.0, gradient);
    }
    let mut loss = 0.0;
    for (row, &label) in gradient.chunks_exact_mut(classes).zip(labels) {
        let chosen = row[label];
        loss += f64::from(loss_of(row, chosen, smoothing));
        row[label] -= 1.0 - smoothing;
    }
    gradient.iter_mut().for_each(|p| *p /= examples);
    ((loss / f64::from(examples)) as f32, gradient)
}

vectorized! {
    /// Loss of one example, whose logits become their softmax without the smoothing's share.
    fn loss_of(row: &mut [f32], chosen: f32, smoothing: f32) -> f32 {
        let classes = row.len() as f32;
        let mean = sum(row, |value| value) / classes;
        let highest = highest(row);
        let log_sum = highest + sum(row, |value| exp(value - highest)).ln();
        softmax_row(row);
        for p in row {
            *p -= smoothing / classes;
        }
        log_sum - (1.0 - smoothing) * chosen - smoothing * mean
    }
}
