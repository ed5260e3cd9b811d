//! A task: for each layer either the base's tensors or that adapter's merged ones. Immutable once built.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Error, Labelled, LayerId, LayerKind, Layout, Network, Part, WeightRef, Weights};
use crate::base::Base;
use crate::format::{Adapter, Digest, Entry, Role};

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

/// The place of one entry, and the values there with it.
type Landed = ((LayerId, Part), Box<[f32]>);

/// Elements of an adapter under which its layers are merged in turn: waking other threads would take longer.
const IN_TURN: usize = 4 << 20;

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
        let origin = || origin.to_owned();
        if adapter.architecture() != network.architecture() {
            let (adapter, base) = (adapter.architecture().to_owned(), network.architecture().to_owned());
            return Err(Error::WrongArchitecture { origin: origin(), adapter, base });
        }
        base.check_unchanged()?;
        if adapter.base() != base.fingerprint() {
            return Err(Error::WrongBase { origin: origin(), adapter: adapter.base(), base: base.fingerprint() });
        }
        let mut task = Self::of_base(base, network);
        task.name = adapter.task().to_owned();
        task.digest = Some(adapter.digest());
        let entries: Vec<Entry<'_>> = adapter.entries().collect();
        let elements = entries.iter().map(|entry| entry.elements()).fold(0, usize::saturating_add);
        let landed: Vec<_> = match elements < IN_TURN {
            true => entries.iter().map(|entry| task.landed(entry, &origin)).collect(),
            false => entries.par_iter().map(|entry| task.landed(entry, &origin)).collect(),
        };
        // The first that is wrong is told, whichever was found first.
        for landed in landed {
            let ((id, part), values) = landed?;
            task.slots[id.index()][part as usize] = Some(values);
        }
        let head = &task.slots[task.layout.head().index()];
        if adapter.labels().len() > 0 || head.iter().any(Option::is_some) {
            task.labels = adapter.labels().map(str::to_owned).collect();
        }
        task.check_head(&origin)?;
        Ok(task)
    }

    /// Checks one entry against the tensor it is for, and merges it.
    fn landed(&self, entry: &Entry<'_>, origin: &impl Fn() -> String) -> Result<Landed, Error> {
        let tensor = || entry.name.to_owned();
        let is_statistics = entry.role == Role::Statistics;
        let place = self.layout.find(entry.name);
        let place = place.filter(|(_, part)| matches!(part, Part::Mean | Part::Variance) == is_statistics);
        let Some((id, part)) = place else {
            return Err(Error::UnknownTensor { origin: origin(), tensor: tensor(), role: entry.role });
        };
        let layer = self.layout.layer(id);
        let param = match layer.param(part) {
            Some(param) if entry.role == Role::Replacement || param.tensor.is_some() => param,
            _ => return Err(Error::UnknownTensor { origin: origin(), tensor: tensor(), role: entry.role }),
        };
        let dims = entry.shape.dims();
        let free = usize::from(layer.kind == LayerKind::Head && entry.role == Role::Replacement);
        let fits = dims.len() == param.shape.len()
            && dims.iter().zip(&param.shape).skip(free).all(|(&found, &expected)| found as usize == expected);
        if !fits {
            let expected = match free {
                0 => format!("{:?}", param.shape),
                _ => {
                    format!("[classes{}]", param.shape[1..].iter().map(|size| format!(", {size}")).collect::<String>())
                }
            };
            return Err(Error::WrongShape { origin: origin(), tensor: tensor(), expected, found: dims.to_vec() });
        }
        let digest = param.tensor.map(|id| self.base.digest(id));
        if let Some(adapter) = entry.base
            && digest != Some(adapter)
        {
            let base = digest.map_or("none, since it lacks the tensor".to_owned(), |digest| digest.to_string());
            return Err(Error::WrongDigest { origin: origin(), tensor: tensor(), adapter, base });
        }
        let mut values = vec![0.0; entry.elements()].into_boxed_slice();
        let decoded = match (entry.role, param.tensor) {
            (Role::Delta, Some(id)) => {
                let weight = self.base.tensor(id);
                entry.add_to_copy(&mut values, |first, part| weight.slice(first, part.len()).convert_into(part))
            }
            _ => entry.decode_into(&mut values),
        };
        decoded.map_err(|source| Error::Values { origin: origin(), tensor: tensor(), source })?;
        if part == Part::Variance && values.iter().any(|&value| value < 0.0) {
            return Err(Error::NegativeVariance { origin: origin(), tensor: tensor() });
        }
        Ok(((id, part), values))
    }

    /// Weight, bias and labels of the head must be of the same classes.
    fn check_head(&self, origin: &impl Fn() -> String) -> Result<(), Error> {
        let elements = |part| self.param(self.layout.head(), part).map_or(0, |weight| weight.elements());
        let (weight, biases) = (elements(Part::Weight), elements(Part::Bias));
        let (labels, classes) = (self.labels.len(), weight / self.layout.features().max(1));
        if biases != classes || labels != classes {
            return Err(Error::Labels { origin: origin(), labels, biases, classes });
        }
        Ok(())
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
