#![cfg_attr(not(any(feature = "runtime", test)), no_std)]
//! One frozen base model, many tasks.

pub mod format;

#[cfg(feature = "runtime")]
pub mod base;
#[cfg(feature = "runtime")]
pub mod kernels;
#[cfg(feature = "runtime")]
pub mod runtime;

#[cfg(feature = "runtime")]
pub mod models;
#[cfg(feature = "train")]
pub mod train;
#[cfg(feature = "data")]
pub mod data;
#[cfg(feature = "cli")]
pub mod cli;
