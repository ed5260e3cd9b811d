//! What the examples that begin with random weights share. Each uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod activity;
mod report;
mod signals;
pub mod spoken;
mod start;

pub use report::Report;
pub use signals::{Recorded, Signals, Subset};
pub use start::Start;

use std::error::Error;

/// A result whose error says what went wrong in words.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;
