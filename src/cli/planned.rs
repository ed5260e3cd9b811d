//! What a run was reckoned to take, and what it took, as `--json` and records tell it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::train::{Phase, Plan};

/// Bytes that were reckoned before the first step, and those that were counted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Planned {
    /// Memory of the run's own at its highest, as reckoned and as counted.
    pub(super) memory: u64,
    pub(super) measured_memory: u64,
    /// The phase of the highest memory, and what it is for then.
    pub(super) phase: String,
    pub(super) parts: BTreeMap<String, u64>,
    /// The largest that the adapter may become.
    pub(super) adapter: u64,
    /// Examples of a step that were computed at once.
    pub(super) at_once: u64,
    /// Whether activations were computed again on the way back.
    pub(super) recompute: bool,
    /// Steps of tuning, and the seconds that they and the validations between were reckoned to take.
    pub(super) steps: u64,
    pub(super) seconds: Option<f64>,
}

impl Planned {
    pub(super) fn new(plan: &Plan, measured: usize) -> Self {
        let parts = plan.memory.parts().into_iter().filter(|(_, bytes)| *bytes > 0);
        Self {
            memory: plan.memory.total() as u64,
            measured_memory: measured as u64,
            phase: match plan.phase {
                Phase::Head => "head",
                Phase::Select => "select",
                Phase::Tune => "tune",
                Phase::Joint => "joint",
            }
            .to_owned(),
            parts: parts.map(|(name, bytes)| (name.replace(' ', "_"), bytes as u64)).collect(),
            adapter: plan.adapter_bytes as u64,
            at_once: plan.at_once as u64,
            recompute: plan.recompute,
            steps: plan.steps as u64,
            seconds: plan.time().map(|time| time.as_secs_f64()),
        }
    }
}
