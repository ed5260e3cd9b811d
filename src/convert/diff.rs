//! An adapter from a fine-tuned checkpoint: the layers that matter most, as deltas.

use super::Error;
use super::made::{About, Made, file, summary};
use super::recode::{Measure, Opened, Unit, best, error};
use crate::base::Base;
use crate::format::{Adapter, Role};
use crate::runtime::{Examples, LayerId, LayerKind, Layout, Network, Param, Part, Score, Settings};

/// What a fine-tuned checkpoint is made into.
#[derive(Clone, Copy)]
pub struct Diff<'a> {
    /// Name of the task.
    pub task: &'a str,
    /// The most layers with a delta.
    pub max_active_layers: Option<usize>,
    /// The most bytes of the file.
    pub max_bytes: Option<usize>,
    /// What the adapter is bound to beside the network's own settings, as the tokenizer.
    pub settings: &'a Settings,
    /// Examples to rank layers by: how far the outputs move without each. Without them by the norm of the delta as a share
    /// of that of the base's weight.
    pub examples: Option<&'a dyn Examples>,
    /// Examples that are measured on, at most.
    pub count: usize,
    /// Seed of their choice.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

/// An adapter made from a checkpoint.
#[derive(Debug)]
pub struct Differed {
    /// The file, in f32.
    pub bytes: Vec<u8>,
    /// Layers that the checkpoint changes, in network order, norms and embeddings among them.
    pub layers: Vec<LayerDiff>,
    /// The checkpoint's and the adapter's on the examples.
    pub scores: Option<[Score; 2]>,
    /// Mean divergence of class probabilities from the checkpoint's, in nats.
    pub divergence: Option<f64>,
}

/// One layer that a checkpoint changes.
#[derive(Clone, Debug)]
pub struct LayerDiff {
    /// Which.
    pub layer: LayerId,
    /// Norm of the delta of its weight, as a share of the norm of the base's.
    pub change: f32,
    /// What it was ranked by; none for what is kept or dropped without a ranking.
    pub worth: Option<f64>,
    /// Whether the adapter has it.
    pub kept: bool,
}

/// Makes an adapter of `base` from a checkpoint `tuned` of the same network, as `tuned_network` reads it. Norms and the
/// head come along, embeddings do not; of the other layers those worth most.
///
/// # Errors
/// If the networks differ, the checkpoint's head has no labels, or the limit cannot be kept.
pub fn diff<N: Network>(
    base: &Base,
    network: &N,
    tuned: &Base,
    tuned_network: &N,
    settings: &Diff<'_>,
) -> Result<Differed, Error> {
    let layout = network.layout();
    check(network, tuned, tuned_network)?;
    let changes = changes(base, layout, tuned, tuned_network.layout());
    // Embeddings would outweigh everything else together.
    let lost = |kind| kind == LayerKind::Embedding;
    let all = tensors(base, layout, tuned, tuned_network.layout(), |id| !lost(layout.layer(id).kind))?;
    let bound = network.settings().and(settings.settings);
    let about = |active: usize| About {
        settings: &bound,
        task: settings.task,
        method: "diff",
        labels: tuned_network.layout().labels(),
        summary: summary(layout, active, settings.max_active_layers),
    };
    let tapped: Vec<LayerId> =
        changes.iter().map(|&(id, _)| id).filter(|&id| layout.layer(id).kind.is_tapped()).collect();
    let whole = file(base, network, &about(tapped.len()), all)?;
    let mut opened = Opened::new(base, network, &Adapter::parse(&whole)?)?;
    let measure = settings
        .examples
        .map(|examples| Measure::new(&opened, examples, [settings.count, settings.threads], settings.seed))
        .transpose()?;
    let mut worth = Vec::new();
    for &id in &tapped {
        let change = changes.iter().find(|(of, _)| *of == id).map_or(0.0, |(_, change)| f64::from(*change));
        worth.push(match &measure {
            Some(measure) => opened.without(id, |opened| measure.about(opened))?,
            None => change,
        });
    }
    let bare = tensors(base, layout, tuned, tuned_network.layout(), |id| {
        !lost(layout.layer(id).kind) && !tapped.contains(&id)
    })?;
    let bare = file(base, network, &about(0), bare)?.len();
    let kept = keep(&tapped, &worth, layout, (&whole, bare), settings)?;
    let dropped: Vec<LayerId> = tapped.iter().copied().filter(|id| !kept.contains(id)).collect();
    let left = tensors(base, layout, tuned, tuned_network.layout(), |id| {
        !lost(layout.layer(id).kind) && !dropped.contains(&id)
    })?;
    let bytes = file(base, network, &about(kept.len()), left)?;
    let before = measure.as_ref().map(|measure| measure.score(&opened)).transpose()?;
    dropped.iter().for_each(|&id| drop(opened.clear(id)));
    let after = measure.as_ref().map(|measure| measure.score(&opened)).transpose()?;
    let divergence = measure.as_ref().map(|measure| measure.divergence(&opened)).transpose()?;
    let layers = changes.iter().map(|&(layer, change)| LayerDiff {
        layer,
        change,
        worth: tapped.iter().position(|&id| id == layer).map(|at| worth[at]),
        kept: !lost(layout.layer(layer).kind) && !dropped.contains(&layer),
    });
    Ok(Differed { bytes, layers: layers.collect(), scores: before.zip(after).map(<[Score; 2]>::from), divergence })
}

/// Refuses a checkpoint of another network.
fn check<N: Network>(network: &N, tuned: &Base, tuned_network: &N) -> Result<(), Error> {
    let other = |reason: String| Error::OtherNetwork { path: tuned.path().to_owned(), reason };
    let (layout, found) = (network.layout(), tuned_network.layout());
    if network.architecture() != tuned_network.architecture() {
        return Err(other(format!("it is {} and not {}", tuned_network.architecture(), network.architecture())));
    }
    if let Some(differs) = tuned_network.settings().differences(&network.settings()).into_iter().next() {
        return Err(other(format!("its {differs}, as of the base")));
    }
    if layout.len() != found.len() {
        return Err(other(format!("it has {} layers, and the base {}", found.len(), layout.len())));
    }
    for ((id, layer), (_, other_layer)) in layout.layers().zip(found.layers()) {
        let shapes = Part::ALL.iter().all(|&part| {
            let shape = |param: Option<&Param>| param.map(|param| param.shape.clone());
            let (a, b) = (shape(layer.param(part)), shape(other_layer.param(part)));
            id == layout.head() || a == b
        });
        if layer.kind != other_layer.kind || !shapes {
            return Err(other(format!("its layer {} does not have the shape of {}", other_layer.name, layer.name)));
        }
    }
    let head = found.layer(found.head());
    if head.weight.tensor.is_some() && found.labels().is_empty() {
        return Err(other("its head has no class names: add id2label to its config.json".to_owned()));
    }
    Ok(())
}

/// The layers but the head that differ, with the relative norm of what their weights differ by.
fn changes(base: &Base, layout: &Layout, tuned: &Base, found: &Layout) -> Vec<(LayerId, f32)> {
    let mut changes = Vec::new();
    for ((id, layer), (_, other)) in layout.layers().zip(found.layers()).filter(|((id, _), _)| *id != layout.head()) {
        let (mut differs, mut change) = (false, 0.0);
        for part in Part::ALL {
            let (Some(a), Some(b)) = (layer.param(part), other.param(part)) else { continue };
            let (Some(a), Some(b)) = (a.tensor, b.tensor) else { continue };
            let (a, b) = (base.tensor(a).to_vec(), tuned.tensor(b).to_vec());
            differs |= a != b;
            if part == Part::Weight {
                change = error(&a, &b);
            }
        }
        if differs {
            changes.push((id, change));
        }
    }
    changes
}

/// The tensors of an adapter with the head, and what the layers `wanted` differ by.
fn tensors(
    base: &Base,
    layout: &Layout,
    tuned: &Base,
    found: &Layout,
    wanted: impl Fn(LayerId) -> bool,
) -> Result<Vec<Made>, Error> {
    let mut tensors = Vec::new();
    for ((id, layer), (_, other)) in layout.layers().zip(found.layers()) {
        for part in Part::ALL {
            let (Some(param), Some(theirs)) = (layer.param(part), other.param(part)) else { continue };
            let Some(values) = theirs.tensor.map(|tensor| tuned.tensor(tensor).to_vec()) else { continue };
            if id == layout.head() {
                let classes = theirs.shape.first().copied();
                tensors.push(Made::new(base, param, Role::Replacement, classes, values)?);
                continue;
            }
            let Some(mine) = param.tensor.filter(|_| wanted(id)).map(|tensor| base.tensor(tensor).to_vec()) else {
                continue;
            };
            if mine == values {
                continue;
            }
            tensors.push(match part {
                Part::Mean | Part::Variance => Made::new(base, param, Role::Statistics, None, values)?,
                _ => {
                    let delta = values.iter().zip(&mine).map(|(value, base)| value - base).collect();
                    Made::new(base, param, Role::Delta, None, delta)?
                }
            });
        }
    }
    Ok(tensors)
}

/// The layers that are worth most together within the limits, of those in the file `whole`; without any it has `bare` bytes.
fn keep(
    tapped: &[LayerId],
    worth: &[f64],
    layout: &Layout,
    (whole, bare): (&[u8], usize),
    settings: &Diff<'_>,
) -> Result<Vec<LayerId>, Error> {
    let mut order: Vec<usize> = (0..tapped.len()).collect();
    order.sort_by(|&a, &b| worth[b].total_cmp(&worth[a]));
    order.truncate(settings.max_active_layers.unwrap_or(usize::MAX));
    let mut kept: Vec<LayerId> = order.iter().map(|&at| tapped[at]).collect();
    if let Some(limit) = settings.max_bytes {
        let adapter = Adapter::parse(whole)?;
        // An entry of the manifest takes its name and less than 96 bytes.
        let entry = |name: &str| {
            let found = adapter.entry(name);
            found.map_or(0, |entry| entry.payload.len().next_multiple_of(64) + name.len() + 96)
        };
        let room = |id: LayerId| {
            let names = [Some(&layout.layer(id).weight), layout.layer(id).bias.as_ref()];
            names.into_iter().flatten().map(|param| entry(&param.name)).sum::<usize>()
        };
        if bare > limit {
            return Err(Error::Limit { asked: limit, least: bare, what: "head and norms without any layer" });
        }
        // A longer manifest may need one more step of padding.
        let left = limit.saturating_sub(bare + 64);
        let units: Vec<Unit> = order.iter().map(|&at| Unit::kept_or_not(room(tapped[at]), worth[at])).collect();
        let chosen = best(&units, left).unwrap_or_else(|| vec![1; units.len()]);
        kept = order.iter().zip(chosen).filter(|(_, choice)| *choice == 0).map(|(&at, _)| tapped[at]).collect();
    }
    kept.sort();
    Ok(kept)
}
