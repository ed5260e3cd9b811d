//! What a run will take.

use std::time::Duration;

use super::memory::Memory;
use crate::train::phase::Phase;
use crate::train::timing::Pace;

/// What a run will take, told before its first step.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Memory at its highest; none on a device, where it is not predicted.
    pub memory: Memory,
    /// When that is.
    pub phase: Phase,
    /// Bytes of the adapter file, at most.
    pub adapter_bytes: usize,
    /// Layers that may be active, or candidates for them.
    pub layers: usize,
    /// Steps of tuning, as many as a budget lets there be.
    pub steps: usize,
    /// Epochs that these steps are, the last one perhaps cut short.
    pub epochs: usize,
    /// Examples of a step that are computed at once.
    pub at_once: usize,
    /// Whether activations are computed again on the way back.
    pub recompute: bool,
    /// What steps and validations take, as measured before the first step; none where nothing is tuned, and in a run
    /// that goes on from a checkpoint.
    pub pace: Option<Pace>,
}

impl Plan {
    /// Time that tuning will take.
    pub fn time(&self) -> Option<Duration> {
        let Pace { step, validation } = self.pace?;
        Some(step.mul_f64(self.steps as f64) + validation.mul_f64(self.epochs as f64))
    }
}
