//! A task: for each layer either the base's tensors or that adapter's merged ones. Immutable once built.

use std::sync::Arc;

use super::landing::Landing;
use super::{Error, Labelled, LayerId, Layout, Network, Part, WeightRef, Weights};
use crate::base::Base;
use crate::format::{Adapter, Digest};

/// One base seen through one adapter, or the base itself.
pub struct Task {
    name: String,
    labels: Vec<String>,
    digest: Option<Digest>,
    base: Base,
    layout: Arc<Layout>,
    slots: Box<[Slot]>,
}

/// What a task has of its own in one layer, by the number of its part; where it has nothing, the base's tensor
/// is used.
type Slot = [Option<Box<[f32]>>; Part::ALL.len()];

impl Task {
    /// The base as a task: no layer is its own.
    pub fn of_base(base: &Base, network: &impl Network) -> Self {
        let layout = network.layout().clone();
        Self {
            name: "base".to_owned(),
            labels: layout.labels().to_vec(),
            digest: None,
            base: base.clone(),
            slots: layout.layers().map(|_| Slot::default()).collect(),
            layout,
        }
    }

    /// Checks a parsed adapter against the base and merges its layers. `origin` is where the adapter
    /// came from, for messages.
    ///
    /// # Errors
    /// If it was made for another architecture or base, or any entry does not land on the tensor it was
    /// made for: then nothing is built.
    pub fn build(base: &Base, network: &impl Network, adapter: &Adapter<'_>, origin: &str) -> Result<Self, Error> {
        let landing = Landing::new(base, network, adapter, origin)?;
        let mut task = Self::of_base(base, network);
        let merged = landing.each(|landed| landed.merged(base, origin));
        for (landed, values) in landing.entries.iter().zip(merged) {
            task.slots[landed.layer.index()][landed.part as usize] = Some(values?);
        }
        (task.name, task.labels, task.digest) = (landing.name, landing.labels, Some(landing.digest));
        Ok(task)
    }

    /// Class names of its head; empty where it has none.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Digest of the adapter file, to key caches by; `None` for the base.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Layers that are the task's own, in network order.
    pub fn own_layers(&self) -> impl Iterator<Item = LayerId> {
        let own = |(id, _): &(LayerId, _)| self.slots[id.index()].iter().any(Option::is_some);
        self.layout.layers().filter(own).map(|(id, _)| id)
    }

    /// Bytes the task holds beside the base: its merged tensors.
    pub fn own_bytes(&self) -> usize {
        self.slots.iter().flatten().flatten().map(|values| size_of_val::<[f32]>(values)).sum()
    }
}

impl Labelled for Task {
    fn labels(&self) -> &[String] {
        &self.labels
    }
}

impl Weights for Task {
    #[inline]
    fn param(&self, layer: LayerId, part: Part) -> Option<WeightRef<'_>> {
        match &self.slots[layer.index()][part as usize] {
            Some(values) => Some(WeightRef::Merged(values)),
            None => {
                let id = self.layout.layer(layer).param(part)?.tensor?;
                Some(WeightRef::Base(self.base.tensor(id)))
            }
        }
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Name of the task, as its adapter states it.
    fn name(&self) -> &str {
        &self.name
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("name", &self.name).field("own_bytes", &self.own_bytes()).finish_non_exhaustive()
    }
}
