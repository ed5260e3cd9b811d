//! The heads that a fine-tune begins with.

use super::adapted::Adapted;
use super::error::Error;
use super::fit::{Features, fit};
use super::head::Head;
use super::phase::Phase;
use super::progress::{Event, Observer};
use super::run::Run;
use crate::runtime::{Examples, Network, Score};

/// Heads over the frozen base: one fitted to the end, with its score, and one to start tuning from. Without any
/// the base's own is kept.
pub(super) struct Heads {
    pub(super) alone: Option<Head>,
    pub(super) head_alone: Score,
    pub(super) warm: Option<Head>,
}

impl<N: Network> Run<'_, N> {
    /// Fits heads to the features of the base.
    pub(super) fn heads(&mut self, observer: &mut dyn Observer) -> Result<Heads, Error> {
        let config = self.config;
        if !config.own_head {
            let head_alone = self.validate(&Adapted::new(self.base, self.network.layout()))?;
            return Ok(Heads { alone: None, head_alone, warm: None });
        }
        let forward =
            self.train.len().div_ceil(self.sizes.features) + self.validation.len().div_ceil(self.sizes.features);
        observer.event(&Event::Begin { phase: Phase::Head, steps: forward + config.head_epochs + config.warm_epochs });
        let bare = Adapted::new(self.base, self.network.layout());
        let bare = self.place.ready(&bare)?;
        let mut features = |examples: &dyn Examples, indices: &[usize]| {
            let mut progress = || {
                observer.event(&Event::Step { loss: f32::NAN });
                !observer.stop()
            };
            Features::compute(
                self.network,
                &bare,
                examples,
                indices,
                self.sizes.features,
                &self.workspace,
                &mut progress,
            )
        };
        let train = features(&self.data.train, &self.train)?;
        let validation = features(self.data.held(), &self.validation)?;
        let train = train.standardized(self.data.train.classes().len());
        let (random, workspace) = (&mut self.random, &self.workspace);
        let (warm, _) = fit(&train, &validation, config.warm_epochs, config, random, workspace, observer);
        let (alone, head_alone) = fit(&train, &validation, config.head_epochs, config, random, workspace, observer);
        self.stopped = observer.stop();
        drop((train, validation));
        // Weight and bias six times: two fitted heads, one being fitted, its two states, and the best so far.
        self.end_phase(6 * alone.bytes(), self.sizes.features.min(self.train.len()));
        Ok(Heads { alone: Some(alone), head_alone, warm: Some(warm) })
    }
}
