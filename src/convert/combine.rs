//! Several adapters of one base made into one: task arithmetic (arXiv 2212.04089) and TIES (arXiv 2306.01708).

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use super::made::{About, Made, file, summary};
use crate::base::Base;
use crate::format::{Adapter, Encoding, Role};
use crate::runtime::{Network, Settings, Task};

/// How deltas are combined. A layer that an adapter lacks is a delta of zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Combine {
    /// Their sum times a factor.
    Sum {
        /// The factor.
        factor: f32,
    },
    /// Of each delta the largest elements alone; for each element the sign of their sum, and the mean of those with that
    /// sign, times a factor.
    Ties {
        /// Share of the elements that are kept of each delta.
        density: f32,
        /// The factor.
        factor: f32,
    },
}

/// Makes one adapter called `task`. Heads and statistics do not combine: those of the first adapter stay.
///
/// # Errors
/// If there is no adapter, one does not belong to the base, or a setting is out of range.
pub fn combine(
    base: &Base,
    network: &impl Network,
    adapters: &[Adapter<'_>],
    task: &str,
    how: Combine,
) -> Result<Vec<u8>, Error> {
    let (Combine::Sum { factor } | Combine::Ties { factor, .. }) = how;
    if !factor.is_finite() {
        return Err(Error::Setting { name: "factor", found: factor.to_string(), expected: "a number" });
    }
    if let Combine::Ties { density, .. } = how
        && !(density > 0.0 && density <= 1.0)
    {
        return Err(Error::Setting { name: "density", found: density.to_string(), expected: "above 0 and up to 1" });
    }
    let first = adapters.first().ok_or_else(|| Error::Combine {
        task: task.to_owned(),
        reason: "there is no adapter to make it from".to_owned(),
    })?;
    let mut deltas: BTreeMap<&str, Vec<Vec<f32>>> = BTreeMap::new();
    let mut tensors = Vec::new();
    for (number, adapter) in adapters.iter().enumerate() {
        if adapter.base() != base.fingerprint() {
            let reason = "it was made for another base, and deltas of different bases do not add up".to_owned();
            return Err(Error::Combine { task: adapter.task().to_owned(), reason });
        }
        Task::build(network, adapter, adapter.task())?;
        if let Some(differs) =
            Settings::of_adapter(adapter).differences(&Settings::of_adapter(first)).into_iter().next()
        {
            let reason = format!("its {differs}, as that of {}", first.task());
            return Err(Error::Combine { task: adapter.task().to_owned(), reason });
        }
        for entry in adapter.entries() {
            let mut values = vec![0.0; entry.elements()];
            entry.decode_into(&mut values)?;
            match entry.role {
                Role::Delta => deltas.entry(entry.name).or_default().push(values),
                _ if number == 0 => tensors.push(Made {
                    name: entry.name.to_owned(),
                    role: entry.role,
                    encoding: Encoding::F32,
                    shape: entry.shape,
                    digest: entry.base,
                    numbers: values,
                }),
                _ => {}
            }
        }
    }
    let layout = network.layout();
    let is_tapped = |name: &str| layout.find(name).is_some_and(|(id, _)| layout.layer(id).kind.is_tapped());
    let layers = deltas.keys().filter(|name| is_tapped(name)).filter_map(|name| layout.find(name));
    let active = layers.map(|(id, _)| id).collect::<BTreeSet<_>>().len();
    for (name, deltas) in deltas {
        let Some((id, part)) = layout.find(name) else { continue };
        let Some(param) = layout.layer(id).param(part) else { continue };
        tensors.push(Made::new(base, param, Role::Delta, None, combined(&deltas, how))?);
    }
    let labels: Vec<String> = first.labels().map(str::to_owned).collect();
    let method = if matches!(how, Combine::Sum { .. }) { "sum" } else { "ties" };
    let (settings, summary) = (&Settings::of_adapter(first), summary(layout, active, None));
    file(base, network, &About { task, method, labels: &labels, settings, summary }, tensors)
}

/// The deltas of one tensor as one.
fn combined(deltas: &[Vec<f32>], how: Combine) -> Vec<f32> {
    let count = deltas.first().map_or(0, Vec::len);
    match how {
        Combine::Sum { factor } => {
            (0..count).map(|at| factor * deltas.iter().map(|delta| delta[at]).sum::<f32>()).collect()
        }
        Combine::Ties { density, factor } => {
            let trimmed: Vec<Vec<f32>> = deltas.iter().map(|delta| largest(delta, density)).collect();
            let element = |at: usize| {
                let sign = trimmed.iter().map(|delta| delta[at]).sum::<f32>();
                let agreeing = trimmed.iter().map(|delta| delta[at]).filter(|value| value * sign > 0.0);
                let (sum, number) = agreeing.fold((0.0, 0), |(sum, number), value| (sum + value, number + 1));
                factor * sum / number.max(1) as f32
            };
            (0..count).map(element).collect()
        }
    }
}

/// The largest elements of a delta, and zero for all others.
fn largest(delta: &[f32], density: f32) -> Vec<f32> {
    let keep = ((delta.len() as f32 * density).ceil() as usize).min(delta.len());
    let mut sizes: Vec<f32> = delta.iter().map(|value| value.abs()).collect();
    sizes.sort_unstable_by(|a, b| b.total_cmp(a));
    let least = keep.checked_sub(1).map_or(f32::INFINITY, |last| sizes[last]);
    delta.iter().map(|&value| if value.abs() >= least { value } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_keeps_the_largest_and_lets_signs_vote() {
        let deltas = [vec![3.0, -1.0, 0.1, 2.0, 0.0], vec![1.0, 2.0, -0.2, -4.0, 0.0], vec![2.0, -3.0, 0.0, 1.0, 0.0]];
        let all = combined(&deltas, Combine::Ties { density: 1.0, factor: 1.0 });
        assert_eq!(all, [2.0, -2.0, -0.2, -4.0, 0.0]);
        let few = combined(&deltas, Combine::Ties { density: 0.4, factor: 0.5 });
        assert_eq!(few, [1.25, -1.5, 0.0, -2.0, 0.0]);
        assert_eq!(combined(&deltas, Combine::Sum { factor: 2.0 }), [12.0, -4.0, -0.1 * 2.0, -2.0, 0.0]);
    }
}
