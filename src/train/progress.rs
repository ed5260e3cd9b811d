//! What a fine-tune tells while it runs, and how it is asked to stop.

use std::time::Duration;

use super::error::Error;
use super::improved::Improved;
use super::phase::Phase;
use super::plan::Plan;
use super::select::Worth;
use crate::runtime::{LayerId, Score};

/// Something that happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
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
    /// The run goes on from a checkpoint.
    Resumed {
        /// The epoch that is under way; 0 while layers are chosen.
        epoch: usize,
        /// Of how many.
        of: usize,
        /// Steps that were done before.
        steps: u32,
        /// Time that they and what came before them took.
        elapsed: Duration,
    },
    /// A step was done.
    Step {
        /// Mean loss of its batch, without the penalty.
        loss: f32,
    },
    /// The step before taught nothing and changed nothing: its loss or gradient was no number.
    Dropped {
        /// Its number, from 1.
        step: u32,
        /// Its loss.
        loss: f32,
        /// Factor on the learning rates from now on.
        slowed: f32,
    },
    /// A checkpoint could not be written; the run goes on, and the earlier checkpoint is as it was.
    NotKept {
        /// Why.
        error: &'a Error,
    },
    /// The epoch before, or the head alone, is the best so far: what it came to can be had as an adapter at once.
    Improved(&'a Improved<'a>),
    /// Layers were chosen: all of them in network order with what each was found worth, and whether it
    /// was chosen.
    Selected {
        /// One for each tapped layer.
        layers: &'a [Worth],
    },
    /// Layers were found worth to have a gate, of which some will be chosen.
    Candidates {
        /// One for each tapped layer.
        layers: &'a [Worth],
    },
    /// Layers whose gates closed were freed.
    Freed {
        /// Which.
        layers: &'a [LayerId],
        /// Active ones that are left.
        left: usize,
    },
    /// What the run will take was reckoned; its layers, or the candidates for them, are chosen.
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
