//! The head fitted to the features of the frozen base: logistic regression on features computed once.

use rand_chacha::ChaCha8Rng;

use super::batches::{balanced, batches};
use super::config::Config;
use super::head::Head;
use super::optimizer::{State, Update};
use super::place::Ready;
use super::progress::{Event, Observer};
use super::schedule::cosine;
use super::{Error, Optimizer};
use crate::kernels::{self, Precision, Tensor, Workspace};
use crate::runtime::{Examples, Network, Score, Weights};

/// Features of examples, `[examples, features]`, and their labels.
pub(super) struct Features {
    values: Tensor,
    labels: Vec<usize>,
}

impl Features {
    /// Computes the features of the examples `indices`, in that order and `batch` at once; `progress` says whether to
    /// go on.
    pub(super) fn compute(
        network: &impl Network,
        weights: &Ready<'_, impl Weights>,
        examples: &dyn Examples,
        indices: &[usize],
        batch: usize,
        workspace: &Workspace,
        progress: &mut dyn FnMut() -> bool,
    ) -> Result<Self, Error> {
        let cols = network.layout().features();
        let mut values = workspace.tensor(indices.len(), cols);
        for (chunk, out) in indices.chunks(batch).zip(values.chunks_mut(batch * cols)) {
            let features = weights.features(network, &examples.batch(chunk)?, workspace)?;
            out.copy_from_slice(&features);
            if !progress() {
                return Err(Error::Stopped);
            }
        }
        let labels = indices.iter().map(|&index| examples.label(index)).collect();
        Ok(Self { values, labels })
    }

    /// Rows `rows`, in that order.
    fn gather(&self, workspace: &Workspace, rows: &[usize]) -> (Tensor, Vec<usize>) {
        let indices: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        let values = kernels::gather(workspace, (&self.values).into(), self.values.cols(), &indices, None);
        (values, rows.iter().map(|&row| self.labels[row]).collect())
    }

    /// How well a head does on these features.
    pub(super) fn score(&self, workspace: &Workspace, head: &Head) -> Score {
        let logits = kernels::linear(workspace, &self.values, (&head.weight).into(), Some(&head.bias));
        Score::of(workspace, &logits, &self.labels)
    }

    /// Shifts every feature to mean 0 and scales all of them alike to deviation 1. Scaling each feature by its own would make a head that amplifies those that hardly
    /// vary, and with it every small change of the layers before it.
    pub(super) fn standardized(mut self, classes: usize) -> Standardized {
        let (rows, cols) = (self.values.rows().max(1) as f32, self.values.cols());
        let mut mean = vec![0.0; cols];
        kernels::add_column_sums(&self.values, &mut mean);
        mean.iter_mut().for_each(|mean| *mean /= rows);
        for row in self.values.chunks_exact_mut(cols) {
            row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
        }
        let deviation = (kernels::squared_norm(&self.values) / (rows * cols as f32)).sqrt().max(1e-6);
        self.values.iter_mut().for_each(|value| *value /= deviation);
        Standardized { features: self, mean, deviation, classes }
    }
}

/// Features of mean 0 and deviation 1, and what they were before.
pub(super) struct Standardized {
    features: Features,
    mean: Vec<f32>,
    deviation: f32,
    classes: usize,
}

/// Fits a head to `train` in `epochs` passes, and keeps the one that does best on `validation`.
pub(super) fn fit(
    train: &Standardized,
    validation: &Features,
    epochs: usize,
    config: &Config,
    random: &mut ChaCha8Rng,
    workspace: &Workspace,
    observer: &mut dyn Observer,
) -> (Head, Score) {
    const BATCH: usize = 64;
    const RATE: f32 = 3e-3;
    let Standardized { features: train, mean, deviation, classes } = train;
    let (classes, cols) = (*classes, train.values.cols());
    let mut head = Head { weight: vec![0.0; classes * cols], bias: vec![0.0; classes] };
    let (mut weight_state, mut bias_state) = (State::default(), State::default());
    let rows: Vec<usize> = (0..train.labels.len()).collect();
    let total = epochs * rows.len().div_ceil(BATCH);
    let mut step = 0;
    let mut best = (unstandardized(&head, mean, *deviation), Score { correct: 0, examples: 0, loss: f32::INFINITY });
    for _ in 0..epochs {
        let mut loss_sum = 0.0;
        let order = match config.balanced {
            true => balanced(&rows, |row| train.labels[row], BATCH, random),
            false => batches(&rows, BATCH, random),
        };
        for batch in order {
            let (x, labels) = train.gather(workspace, &batch);
            let logits = kernels::linear(workspace, &x, (&head.weight).into(), Some(&head.bias));
            let (loss, dy) = kernels::cross_entropy(workspace, &logits, &labels, config.smoothing);
            let gradient = kernels::linear_weight_grad(workspace, &dy, &x);
            let mut bias = workspace.zeros(1, classes);
            kernels::add_column_sums(&dy, &mut bias);
            let update = Update {
                rate: RATE * cosine(step, total, config.warmup),
                decay: config.decay,
                scale: 1.0,
                step: step as u32 + 1,
                states: Precision::F32,
            };
            Optimizer::AdamW.update(workspace, &mut head.weight, &gradient, &mut weight_state, update);
            let update = Update { decay: 0.0, ..update };
            Optimizer::AdamW.update(workspace, &mut head.bias, &bias, &mut bias_state, update);
            loss_sum += loss * labels.len() as f32;
            step += 1;
        }
        let candidate = unstandardized(&head, mean, *deviation);
        let score = validation.score(workspace, &candidate);
        if score.examples == 0 || score.is_better_than(&best.1) {
            best = (candidate, score);
        }
        observer.event(&Event::Step { loss: loss_sum / rows.len().max(1) as f32 });
        if observer.stop() {
            break;
        }
    }
    best
}

/// The head that does on features what `head` does on standardized ones.
fn unstandardized(head: &Head, mean: &[f32], deviation: f32) -> Head {
    let mut out = head.clone();
    for (row, bias) in out.weight.chunks_exact_mut(mean.len()).zip(&mut out.bias) {
        row.iter_mut().for_each(|weight| *weight /= deviation);
        *bias -= kernels::dot(row, mean);
    }
    out
}
