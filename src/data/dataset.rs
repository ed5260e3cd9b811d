//! Labelled examples of either kind.

use super::{ImageSet, Note, TextSet};
use crate::runtime::{self, Examples, Input, Settings};
use std::path::PathBuf;

/// Labelled examples of either kind.
#[derive(Clone, Debug)]
pub enum Dataset {
    /// Texts.
    Text(TextSet),
    /// Images.
    Images(ImageSet),
}

impl Dataset {
    /// Images that could not be read and were left out, and why.
    pub fn skipped(&self) -> &[(PathBuf, String)] {
        match self {
            Dataset::Text(_) => &[],
            Dataset::Images(set) => set.skipped(),
        }
    }

    /// What else people should know of the data: what is left out, or cut off.
    pub fn notes(&self) -> &[Note] {
        match self {
            Dataset::Text(set) => set.notes(),
            Dataset::Images(set) => set.notes(),
        }
    }

    fn examples(&self) -> &dyn Examples {
        match self {
            Dataset::Text(set) => set,
            Dataset::Images(set) => set,
        }
    }
}

impl Examples for Dataset {
    fn len(&self) -> usize {
        self.examples().len()
    }

    fn classes(&self) -> &[String] {
        self.examples().classes()
    }

    fn label(&self, index: usize) -> usize {
        self.examples().label(index)
    }

    fn rows(&self, index: usize) -> usize {
        self.examples().rows(index)
    }

    fn settings(&self) -> Settings {
        self.examples().settings()
    }

    fn batch(&self, indices: &[usize]) -> Result<Input, runtime::Error> {
        self.examples().batch(indices)
    }

    fn training_batch(&self, indices: &[usize], seed: u64) -> Result<Input, runtime::Error> {
        self.examples().training_batch(indices, seed)
    }
}
