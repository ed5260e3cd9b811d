//! What the examples that begin with random weights share.

mod report;
mod signals;
mod start;

pub use report::Report;
pub use signals::{Recorded, Signals, Subset};
pub use start::Start;

use std::error::Error;

/// A result whose error says what went wrong in words.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;
