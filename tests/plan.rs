//! Plans held against what is measured: the pool of a workspace and what a task owns, over networks, batch sizes, active
//! layers and norms; and the peak of the heap in whole fine-tunes.
#![cfg(all(feature = "train", feature = "data"))]

mod common;

#[path = "plan/budgets.rs"]
mod budgets;
#[path = "plan/steps.rs"]
mod steps;

use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static HEAP: common::heap::Counting = common::heap::Counting;

/// The heap is of the process: one test that fills it at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
