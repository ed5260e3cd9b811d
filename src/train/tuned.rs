//! The outcome of a fine-tune: what becomes an adapter.

use super::config::Config;
use super::contents::Contents;
use super::error::Error;
use super::plan::Plan;
use super::select::Worth;
use super::tuned_layer::TunedLayer;
use crate::base::Base;
use crate::format::{Encoding, Summary};
use crate::runtime::{LayerId, Layout, Network, Score, Settings};

/// A tuned task, from its best epoch.
pub struct Tuned {
    pub(super) layers: Vec<TunedLayer>,
    pub(super) labels: Vec<String>,
    pub(super) settings: Settings,
    pub(super) summary: Summary,
    pub(super) method: &'static str,
    /// Score of the best epoch on the validation examples.
    pub validation: Score,
    /// Score of the head alone on the same examples.
    pub head_alone: Score,
    /// The epoch it is from; 0 for the head alone.
    pub epoch: usize,
    /// Steps that were done, in all phases but the head's.
    pub steps: u32,
    /// How many of them taught nothing, since their loss or gradient was no number.
    pub dropped: u32,
    /// Mean seconds of a tuning step, without the validation between epochs.
    pub seconds_per_step: f64,
    /// What each tapped layer was found worth; empty where none was chosen by worth.
    pub worth: Vec<Worth>,
    /// What the run was planned to take; none where its task was trained together with others.
    pub plan: Option<Plan>,
    /// Bytes of memory that the run has taken of its own, at its highest; see [`Memory`](super::Memory). 0 where it was
    /// computed on a device.
    pub memory: usize,
    /// Whether the run was asked to stop before its end.
    pub stopped: bool,
}

impl Tuned {
    /// The tapped layers that are active, in network order.
    pub fn active_layers(&self, layout: &Layout) -> Vec<LayerId> {
        self.layers.iter().map(|layer| layer.id).filter(|&id| layout.layer(id).kind.is_tapped()).collect()
    }

    /// What the adapter is bound to beside its base.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the head alone scored better than what was tuned, which is kept all the same where it was asked for to be
    /// compared: every layer, the last ones, any, named ones, or a patch.
    pub fn head_was_better(&self) -> bool {
        self.epoch > 0 && self.validation.examples > 0 && self.head_alone.is_better_than(&self.validation)
    }

    /// Whether what was tuned did worse than the head alone, which was kept in its place.
    pub fn is_head_alone(&self) -> bool {
        self.epoch == 0
    }

    /// The training summary that the adapter carries.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// The adapter file of the task, its active layers' weights in `encoding`. Biases, norms and the
    /// head are small and decide much: they stay f32.
    ///
    /// # Errors
    /// If a name is too long for the format or a value is not finite.
    pub fn adapter(
        &self,
        base: &Base,
        network: &impl Network,
        task: &str,
        encoding: Encoding,
    ) -> Result<Vec<u8>, Error> {
        self.encode(base, network.architecture(), network.layout(), task, encoding)
    }

    pub(super) fn encode(
        &self,
        base: &Base,
        architecture: &str,
        layout: &Layout,
        task: &str,
        encoding: Encoding,
    ) -> Result<Vec<u8>, Error> {
        let Self { layers, labels, settings, summary, method, .. } = self;
        Contents { layers, labels, settings, summary: *summary, method }.encode(
            base,
            architecture,
            layout,
            task,
            encoding,
        )
    }
}

impl Tuned {
    pub(super) fn summarize(config: &Config, layout: &Layout, layers: &[TunedLayer], examples: usize) -> Summary {
        let active = layers.iter().filter(|layer| layout.layer(layer.id).kind.is_tapped()).count();
        Summary {
            lambda: config.lambda,
            tau: config.threshold,
            max_active_layers: config.budget.max_active_layers.map(|cap| cap as u32),
            active_layers: active as u32,
            layers: layout.tapped().count() as u32,
            steps: 0,
            examples: examples as u32,
            seed: config.seed,
            validation: None,
        }
    }
}
