//! Networks, one file each, written in the operations of [`crate::graph`].
//!
//! - A model holds no weights: only its layers' places and a few sizes.
//! - A model does not know whether it is evaluated or recorded for training.
//! - Sizes are read off the base's tensors where they can be; `config.json` or the caller names the architecture.
//! - Nothing of a checkpoint is left out in silence: every tensor is used, known to be harmless, or an error, and so is
//!   every configuration key that the reference implementation reads.

mod bert;
mod config;
mod densenet;
mod error;
mod images;
mod input;
mod keys;
mod mobilenet_v2;
mod model;
mod options;
mod pooling;
mod processor;
mod resnet;
mod resnet_cifar;
mod sentence;
mod vit;

pub use bert::Bert;
pub use densenet::DenseNet;
pub use error::Error;
pub use input::InputSpec;
pub use mobilenet_v2::MobileNetV2;
pub use model::Model;
pub use options::Options;
pub use pooling::Pooling;
pub use resnet::ResNet;
pub use resnet_cifar::ResNetCifar;
pub use vit::Vit;

use crate::base::Base;
use crate::runtime::Layout;

/// Every tensor of a base is one of the network's, or `is_harmless` knows its name.
///
/// # Errors
/// [`Error::UnusedTensors`].
fn check_used(
    base: &Base,
    layout: &Layout,
    architecture: &str,
    is_harmless: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let unused: Vec<&str> = layout.unused(base).into_iter().filter(|name| !is_harmless(name)).collect();
    let Some(first) = unused.first() else { return Ok(()) };
    Err(Error::UnusedTensors {
        base: base.path().to_owned(),
        architecture: architecture.to_owned(),
        tensors: unused.len(),
        first: (*first).to_owned(),
    })
}

/// How many batches a batch normalization has seen: PyTorch writes it and reads it in training alone.
fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}
