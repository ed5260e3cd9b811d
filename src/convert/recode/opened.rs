//! An adapter whose tensors may be exchanged one by one, as weights of its network.

use crate::base::Base;
use crate::convert::Error;
use crate::format::{Adapter, Digest, Encoding, Role, Shape};
use crate::runtime::{LayerId, Layout, Network, Part, Task, WeightRef, Weights};

/// One tensor of an adapter.
pub(super) struct Piece {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) encoding: Encoding,
    pub(super) shape: Shape,
    pub(super) digest: Option<Digest>,
    pub(super) place: (LayerId, Part),
    pub(super) values: Vec<f32>,
}

/// An adapter with its base.
pub(in crate::convert) struct Opened<'a, N> {
    base: &'a Base,
    pub(super) network: &'a N,
    task: String,
    pub(super) pieces: Vec<Piece>,
    /// For each layer the pieces of its parts.
    places: Vec<[Option<usize>; Part::ALL.len()]>,
}

impl<'a, N: Network> Opened<'a, N> {
    /// Opens an adapter that belongs to the base.
    pub(in crate::convert) fn new(base: &'a Base, network: &'a N, adapter: &Adapter<'_>) -> Result<Self, Error> {
        Task::build(network, adapter, adapter.task())?;
        let layout = network.layout();
        let mut places = vec![[None; Part::ALL.len()]; layout.len()];
        let mut pieces = Vec::new();
        for entry in adapter.entries() {
            // Every entry has a place, or it would not have become a task.
            let Some(place) = layout.find(entry.name) else { continue };
            let mut values = vec![0.0; entry.elements()];
            entry.decode_into(&mut values)?;
            places[place.0.index()][place.1 as usize] = Some(pieces.len());
            let (name, role, encoding) = (entry.name.to_owned(), entry.role, entry.encoding);
            pieces.push(Piece { name, role, encoding, shape: entry.shape, digest: entry.base, place, values });
        }
        Ok(Self { base, network, task: adapter.task().to_owned(), pieces, places })
    }

    /// Takes the deltas of a layer back to zero; returns them.
    pub(in crate::convert) fn clear(&mut self, layer: LayerId) -> Vec<(usize, Vec<f32>)> {
        let pieces = self.pieces.iter_mut().enumerate();
        let cleared = pieces.filter(|(_, piece)| piece.place.0 == layer && piece.role == Role::Delta);
        cleared
            .map(|(number, piece)| {
                let zeros = vec![0.0; piece.values.len()];
                (number, std::mem::replace(&mut piece.values, zeros))
            })
            .collect()
    }

    /// What `measure` finds without the deltas of a layer.
    pub(in crate::convert) fn without<R>(&mut self, layer: LayerId, measure: impl FnOnce(&Self) -> R) -> R {
        let cleared = self.clear(layer);
        let found = measure(self);
        cleared.into_iter().for_each(|(number, values)| self.pieces[number].values = values);
        found
    }

    /// What `measure` finds with the values of the piece `number` exchanged.
    pub(super) fn with<R>(&mut self, number: usize, values: &mut Vec<f32>, measure: impl FnOnce(&Self) -> R) -> R {
        std::mem::swap(&mut self.pieces[number].values, values);
        let found = measure(self);
        std::mem::swap(&mut self.pieces[number].values, values);
        found
    }
}

impl<N: Network> Weights for Opened<'_, N> {
    fn param(&self, layer: LayerId, part: Part) -> Option<WeightRef<'_>> {
        let own = self.places[layer.index()][part as usize].map(|number| &self.pieces[number]);
        let tensor = self.network.layout().layer(layer).param(part).and_then(|param| param.tensor);
        let base = tensor.map(|id| self.base.tensor(id));
        match (own, base) {
            (Some(own), Some(base)) if own.role == Role::Delta => Some(WeightRef::Sum(base, &own.values)),
            (Some(own), _) => Some(WeightRef::Merged(&own.values)),
            (None, base) => base.map(WeightRef::Base),
        }
    }

    fn layout(&self) -> &Layout {
        self.network.layout()
    }

    fn name(&self) -> &str {
        &self.task
    }
}
