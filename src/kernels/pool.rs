//! A pool of reusable buffers.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::shelf::{Served, Shelf};
use super::usage::{Purpose, Trace};

#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Mutex<Shelf<Vec<f32>>>,
    /// Elements of all buffers, in use and free, and the most there have been.
    held: AtomicUsize,
    peak: AtomicUsize,
    /// Counts by purpose, of a pool without memory.
    trace: Option<Mutex<Trace>>,
}

impl Pool {
    /// A pool whose buffers have no memory.
    pub(super) fn dry() -> Self {
        Self { trace: Some(Mutex::default()), ..Self::default() }
    }

    pub(super) fn is_dry(&self) -> bool {
        self.trace.is_some()
    }

    /// Elements of all buffers.
    pub(super) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// The most there have been.
    pub(super) fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    /// Frees the buffers that are not in use, and begins the peak anew.
    pub(super) fn release(&self) {
        let free = std::mem::take(&mut *self.free());
        let held = self.held.fetch_sub(free.elements(), Relaxed);
        self.peak.store(held - free.elements(), Relaxed);
    }

    #[cfg(test)]
    pub(super) fn free_buffers(&self) -> (usize, usize) {
        let free = self.free();
        (free.len(), free.elements())
    }

    fn free(&self) -> MutexGuard<'_, Shelf<Vec<f32>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer of at least `length` elements, and how many it has.
    pub(super) fn take(&self, length: usize) -> (Vec<f32>, usize) {
        let served = self.free().take(length);
        let (data, length) = match served {
            Served::Free(length, data) => (data, length),
            Served::New { length, given_up } => {
                let given_up = given_up.map_or(0, |(length, _)| length);
                let before = self.held.fetch_add(length, Relaxed);
                self.held.fetch_sub(given_up, Relaxed);
                self.peak.fetch_max((before + length).saturating_sub(given_up), Relaxed);
                (if self.trace.is_some() { Vec::new() } else { vec![0.0; length] }, length)
            }
        };
        self.trace(|trace| trace.change(length, None, Some(Purpose::Scratch as u8)));
        (data, length)
    }

    pub(super) fn give(&self, data: Vec<f32>, length: usize, purpose: u8) {
        self.trace(|trace| trace.change(length, Some(purpose), None));
        if length > 0 {
            self.free().give(length, data);
        }
    }

    /// Counts a buffer in use for another purpose.
    pub(super) fn reuse(&self, length: usize, before: u8, after: u8) {
        self.trace(|trace| trace.change(length, Some(before), Some(after)));
    }

    /// Changes the counts of a pool without memory, and looks at what it holds.
    pub(super) fn trace(&self, change: impl FnOnce(&mut Trace)) {
        if let Some(trace) = &self.trace {
            let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut trace);
            trace.note(self.held.load(Relaxed));
        }
    }
}
