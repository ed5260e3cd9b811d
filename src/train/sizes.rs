//! How much is computed at once.

use super::config::Config;
use crate::runtime::Layout;

/// Examples that are computed at once where the result does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) features: usize,
    pub(super) validation: usize,
    pub(super) probe: usize,
    /// Of a step, whose gradients are added up.
    pub(super) step: usize,
    /// Whether what lies between the cuts of the network is computed again on the way back.
    pub(super) recompute: bool,
}

impl Sizes {
    pub(super) fn new(config: &Config, layout: &Layout) -> Self {
        let step = config.at_once(layout);
        Self { features: 32, validation: 64, probe: step, step, recompute: config.recompute }
    }
}
