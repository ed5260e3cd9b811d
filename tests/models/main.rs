//! The networks: against PyTorch, by finite differences, and how they behave.
#![cfg(feature = "train")]

mod behaviour;
#[path = "../common/mod.rs"]
mod common;
mod norms;
#[cfg(feature = "data")]
mod preprocessing;
mod pytorch;
mod recompute;
mod refusals;
mod slopes;
