//! One frozen base model, many tasks, on the device itself.
//!
//! TAPS (Task Adaptive Parameter Sharing, arXiv 2203.16708) fine-tunes a pretrained network by changing
//! a few of its layers: W = W̄ + I(s) δ. So a task is a handful of layer deltas and a head, and everything
//! else is shared.
//!
//! # Principles
//! 1. **The base is never copied.** It is mapped once; inference and training read it in place.
//! 2. **A switch is a pointer.** Nothing is merged, allocated or locked when the task changes, and a
//!    forward pass keeps the task it started with.
//! 3. **All or nothing.** An adapter whose every entry does not land on the tensor it was made for is
//!    refused, with the reason; what was running goes on.
//! 4. **What trains is what runs.** An operation is stated once, with its backward pass; evaluation is a
//!    [`graph`] of which no gradient is wanted.
//!
//! # Modules
//! Each imports only those above it; `models` and `device` or `train` do not import each other.
//!
//! | module | what it is for | depends on |
//! |---|---|---|
//! | [`mod@format`] | adapter files: `no_std`, never allocates | |
//! | [`files`] | reading with limits, replacing whole, locks | |
//! | [`kernels`] | arithmetic on the CPU, forward and backward | |
//! | [`base`] | the mapped base and its tensor index | `format`, `files`, `kernels` |
//! | `gpu` | memory and kernels of candle's devices (feature `candle`) | `base` and above |
//! | [`graph`] | operations, recorded for the backward pass | `base`, `kernels`, `gpu` |
//! | [`runtime`] | tasks, the switch, the forward pass | `graph` and above |
//! | `device` | tasks on a GPU (feature `candle`) | `runtime` and above |
//! | [`train`] | TAPS fine-tuning | `runtime` and above |
//! | [`models`] | networks: BERT, ViT, ResNet, DenseNet, MobileNetV2 | `runtime` and above |
//! | [`convert`] | adapters stored anew, and made from other files | `train` and above |
//! | [`data`] | labelled texts and images | `runtime` and above |
//! | [`cli`] | the `taps` command | all |
//!
//! # Use
//! ```no_run
//! use taps::{Base, Input, Model, Runtime};
//!
//! fn classify(input: &Input) -> Result<String, Box<dyn std::error::Error>> {
//!     let base = Base::open("minilm")?;
//!     let model = Model::open(&base)?;
//!     let runtime = Runtime::new(model);
//!     let banking = runtime.load("banking.taps")?;
//!     runtime.switch(&banking)?;
//!     Ok(runtime.predict(input)?.label(0).to_owned())
//! }
//! ```
#![cfg_attr(not(any(feature = "runtime", test)), no_std)]
// Standard output may be closed, and names of others may move the cursor: `cli::console` alone prints.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod format;

#[cfg(feature = "runtime")]
pub mod files;

#[cfg(feature = "runtime")]
pub mod kernels;

#[cfg(feature = "runtime")]
pub mod base;

#[cfg(feature = "candle")]
mod gpu;

#[cfg(feature = "runtime")]
pub mod graph;

#[cfg(feature = "runtime")]
pub mod runtime;

#[cfg(feature = "candle")]
pub mod device;

#[cfg(feature = "train")]
pub mod train;

#[cfg(feature = "runtime")]
pub mod models;

#[cfg(feature = "train")]
pub mod convert;

#[cfg(feature = "data")]
pub mod data;

#[cfg(feature = "cli")]
pub mod cli;

pub use format::{Adapter, Digest, Encoding};

#[cfg(feature = "runtime")]
pub use {
    base::Base,
    models::Model,
    runtime::{Examples, Input, Network, Prediction, Runtime, Task},
};

#[cfg(feature = "train")]
pub use train::{Config, fine_tune};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
