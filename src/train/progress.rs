//! What a fine-tune tells while it runs, and how it is asked to stop.

use super::{Plan, Worth};
use crate::runtime::Score;

/// A part of a fine-tune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The head is fitted to the base's features.
    Head,
    /// Layers are chosen.
    Select,
    /// The chosen layers are tuned.
    Tune,
    /// Tasks and the weights they share are trained together.
    Joint,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// What follows is of this one of several tasks, until a phase that they have together.
    Task {
        /// Its name.
        name: &'a str,
    },
    /// A phase of `steps` steps begins.
    Begin {
        /// Which.
        phase: Phase,
        /// Its steps.
        steps: usize,
    },
    /// A step was done.
    Step {
        /// Mean loss of its batch, without the penalty.
        loss: f32,
    },
    /// Layers were chosen: all of them in network order with what each was found worth, and whether it
    /// was chosen.
    Selected {
        /// One for each tapped layer.
        layers: &'a [Worth],
    },
    /// What the run will take was reckoned; its layers are chosen.
    Planned {
        /// What it will take.
        plan: &'a Plan,
    },
    /// An epoch was done.
    Epoch {
        /// Its number from 1; 0 for the fitted head.
        epoch: usize,
        /// Of how many.
        of: usize,
        /// Mean training loss.
        loss: f32,
        /// Score on the validation examples.
        validation: Score,
        /// Layers that are active.
        active: usize,
        /// Whether it is the best so far.
        best: bool,
    },
}

/// Watches a fine-tune.
pub trait Observer {
    /// Called at every event, on the training thread.
    fn event(&mut self, event: &Event<'_>);

    /// Asked after every step: true ends the run with the best adapter so far.
    fn stop(&self) -> bool {
        false
    }
}

/// An observer that says nothing.
pub struct Quiet;

impl Observer for Quiet {
    fn event(&mut self, _: &Event<'_>) {}
}
