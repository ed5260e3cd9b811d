//! Softmax of rows of attention, and the way back.

use candle_core::{D, Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads, check};

pub(super) static SOURCE: Source = Source::new("softmax", include_str!("softmax.metal"));

/// Softmax of each row of `scores` times `factor`, `[examples, …, columns]`, over as many columns as its example has rows,
/// which `starts [examples + 1]`, of u32, has; the others are 0.
pub(crate) fn softmax(scores: &Tensor, starts: &Tensor, factor: f32) -> Result<Tensor> {
    let (cols, examples) = (scores.dim(D::Minus1)?, starts.elem_count().saturating_sub(1));
    let rows = scores.elem_count() / cols.max(1);
    let each = (rows / examples.max(1)).max(1);
    check("softmax", [(scores, examples * each * cols)])?;
    let host = |values: &[Vec<f32>]| {
        let [scores, starts] = values else { return Vec::new() };
        let mut out = vec![0.0; scores.len()];
        for (row, (scores, out)) in scores.chunks(cols).zip(out.chunks_mut(cols)).enumerate() {
            let length = (starts[row / each + 1] - starts[row / each]) as usize;
            let highest = scores[..length].iter().fold(f32::MIN, |highest, score| highest.max(factor * score));
            let powers: Vec<f64> = scores[..length].iter().map(|s| f64::from(factor * s - highest).exp()).collect();
            let sum: f64 = powers.iter().sum();
            out.iter_mut().zip(powers).for_each(|(out, power)| *out = (power / sum) as f32);
        }
        out
    };
    let settings = Settings::new([rows, cols, each], [factor])?;
    let threads = Threads::of_rows(rows, cols);
    let launch =
        Launch { source: &SOURCE, name: "softmax", number: Some(scores.dtype()), threads, settings, host: &host };
    launch.run(&[scores, starts], scores.shape(), scores.dtype())
}

/// The gradient of the scores from the weights that they gave and the gradient of these.
pub(crate) fn softmax_grad(weights: &Tensor, dweights: &Tensor, factor: f32) -> Result<Tensor> {
    let cols = weights.dim(D::Minus1)?;
    let rows = weights.elem_count() / cols.max(1);
    check("softmax_grad", [(dweights, rows * cols)])?;
    let host = |values: &[Vec<f32>]| {
        let [weights, dweights] = values else { return Vec::new() };
        let mut out = Vec::with_capacity(weights.len());
        for (weights, dweights) in weights.chunks(cols).zip(dweights.chunks(cols)) {
            let along = weights.iter().zip(dweights).map(|(w, dw)| f64::from(w * dw)).sum::<f64>() as f32;
            out.extend(weights.iter().zip(dweights).map(|(w, dw)| (dw - along) * w * factor));
        }
        out
    };
    let settings = Settings::new([rows, cols], [factor])?;
    let threads = Threads::of_rows(rows, cols);
    let launch =
        Launch { source: &SOURCE, name: "softmax_grad", number: Some(weights.dtype()), threads, settings, host: &host };
    launch.run(&[weights, dweights], weights.shape(), weights.dtype())
}
