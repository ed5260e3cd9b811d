//! Networks, one file each, written against [`crate::runtime::Ops`].
//!
//! - A model holds no weights: only its layers' places and a few sizes.
//! - A model does not know whether it is evaluated or recorded for training.
//! - Sizes are read off the base's tensors where they can be; `config.json` or the caller names the architecture.

mod bert;
mod config;
mod densenet;
mod error;
mod images;
mod input;
mod mobilenet_v2;
mod model;
mod resnet;
mod resnet_cifar;
mod vit;

pub use bert::Bert;
pub use densenet::DenseNet;
pub use error::Error;
pub use input::InputSpec;
pub use mobilenet_v2::MobileNetV2;
pub use model::{Model, Options};
pub use resnet::ResNet;
pub use resnet_cifar::ResNetCifar;
pub use vit::Vit;
