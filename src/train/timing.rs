//! What steps take, and how many of them are measured.

use std::time::Duration;

/// Steps that are measured at most, and the share of a run's steps that they may be.
const STEPS: usize = 3;
const SHARE: usize = 20;

/// How many of `total` steps are measured.
pub(super) fn measured(total: usize) -> usize {
    (total / SHARE).clamp(1, STEPS)
}

/// What steps and validations take on this machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// A step over a batch of mean size.
    pub step: Duration,
    /// A validation, one of which ends each epoch.
    pub validation: Duration,
}
