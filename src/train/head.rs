//! A classification head.

use serde::{Deserialize, Serialize};

/// A linear head: weight `[classes, features]` and bias `[classes]`.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Head {
    pub(super) fn bytes(&self) -> usize {
        size_of::<f32>() * (self.weight.len() + self.bias.len())
    }
}
