//! What the integration tests share.
#![allow(dead_code)]

pub mod adapter;
pub mod base;
#[cfg(feature = "data")]
pub mod digits;
pub mod heap;
#[cfg(feature = "runtime")]
pub mod networks;
pub mod process;

use std::path::{Path, PathBuf};

use taps::base::{Base, Dtype};

/// A folder of `tests/golden`.
pub fn folder(name: &str) -> PathBuf {
    // From the folder that cargo runs tests in, which may be on another machine than the one that built them.
    Path::new("tests/golden").join(name)
}

/// Tensors that a golden script wrote.
pub struct Golden(Base);

impl Golden {
    pub fn open(name: &str) -> Self {
        Self::at(folder(name))
    }

    pub fn at(path: PathBuf) -> Self {
        Self(Base::open(path).unwrap())
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.0.tensor(self.0.find(name).unwrap_or_else(|| panic!("no tensor {name}"))).shape.to_vec()
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.floats_or(name, &self.0)
    }

    /// From `other` where the golden has no such tensor.
    pub fn floats_or(&self, name: &str, other: &Base) -> Vec<f32> {
        let (base, id) = match self.0.find(name) {
            Some(id) => (&self.0, id),
            None => (other, other.find(name).unwrap_or_else(|| panic!("no tensor {name}"))),
        };
        base.tensor(id).to_vec()
    }

    pub fn integers(&self, name: &str) -> Vec<usize> {
        let view = self.0.tensor(self.0.find(name).unwrap_or_else(|| panic!("no tensor {name}")));
        assert_eq!(view.dtype, Dtype::I32);
        view.bytes.chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()) as usize).collect()
    }
}
