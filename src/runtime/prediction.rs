//! What a forward pass says of each example.

use std::sync::Arc;

use super::task::{Labelled, Task};
use crate::kernels::{Tensor, softmax};

/// Class scores of a batch and the task that gave them.
#[derive(Debug)]
pub struct Prediction<T = Task> {
    task: Arc<T>,
    logits: Tensor,
}

impl<T: Labelled> Prediction<T> {
    pub(crate) fn new(task: Arc<T>, logits: Tensor) -> Self {
        Self { task, logits }
    }

    /// The task that was current when the forward pass started.
    pub fn task(&self) -> &Arc<T> {
        &self.task
    }

    /// Scores before softmax: `[examples, classes]`.
    pub fn logits(&self) -> &Tensor {
        &self.logits
    }

    /// The most probable class of example `index`: its number and its probability.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn class(&self, index: usize) -> (usize, f32) {
        let mut row = self.logits.row(index).to_vec();
        softmax(&mut row, self.logits.cols());
        let (mut best, mut probability) = (0, f32::NEG_INFINITY);
        for (class, &p) in row.iter().enumerate() {
            if p > probability {
                (best, probability) = (class, p);
            }
        }
        (best, probability)
    }

    /// Name of the most probable class of example `index`.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn label(&self, index: usize) -> &str {
        &self.task.labels()[self.class(index).0]
    }
}
