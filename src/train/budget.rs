//! What a fine-tune may take.

use std::time::Duration;

use super::Error;
use super::amount::Amount;

/// What a fine-tune may take, stated beforehand; `None` for any.
///
/// Layers are chosen such that a limit on layers, on bytes or on memory holds. A limit that not even the least choice
/// keeps is refused before anything is trained, with [`Error::Budget`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Hard cap on active layers.
    pub max_active_layers: Option<usize>,
    /// Bytes that the deltas of active layers may take in f32. Layers that do not fit are passed over.
    pub max_layer_bytes: Option<usize>,
    /// Bytes of the adapter file: deltas in their encoding, norms, head and labels.
    pub max_adapter_bytes: Option<usize>,
    /// Bytes of memory that the run may take of its own: beside the mapped base, the examples and the program.
    pub max_memory: Option<usize>,
    /// Time from the start of the run.
    pub max_time: Option<Duration>,
    /// Steps of the optimizer, in all phases but the head's.
    pub max_steps: Option<usize>,
}

impl Budget {
    /// At most `count` active layers, and nothing else stated.
    pub fn layers(count: usize) -> Self {
        Self { max_active_layers: Some(count), ..Self::default() }
    }

    /// Whether it limits which layers may be active, so that they are chosen once and for all.
    pub fn limits_layers(&self) -> bool {
        let layers = self.max_active_layers.is_some() || self.max_layer_bytes.is_some();
        layers || self.max_adapter_bytes.is_some() || self.max_memory.is_some()
    }

    /// The same with room for `times` as much of what the layers themselves take up.
    pub(super) fn widened(&self, times: usize) -> Self {
        let wider = |limit: Option<usize>| limit.map(|limit| limit.saturating_mul(times));
        Self {
            max_active_layers: wider(self.max_active_layers),
            max_layer_bytes: wider(self.max_layer_bytes),
            max_adapter_bytes: wider(self.max_adapter_bytes),
            ..*self
        }
    }

    /// Whether layers have to be weighed by what they cost, and not by their worth alone.
    pub(super) fn weighs(&self) -> bool {
        self.max_adapter_bytes.is_some() || self.max_memory.is_some()
    }

    /// Refuses an adapter that takes more than it may; `what` makes it up.
    pub(super) fn check_adapter(&self, bytes: usize, what: impl Into<String>) -> Result<(), Error> {
        let advice = "another encoding, frozen norms or fewer classes";
        check("the adapter", self.max_adapter_bytes, bytes, what, advice)
    }

    /// Refuses a phase, called `what`, that takes more memory than it may.
    pub(super) fn check_memory(&self, bytes: usize, what: impl Into<String>) -> Result<(), Error> {
        check("memory", self.max_memory, bytes, what, "smaller inputs, fewer examples or a smaller batch")
    }
}

fn check(
    of: &'static str,
    limit: Option<usize>,
    least: usize,
    what: impl Into<String>,
    advice: &'static str,
) -> Result<(), Error> {
    match limit {
        Some(asked) if least > asked => {
            let (asked, least) = (Amount::Bytes(asked), Amount::Bytes(least));
            Err(Error::Budget { of, asked, least, what: what.into(), advice })
        }
        _ => Ok(()),
    }
}
