//! Memory by what it is for.

use std::fmt;

/// Bytes that a fine-tune takes of its own, by what they are for: beside the mapped base, the examples and the
/// program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Deltas and the head.
    pub deltas: usize,
    /// What the optimizer keeps of each delta.
    pub states: usize,
    /// Deltas and head of the best epoch so far.
    pub best: usize,
    /// Gradients of a step.
    pub gradients: usize,
    /// Activations that are kept for the backward pass.
    pub activations: usize,
    /// Features of all examples, while the head is fitted.
    pub features: usize,
    /// Pixels or tokens of a batch.
    pub batch: usize,
    /// Everything between: activations and gradients on their way, packed weights, buffers kept to be used again.
    pub scratch: usize,
}

impl Memory {
    /// All of it, in bytes.
    pub fn total(&self) -> usize {
        self.parts().iter().map(|(_, bytes)| bytes).sum()
    }

    /// Each part's name and bytes.
    pub fn parts(&self) -> [(&'static str, usize); 8] {
        [
            ("deltas", self.deltas),
            ("optimizer states", self.states),
            ("best epoch", self.best),
            ("gradients", self.gradients),
            ("activations", self.activations),
            ("features", self.features),
            ("batch", self.batch),
            ("scratch", self.scratch),
        ]
    }
}

impl fmt::Display for Memory {
    /// The parts that there are, the largest first, as `activations 12.3 MB, scratch 4.5 MB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<_> = self.parts().into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        for (number, (name, bytes)) in parts.into_iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {:.1} MB", bytes as f64 / 1e6)?;
        }
        Ok(())
    }
}
