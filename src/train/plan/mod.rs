//! What a fine-tune will take, told before its first step from shapes alone.
//!
//! The code that will run runs beforehand over a dry workspace, in which buffers have no memory and kernels compute nothing:
//! what it takes, keeps and drops is counted as it will be, with what lies idle in the pool.

mod batches;
mod dry_run;
mod file;
mod memory;
mod phases;
mod planner;
mod run_plan;
mod step;
mod task_shape;

pub use memory::Memory;
pub(super) use planner::Planner;
pub use run_plan::Plan;
pub use step::{plan_forward, plan_step};
