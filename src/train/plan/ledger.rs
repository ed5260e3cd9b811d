//! A pool of buffers without memory, and a record of what is in use for what.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::Memory;
use crate::kernels::shelf::{Served, Shelf};

const BYTES: usize = size_of::<f32>();

/// What a buffer of the pool is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Scratch,
    Activation,
    Gradient,
    Feature,
}

/// Counts what a run holds: buffers of a pool that serves requests as the workspace's does, and what is owned beside.
#[derive(Clone)]
pub(super) struct Ledger {
    state: Rc<RefCell<State>>,
    threads: Threads,
}

/// When the threads of a kernel hold what each takes: it is the machine's choice, and decides what the pool has to serve
/// the next request with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    AtOnce,
    InTurn,
}

/// The most that `work` takes with so many threads.
///
/// # Errors
/// The first of `work`.
pub(super) fn highest<E>(threads: usize, work: impl Fn(&Ledger) -> Result<(), E>) -> Result<Memory, E> {
    /// Share of the memory by which threads that meet in other ways may leave the pool with more.
    const APART: usize = 32;
    let mut highest = Memory::default();
    for when in [Threads::AtOnce, Threads::InTurn] {
        let ledger = Ledger { state: Rc::default(), threads: when };
        work(&ledger)?;
        let peak = ledger.state.borrow().peak;
        if peak.total() > highest.total() {
            highest = peak;
        }
        if threads == 1 {
            return Ok(highest);
        }
    }
    highest.scratch += highest.total() / APART;
    Ok(highest)
}

#[derive(Default)]
struct State {
    shelf: Shelf<usize>,
    /// Elements of all buffers, in use and free.
    held: usize,
    /// Elements in use by what they are for; scratch is not counted.
    activations: usize,
    gradients: usize,
    features: usize,
    /// What is owned beside the pool, in bytes.
    own: Memory,
    peak: Memory,
}

impl State {
    fn now(&self) -> Memory {
        let used = self.activations + self.gradients + self.features;
        Memory {
            activations: BYTES * self.activations,
            gradients: BYTES * self.gradients,
            features: BYTES * self.features,
            scratch: BYTES * self.held.saturating_sub(used),
            ..self.own
        }
    }

    /// Keeps the highest state, and of several as high the one that tells most of what it is for.
    fn note(&mut self) {
        let height = |total: usize, scratch: usize| (total, total - scratch);
        let now = self.now();
        if height(now.total(), now.scratch) > height(self.peak.total(), self.peak.scratch) {
            self.peak = now;
        }
    }

    fn in_use(&mut self, what: Use) -> Option<&mut usize> {
        match what {
            Use::Scratch => None,
            Use::Activation => Some(&mut self.activations),
            Use::Gradient => Some(&mut self.gradients),
            Use::Feature => Some(&mut self.features),
        }
    }
}

impl Ledger {
    /// A buffer `[rows, cols]`.
    pub(super) fn take(&self, rows: usize, cols: usize) -> Buffer {
        let state = &mut *self.state.borrow_mut();
        let length = match state.shelf.take(rows * cols) {
            Served::Free(length) => length,
            Served::New { length, given_up } => {
                state.held = state.held + length - given_up.map_or(0, |(length, _)| length);
                length
            }
        };
        state.note();
        Buffer { rows, cols, length, what: Cell::new(Use::Scratch), ledger: self.clone() }
    }

    /// Changes what is owned beside the pool.
    pub(super) fn own(&self, change: impl FnOnce(&mut Memory)) {
        let state = &mut *self.state.borrow_mut();
        change(&mut state.own);
        state.note();
    }

    /// How many of `threads` hold what they take at one time.
    pub(super) fn at_once(&self, threads: usize) -> usize {
        match self.threads {
            Threads::AtOnce => threads,
            Threads::InTurn => threads.min(1),
        }
    }
}

/// A buffer of the pool; given back when it is dropped.
pub(super) struct Buffer {
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// Elements of the whole buffer; 0 for one that the pool does not take back.
    length: usize,
    what: Cell<Use>,
    ledger: Ledger,
}

impl Buffer {
    /// Says what it is for from now on.
    pub(super) fn mark(&self, what: Use) {
        let state = &mut *self.ledger.state.borrow_mut();
        if let Some(count) = state.in_use(self.what.replace(what)) {
            *count -= self.length;
        }
        if let Some(count) = state.in_use(what) {
            *count += self.length;
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let state = &mut *self.ledger.state.borrow_mut();
        if let Some(count) = state.in_use(self.what.get()) {
            *count -= self.length;
        }
        if self.length > 0 {
            state.shelf.give(self.length, self.length);
        }
    }
}
