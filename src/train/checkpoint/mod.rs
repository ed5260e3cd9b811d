//! Files from which a fine-tune goes on after its process was killed.
//!
//! A checkpoint holds everything that later steps depend on: deltas, optimizer states, gates, the best epoch so far,
//! and where in which pass the run is with which random numbers ahead. It is bound to the base, the examples and the
//! settings, so that going on means going on with the same run.

mod file;
mod identity;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::adapted::Adapted;
use super::course::{Counts, Course, Stage};
use super::own::OwnLayer;
use super::progress::{Event, Observer};
use super::run::Run;
use super::tuned_layer::TunedLayer;
use super::{Config, Data, Error, Tuned};
use crate::base::Base;
use crate::runtime::{self, Network, Part};
use identity::Identity;

/// A file that a fine-tune leaves its state in as it goes, and goes on from where it is there.
///
/// The file is replaced by rename, so a process that is killed at any moment leaves a whole one. With one thread the
/// outcome is, to the bit, that of a run that was never killed.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    every: Duration,
}

impl Checkpoint {
    /// A checkpoint in this file, written every half minute.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), every: Duration::from_secs(30) }
    }

    /// The same, written after the first step that ends this long after the last time; zero means after every step.
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`super::fine_tune`], from this checkpoint on where there is one. It stays when the run is over, so that the
    /// adapter is not lost before it was saved: [`Checkpoint::remove`] it then.
    ///
    /// # Errors
    /// As [`super::fine_tune`]; and if the file cannot be read, is damaged, or is of a run with another base, other
    /// examples or other settings.
    pub fn fine_tune<'a>(
        &self,
        base: &Base,
        network: &impl Network,
        data: impl Into<Data<'a>>,
        config: &Config,
        observer: &mut dyn Observer,
    ) -> Result<Tuned, Error> {
        Run::checked(base, network, data.into(), config)?.all(&mut Keeper::of(self), observer)
    }

    /// Removes the file, where there is one.
    ///
    /// # Errors
    /// If there is one and it cannot be removed.
    pub fn remove(&self) -> Result<(), Error> {
        match std::fs::remove_file(&self.path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Runtime(runtime::Error::Io { path: self.path.clone(), source }))
            }
            _ => Ok(()),
        }
    }
}

/// Writes the state of a run to its checkpoint from time to time, or never.
pub(super) struct Keeper<'a> {
    checkpoint: Option<&'a Checkpoint>,
    identity: Option<Identity>,
    last: Instant,
}

impl<'a> Keeper<'a> {
    /// One that keeps nothing.
    pub(super) fn none() -> Self {
        Self { checkpoint: None, identity: None, last: Instant::now() }
    }

    fn of(checkpoint: &'a Checkpoint) -> Self {
        Self { checkpoint: Some(checkpoint), identity: None, last: Instant::now() }
    }

    /// Whether it is time to keep the state.
    pub(super) fn is_due(&self) -> bool {
        self.checkpoint.is_some_and(|checkpoint| self.last.elapsed() >= checkpoint.every)
    }

    /// Keeps the state. That it could not be written is told and ends nothing.
    pub(super) fn keep<N: Network>(&mut self, run: &Run<'_, N>, course: &Course, observer: &mut dyn Observer) {
        let (Some(checkpoint), Some(identity)) = (self.checkpoint, &self.identity) else { return };
        let counts = Counts { elapsed: run.elapsed(), ..run.counts };
        if let Err(error) = file::write(&checkpoint.path, identity, &(course, &counts)) {
            observer.event(&Event::NotKept { error: &error });
        }
        self.last = Instant::now();
    }

    /// The state that `run` goes on from, where one was kept.
    pub(super) fn resume<N: Network>(&mut self, run: &mut Run<'_, N>) -> Result<Option<Course>, Error> {
        let Some(Checkpoint { path, .. }) = self.checkpoint else { return Ok(None) };
        let identity = self.identity.insert(Identity::of(run)?);
        let Some((course, counts)) = file::read::<(Course<Vec<Option<OwnLayer>>>, Counts)>(path, identity)? else {
            return Ok(None);
        };
        let layout = run.network.layout();
        let misfit = || Error::Checkpoint { path: path.clone(), reason: "it holds what the run cannot have come to" };
        let Course { stage, head_alone, warm, worth, adapted, total, at_once, best, pass } = course;
        let adapted = Adapted::restored(run.base, layout, adapted).ok_or_else(misfit)?;
        let head = run.head_fits(adapted.delta(layout.head(), Part::Weight), adapted.delta(layout.head(), Part::Bias))
            && warm.as_ref().is_none_or(|warm| run.head_fits(Some(&warm.weight), Some(&warm.bias)));
        let layers = best.layers.iter().all(|layer| fits(layer, run))
            && worth.iter().all(|worth| worth.layer.index() < layout.len());
        let (config, steps) = (run.config, run.steps_per_epoch());
        let epochs = if stage == Stage::Scores { config.select_epochs } else { config.epochs };
        let counted = total.unwrap_or(0) <= steps * config.epochs
            && at_once.is_none_or(|(at_once, _)| (1..=config.batch).contains(&at_once))
            && (1..=epochs + 1).contains(&pass.epoch)
            && pass.done <= steps
            && best.epoch <= pass.epoch
            && counts.are_possible();
        if !head || !layers || !counted {
            return Err(misfit());
        }
        run.counts = counts;
        run.random = pass.random.clone();
        Ok(Some(Course { stage, head_alone, warm, worth, adapted, total, at_once, best, pass }))
    }
}

/// Whether the values can be those of a layer of the run.
fn fits<N: Network>(own: &TunedLayer, run: &Run<'_, N>) -> bool {
    let layout = run.network.layout();
    let values = |wanted| own.parts.iter().find(|(part, _)| *part == wanted).map(|(_, values)| &values[..]);
    let fits = |part, values: &Vec<f32>| {
        layout.layer(own.id).param(part).is_some_and(|param| values.len() == param.elements())
    };
    match own.id.index() < layout.len() {
        true if own.id == layout.head() => run.head_fits(values(Part::Weight), values(Part::Bias)),
        true => own.parts.iter().all(|(part, values)| fits(*part, values)),
        false => false,
    }
}
