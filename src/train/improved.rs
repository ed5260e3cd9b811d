//! The best epoch of a run that goes on, as an adapter.

use std::fmt;

use super::Error;
use super::contents::Contents;
use super::course::Best;
use super::run::Run;
use crate::base::Base;
use crate::format::{Encoding, Summary};
use crate::runtime::{Layout, Network, Score, Settings};

/// What a fine-tune has come to so far: a running [`crate::Runtime`] can load it and switch to it while training goes
/// on.
pub struct Improved<'a> {
    base: &'a Base,
    architecture: &'a str,
    layout: &'a Layout,
    labels: &'a [String],
    settings: &'a Settings,
    method: &'static str,
    summary: Summary,
    best: &'a Best,
}

impl<'a> Improved<'a> {
    pub(super) fn new<N: Network>(run: &'a Run<'_, N>, best: &'a Best) -> Self {
        Self {
            base: run.base,
            architecture: run.network.architecture(),
            layout: run.network.layout(),
            labels: run.labels(),
            settings: &run.settings,
            method: run.config.method_name(),
            summary: run.summary(best),
            best,
        }
    }

    /// The epoch it is from; 0 for the head alone.
    pub fn epoch(&self) -> usize {
        self.best.epoch
    }

    /// Its score on the validation examples.
    pub fn validation(&self) -> Score {
        self.best.score
    }

    /// The adapter file of the task as it is.
    ///
    /// # Errors
    /// As [`super::Tuned::adapter`].
    pub fn adapter(&self, task: &str, encoding: Encoding) -> Result<Vec<u8>, Error> {
        let (layers, labels, settings) = (&self.best.layers, self.labels, self.settings);
        let contents = Contents { layers, labels, settings, summary: self.summary, method: self.method };
        contents.encode(self.base, self.architecture, self.layout, task, encoding)
    }
}

impl fmt::Debug for Improved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Improved").field("epoch", &self.best.epoch).field("validation", &self.best.score).finish()
    }
}
