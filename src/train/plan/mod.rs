//! What a fine-tune will take, told before its first step from shapes alone.
//!
//! The network's own code runs on a [`Sketch`](sketch::Sketch), whose activations have no values: it records what the
//! tape would keep and walks back as the tape does. Buffers come from a [`Ledger`](ledger::Ledger), which serves
//! requests by the workspace's own policy, so that rounding and what lies idle in the pool are counted as they will
//! be. What differs by kernel stands in [`kernels`]; sketch and tape are held together by a test that compares them.

mod backward;
mod batches;
mod file;
mod images;
mod kernels;
mod ledger;
mod memory;
mod outline;
mod phases;
mod planner;
mod recompute;
mod sketch;
mod step;
mod transformer;

pub use memory::Memory;
pub use planner::Plan;
pub(super) use planner::{Planner, Sizes};
pub use step::{plan_forward, plan_step};
