//! The networks: against PyTorch, by finite differences, and how they behave.
#![cfg(feature = "train")]

mod behaviour;
#[path = "../common/mod.rs"]
mod common;
mod norms;
mod pytorch;
mod recompute;
mod slopes;
