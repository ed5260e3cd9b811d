//! How strongly an adapter changes the layers of its network.

use crate::base::Base;
use crate::format::{Adapter, Encoding, Entry, Role};
use crate::kernels::squared_norm;
use crate::models::Model;
use crate::runtime::{Network, Part};

/// Products that a norm may take.
const WORK: u64 = 1 << 34;

/// Norm of a delta beside the norm of the base tensor it is added to, whose shape it has.
pub(super) fn relative(base: &Base, entry: &Entry<'_>) -> Option<f32> {
    if entry.role != Role::Delta {
        return None;
    }
    let weight = base.tensor(base.find(entry.name)?).to_vec();
    Some(norm(&decoded(entry)?) / norm(&weight).max(f32::MIN_POSITIVE))
}

/// Root of the mean square of a delta's values. No base says that its shape is a real one, and a few bytes can state any:
/// there is no room for more than the numbers in the file.
fn absolute(entry: &Entry<'_>) -> Option<f32> {
    let sum: f64 = match entry.encoding {
        Encoding::Sparse { .. } => entry.nonzeros().ok()?.map(|value| f64::from(value).powi(2)).sum(),
        Encoding::LowRank { rank, .. } => product_squares(entry, rank as usize)?,
        _ => f64::from(squared_norm(&decoded(entry)?)),
    };
    Some((sum / entry.elements().max(1) as f64).sqrt() as f32)
}

/// Sum of the squares of a product of two factors: of LᵀL times RRᵀ, element by element. None where that is too much work.
fn product_squares(entry: &Entry<'_>, rank: usize) -> Option<f64> {
    let factors: Vec<f32> = entry.factors().ok()?.collect();
    if (factors.len() as u64).checked_mul(rank as u64)? > WORK {
        return None;
    }
    let rows = usize::try_from(*entry.shape.dims().first()?).ok()?;
    let (left, right) = factors.split_at_checked(rows.checked_mul(rank)?)?;
    let width = right.len() / rank.max(1);
    let product = |a: f32, b: f32| f64::from(a) * f64::from(b);
    let mut sum = 0.0;
    for k in 0..rank {
        for l in 0..rank {
            let of_left: f64 = left.chunks_exact(rank).map(|row| product(row[k], row[l])).sum();
            let (a, b) = (&right[k * width..][..width], &right[l * width..][..width]);
            sum += of_left * a.iter().zip(b).map(|(a, b)| product(*a, *b)).sum::<f64>();
        }
    }
    // Rounding can leave less than nothing.
    Some(sum.max(0.0))
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
