//! Networks, one file each, written against [`crate::runtime::Ops`].
//!
//! - A model holds no weights: only its layers' places and a few sizes.
//! - A model does not know whether it is evaluated or recorded for training.

mod bert;
mod config;
mod error;
mod model;
mod vit;

pub use bert::Bert;
pub use error::Error;
pub use model::{InputSpec, Model};
pub use vit::Vit;
