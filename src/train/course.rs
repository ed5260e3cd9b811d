//! Where a fine-tune is between two steps: all that it needs to go on.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::adapted::Adapted;
use super::head::Head;
use super::select::Worth;
use super::tuned_layer::TunedLayer;
use crate::runtime::Score;

/// What a fine-tune is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// TAPS with a gate on every layer, to choose layers by their scores.
    Scores,
    /// The layers that may change are tuned.
    Tune,
    /// Nothing is left to do.
    Done,
}

/// The state of a fine-tune between two steps. `A` is what is being trained, or what a file holds of it.
#[derive(Serialize, Deserialize)]
pub(super) struct Course<A = Adapted> {
    pub(super) stage: Stage,
    pub(super) head_alone: Score,
    /// The head to tune from, until the layers are chosen.
    pub(super) warm: Option<Head>,
    pub(super) worth: Vec<Worth>,
    pub(super) adapted: A,
    /// Steps of tuning in all, once they are known.
    pub(super) total: Option<usize>,
    /// Examples of a step that are computed at once, and whether activations are computed again, once that is known.
    pub(super) at_once: Option<(usize, bool)>,
    pub(super) best: Best,
    pub(super) pass: Pass,
}

/// The best state so far.
#[derive(Serialize, Deserialize)]
pub(super) struct Best {
    pub(super) layers: Vec<TunedLayer>,
    pub(super) score: Score,
    pub(super) epoch: usize,
}

/// The pass over the examples that is under way.
#[derive(Serialize, Deserialize)]
pub(super) struct Pass {
    /// Its number in its stage, from 1.
    pub(super) epoch: usize,
    /// Batches of it that are done.
    pub(super) done: usize,
    /// Sum of the losses of the examples that were learned from.
    pub(super) loss: f32,
    /// How many those are.
    pub(super) learned: usize,
    /// The generator as it was before the pass drew its order.
    pub(super) random: ChaCha8Rng,
}

impl Pass {
    pub(super) fn begin(epoch: usize, random: &ChaCha8Rng) -> Self {
        Self { epoch, done: 0, loss: 0.0, learned: 0, random: random.clone() }
    }

    /// Mean loss of what was learned from.
    pub(super) fn mean_loss(&self) -> f32 {
        self.loss / self.learned as f32
    }
}

/// What a run has done.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Steps in all stages, those that were dropped among them.
    pub(super) steps: u32,
    /// Steps of tuning, and the time they took.
    pub(super) tuned: u32,
    pub(super) tuning: Duration,
    /// Time of the run up to a checkpoint.
    pub(super) elapsed: Duration,
    /// Steps that taught nothing since their loss or gradient was no number.
    pub(super) dropped: u32,
    /// How many of them came one after another up to now.
    pub(super) in_row: u32,
    /// Factor on the learning rates: halved when too many came in a row.
    pub(super) slowed: f32,
}

impl Counts {
    /// Whether these can be of a run: few enough to go on counting.
    pub(super) fn are_possible(&self) -> bool {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        [self.steps, self.tuned, self.dropped, self.in_row].iter().all(|&count| count < u32::MAX / 2)
            && [self.tuning, self.elapsed].iter().all(|&time| time < CENTURY)
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self { steps: 0, tuned: 0, tuning: Duration::ZERO, elapsed: Duration::ZERO, dropped: 0, in_row: 0, slowed: 1.0 }
    }
}
