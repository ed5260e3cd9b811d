//! A task: for each layer either the base's tensors or that adapter's merged ones. Immutable once built.

use std::sync::Arc;

use super::landing::Landing;
use super::{Error, LayerId, Layout, Network, Param, Part, Settings, WeightRef, Weights};
use crate::format::{Adapter, Digest};

/// A task whose classes have names.
pub trait Labelled {
    /// Class names of its head; empty where it has none.
    fn labels(&self) -> &[String];
}

/// One base seen through one adapter, or the base itself.
pub struct Task {
    name: String,
    labels: Vec<String>,
    digest: Option<Digest>,
    settings: Settings,
    layout: Arc<Layout>,
    slots: Box<[Slot]>,
}

/// What a task has of its own in one layer, by the number of its part; where it has nothing, the base's tensor
/// is used.
type Slot = [Option<Box<[f32]>>; Part::ALL.len()];

impl Task {
    /// The base as a task: no layer is its own, but for a head that is the mean of several.
    pub fn of_base(network: &impl Network) -> Self {
        let layout = network.layout().clone();
        let mut slots: Box<[Slot]> = layout.layers().map(|_| Slot::default()).collect();
        if layout.mean_of().iter().flatten().any(|param| param.tensor.is_some()) {
            let [weight, bias] = mean_head(&layout);
            let head = &mut slots[layout.head().index()];
            (head[Part::Weight as usize], head[Part::Bias as usize]) = (Some(weight), Some(bias));
        }
        Self {
            name: "base".to_owned(),
            labels: layout.labels().to_vec(),
            digest: None,
            settings: network.settings(),
            slots,
            layout,
        }
    }

    /// Checks a parsed adapter against the network's base and merges its layers. `origin` is where the adapter
    /// came from, for messages.
    ///
    /// # Errors
    /// If it was made for another architecture or base or with other settings, or any entry does not land on the tensor it
    /// was made for: then nothing is built.
    pub fn build(network: &impl Network, adapter: &Adapter<'_>, origin: &str) -> Result<Self, Error> {
        Self::build_despite(network, adapter, origin, &[])
    }

    /// As [`Task::build`], also where the settings of these names are others than the network's.
    ///
    /// # Errors
    /// As [`Task::build`].
    pub fn build_despite(
        network: &impl Network,
        adapter: &Adapter<'_>,
        origin: &str,
        names: &[&str],
    ) -> Result<Self, Error> {
        let landing = Landing::new(network, adapter, origin, names)?;
        let mut task = Self::of_base(network);
        let base = network.layout().base();
        let merged = landing.each(|landed| landed.merged(base, origin));
        for (landed, values) in landing.entries.iter().zip(merged) {
            task.slots[landed.layer.index()][landed.part as usize] = Some(values?);
        }
        (task.name, task.labels, task.digest) = (landing.name, landing.labels, Some(landing.digest));
        task.settings = landing.settings;
        Ok(task)
    }

    /// Class names of its head; empty where it has none.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What its adapter was made with, as the size of the images or the longest text; for the base what its network is open
    /// with. Adapters of format versions before 3 have none.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether it is one of this network.
    pub(super) fn is_of(&self, layout: &Arc<Layout>) -> bool {
        Arc::ptr_eq(&self.layout, layout)
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

/// One linear layer over the features of all parts, whose scores are the mean of those of the base's heads over one part
/// each: `[classes, parts * each]` and `[classes]`.
fn mean_head(layout: &Layout) -> [Box<[f32]>; 2] {
    let share = 1.0 / layout.mean_of().len() as f32;
    let floats = |param: &Param| param.tensor.map_or_else(Vec::new, |id| layout.base().tensor(id).to_vec());
    let heads: Vec<[Vec<f32>; 2]> = layout.mean_of().iter().map(|head| head.each_ref().map(floats)).collect();
    let classes = layout.labels().len();
    let each = layout.features() / heads.len();
    let weight =
        (0..classes).flat_map(|class| heads.iter().flat_map(move |[weight, _]| &weight[class * each..][..each]));
    let bias = (0..classes).map(|class| heads.iter().map(|[_, bias]| bias[class] * share).sum());
    [weight.map(|value| value * share).collect(), bias.collect()]
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
                Some(WeightRef::Base(self.layout.base().tensor(id)))
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
