//! Cross-entropy of class scores, and its gradient.

use candle_core::{DType, Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads, check};
use crate::kernels;

pub(super) static SOURCE: Source = Source::new("cross_entropy", include_str!("cross_entropy.metal"));

/// The mean cross-entropy of `logits [examples, classes]` against `labels [examples, 2]`, of u32, the first of which counts
/// for `share` and the second for the rest, with `smoothing` of the probability spread over all classes. Returns the loss of
/// each example, and the gradient of the mean times `factor`, of the kind of the logits.
pub(crate) fn cross_entropy(
    logits: &Tensor,
    labels: &Tensor,
    [share, smoothing, factor]: [f32; 3],
) -> Result<[Tensor; 2]> {
    let (rows, cols) = logits.dims2()?;
    check("cross_entropy", [(labels, 2 * rows)])?;
    let factor = factor / rows.max(1) as f32;
    let host = |values: &[Vec<f32>]| {
        let [logits, labels] = values else { return Vec::new() };
        let mut out = Vec::with_capacity(rows * (cols + 1));
        for (logits, labels) in logits.chunks(cols).zip(labels.chunks(2)) {
            let of = |label: f32| {
                let logits = kernels::Tensor::from_vec(logits.to_vec(), 1, cols);
                kernels::cross_entropy(&kernels::Workspace::new(1), &logits, &[label as usize], smoothing)
            };
            let ((first, gradient), (second, other)) = (of(labels[0]), of(labels[1]));
            let both = |first: f32, second: f32| share * first + (1.0 - share) * second;
            out.extend(gradient.iter().zip(&*other).map(|(&first, &second)| factor * both(first, second)));
            out.push(both(first, second));
        }
        out
    };
    let settings = Settings::new([rows, cols], [share, smoothing, factor])?;
    let threads = Threads::of_rows(rows, cols);
    let launch =
        Launch { source: &SOURCE, name: "cross_entropy", number: Some(logits.dtype()), threads, settings, host: &host };
    let both = launch.run(&[logits, labels], (rows, cols + 1), DType::F32)?;
    let gradient = both.narrow(1, 0, cols)?.contiguous()?.to_dtype(logits.dtype())?;
    Ok([both.narrow(1, cols, 1)?, gradient])
}
