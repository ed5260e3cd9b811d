//! What a tuned task has in one layer.

use serde::{Deserialize, Serialize};

use super::adapted::Adapted;
use crate::runtime::{LayerId, Layout, Part};

/// Values of one layer: deltas, or a head's own, or statistics.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct TunedLayer {
    pub(super) id: LayerId,
    pub(super) parts: Vec<(Part, Vec<f32>)>,
}

impl TunedLayer {
    /// Bytes of its values.
    pub(super) fn bytes(&self) -> usize {
        size_of::<f32>() * self.parts.iter().map(|(_, values)| values.len()).sum::<usize>()
    }

    /// Everything of the task's own that is in use.
    pub(super) fn snapshot(adapted: &Adapted, layout: &Layout) -> Vec<Self> {
        let used = layout.layers().filter(|&(id, _)| adapted.is_active(id));
        let parts = |id| {
            let values = |part| Some((part, adapted.delta(id, part)?.to_vec()));
            Part::ALL.into_iter().filter_map(values).collect()
        };
        used.map(|(id, _)| Self { id, parts: parts(id) }).collect()
    }
}
