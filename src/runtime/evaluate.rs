//! Accuracy and loss over labelled examples.

use serde::{Deserialize, Serialize};

use super::{Checked, Error, Examples, Input, Network, Weights};
use crate::kernels::{Tensor, Workspace, cross_entropy};

/// How well a task does on labelled examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Examples whose most probable class is their label.
    pub correct: usize,
    /// Examples in all.
    pub examples: usize,
    /// Mean cross-entropy.
    pub loss: f32,
}

impl Score {
    /// Share of examples whose most probable class is their label, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.examples.max(1) as f64
    }

    /// Score of class scores `[examples, classes]` against labels.
    ///
    /// # Panics
    /// If a label is no class, or there is not one label for each row.
    pub fn of(workspace: &Workspace, logits: &Tensor, labels: &[usize]) -> Self {
        let correct = labels.iter().enumerate().filter(|&(row, &label)| is_highest(logits.row(row), label)).count();
        Self { correct, examples: labels.len(), loss: cross_entropy(workspace, logits, labels, 0.0).0 }
    }

    /// Whether more examples are right, or as many at a lower loss.
    pub fn is_better_than(&self, other: &Score) -> bool {
        (self.accuracy(), -self.loss) > (other.accuracy(), -other.loss)
    }
}

/// Scores the examples `indices` in batches of `batch` of similar length.
///
/// # Errors
/// As [`score`]; and if an input does not fit the network or a class score is not finite.
pub fn evaluate(
    network: &impl Network,
    weights: &impl Weights,
    examples: &dyn Examples,
    indices: &[usize],
    batch: usize,
    workspace: &Workspace,
) -> Result<Score, Error> {
    score(examples, indices, batch, workspace, |input| super::logits(network, weights, input, workspace))
}

/// Scores the examples `indices` by what `logits` makes of batches of `batch` of similar length.
///
/// # Errors
/// Those of `logits`, and if an example cannot be read or its class is none of the head's.
pub fn score<E: From<Error>>(
    examples: &dyn Examples,
    indices: &[usize],
    batch: usize,
    workspace: &Workspace,
    logits: impl Fn(&Input) -> Result<Tensor, E>,
) -> Result<Score, E> {
    let examples = Checked::new(examples)?;
    let mut order = indices.to_vec();
    order.sort_by_key(|&index| examples.rows(index));
    let (mut correct, mut loss) = (0, 0.0);
    for chunk in order.chunks(batch.max(1)) {
        let logits = logits(&examples.batch(chunk)?)?;
        let labels: Vec<usize> = chunk.iter().map(|&index| examples.label(index)).collect();
        if let Some(label) = labels.iter().find(|&&label| label >= logits.cols()) {
            let message = format!("class {label} in the data, and the head has {} classes", logits.cols());
            return Err(Error::Input { message }.into());
        }
        let score = Score::of(workspace, &logits, &labels);
        correct += score.correct;
        loss += f64::from(score.loss) * labels.len() as f64;
    }
    Ok(Score { correct, examples: order.len(), loss: (loss / order.len().max(1) as f64) as f32 })
}

/// Whether `label` is the first of the highest scores.
fn is_highest(row: &[f32], label: usize) -> bool {
    row[..label].iter().all(|&other| other < row[label]) && row[label..].iter().all(|&other| other <= row[label])
}
