//! How strongly an adapter changes the layers of its network.

use crate::base::Base;
use crate::format::{Adapter, Entry, Role};
use crate::kernels::squared_norm;
use crate::models::Model;
use crate::runtime::{Network, Part};

/// Norm of a delta beside the norm of the base tensor it is added to.
pub(super) fn relative(base: &Base, entry: &Entry<'_>) -> Option<f32> {
    if entry.role != Role::Delta {
        return None;
    }
    let weight = base.tensor(base.find(entry.name)?).to_vec();
    Some(norm(&decoded(entry)?) / norm(&weight).max(f32::MIN_POSITIVE))
}

/// Root of the mean square of a delta's values.
fn absolute(entry: &Entry<'_>) -> Option<f32> {
    let delta = decoded(entry)?;
    Some(norm(&delta) / (delta.len().max(1) as f32).sqrt())
}

fn decoded(entry: &Entry<'_>) -> Option<Vec<f32>> {
    let mut values = vec![0.0; entry.elements()];
    entry.decode_into(&mut values).ok().map(|()| values)
}

fn norm(values: &[f32]) -> f32 {
    squared_norm(values).sqrt()
}

/// The layers whose weights an adapter changes, by name, and how strongly: with a base the tapped ones of its
/// network, as shares of its norms; without one those of matrices, as they are.
pub(super) fn layers(adapter: &Adapter<'_>, base: Option<(&Base, &Model)>) -> Vec<(String, f32)> {
    let deltas = adapter.entries().filter(|entry| entry.role == Role::Delta);
    let layer = |entry: Entry<'_>| match base {
        Some((base, model)) => {
            let (id, part) = model.layout().find(entry.name)?;
            let layer = model.layout().layer(id);
            let tapped = layer.kind.is_tapped() && part == Part::Weight;
            tapped.then(|| relative(base, &entry).map(|change| (layer.name.clone(), change)))?
        }
        None => {
            let matrix = entry.shape.dims().len() > 1;
            let name = entry.name.strip_suffix(".weight").unwrap_or(entry.name);
            matrix.then(|| absolute(&entry).map(|change| (name.to_owned(), change)))?
        }
    };
    deltas.filter_map(layer).collect()
}
