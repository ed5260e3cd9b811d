//! Fine-tuning: TAPS and its comparisons over one frozen base.
//!
//! - A frozen layer never gets a weight gradient or an optimizer state, nor is its input kept for one.
//! - The backward pass stops at the earliest layer that still needs a gradient.
//! - The base is read in place; only chosen layers have a delta, which is added to the base's weight for each use.
//! - What a run takes is told beforehand from shapes, by the network's own code.
//! - One thread and one seed give the same bytes, also where a run was killed and went on from a checkpoint.

mod adapted;
mod amount;
mod bake;
mod batches;
mod budget;
mod checkpoint;
mod choosing;
mod config;
mod contents;
mod control;
mod course;
mod data;
mod error;
mod fit;
mod gate;
mod head;
mod heads;
mod improved;
mod joint;
mod knapsack;
mod optimizer;
mod own;
mod pace;
mod phase;
mod place;
mod plan;
mod probe;
mod progress;
mod rank;
mod ranking;
mod replay;
mod resident;
mod run;
mod schedule;
mod select;
mod sizes;
mod timing;
mod trainer;
mod tuned;
mod tuned_layer;
mod tuning;
mod varied;

pub use adapted::{Adapted, Step};
pub use amount::Amount;
pub use bake::{bake, configuration};
pub use batches::{batches, split};
pub use budget::Budget;
pub use checkpoint::Checkpoint;
pub use config::{Config, Method, Norms, Patch, Select};
pub use control::{Control, Steered};
pub use data::Data;
pub use error::Error;
pub use gate::Gate;
pub use improved::Improved;
pub use joint::{Form, Joint, JointConfig, JointTask, JointTuned, train_joint};
pub use optimizer::Optimizer;
pub use phase::Phase;
pub use plan::{Memory, Plan, plan_forward, plan_step};
pub use probe::probe;
pub use progress::{Event, Observer, Quiet};
pub use rank::rank;
pub use ranking::{Ranked, Ranking};
pub use replay::Replay;
pub use select::Worth;
pub use timing::Pace;
pub use trainer::fine_tune;
#[cfg(feature = "candle")]
pub use trainer::fine_tune_on;
pub use tuned::Tuned;
