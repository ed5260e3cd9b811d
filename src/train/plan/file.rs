//! The size of an adapter before its values are known.

use super::task_shape::TaskShape;
use crate::format::{Digest, Draft, MAX_TEXT, Summary};
use crate::runtime::{Layer, LayerId, LayerKind, Network, Param, Part, Settings};
use crate::train::contents::draft_tensor;
use crate::train::{Config, Error};

/// Bytes of the adapter file with the layers that `task` owns and its head, at most: the name of the task counts
/// with the longest it may be.
pub(super) fn adapter_bytes(
    network: &impl Network,
    task: &TaskShape<'_>,
    config: &Config,
    labels: &[String],
    settings: &Settings,
    examples: usize,
) -> Result<usize, Error> {
    let layout = &task.layout;
    let own = |id: LayerId| task.own[id.index()] || id == layout.head() && task.classes.is_some();
    let owned: Vec<_> = layout.layers().filter(|&(id, _)| own(id)).collect();
    let parts = |kind| match (kind, task.statistics) {
        (LayerKind::Norm, true) => Part::ALL.as_slice(),
        _ => &[Part::Weight, Part::Bias],
    };
    let count = |id: LayerId, layer: &Layer, part| match layer.kind {
        LayerKind::Head if part == Part::Weight => task.elements(id),
        LayerKind::Head => labels.len(),
        _ => layer.param(part).map_or(0, Param::elements),
    };
    let zeros = vec![0.0; owned.iter().map(|&(id, _)| task.elements(id)).max().unwrap_or(0).max(labels.len())];
    let mut tensors = Vec::new();
    for &(id, layer) in &owned {
        for &part in parts(layer.kind).iter().filter(|&&part| layer.param(part).is_some()) {
            let encoding = match part {
                Part::Weight if layer.kind.is_tapped() => config.encoding,
                _ => config.rest_encoding,
            };
            let digest = layer.param(part).and_then(|param| param.tensor).map(|_| Digest::of(&[]));
            let values = &zeros[..count(id, layer, part)];
            tensors.push(draft_tensor(layer, part, values, encoding, labels.len(), digest)?);
        }
    }
    tensors.sort_by(|a, b| a.name.cmp(b.name));
    let labels: Vec<&str> = if task.classes.is_some() { labels.iter().map(String::as_str).collect() } else { vec![] };
    let active = owned.iter().filter(|(_, layer)| layer.kind.is_tapped()).count() as u32;
    let summary = Summary {
        max_active_layers: config.budget.max_active_layers.map(|cap| cap as u32),
        active_layers: active,
        layers: layout.tapped().count() as u32,
        steps: u32::MAX,
        examples: examples as u32,
        seed: config.seed,
        validation: Some(0.0),
        ..Summary::default()
    };
    let draft = Draft {
        task: &"t".repeat(MAX_TEXT),
        architecture: network.architecture(),
        method: config.method_name(),
        base: Digest::of(&[]),
        content: Digest::of(&[]),
        summary,
        labels: &labels,
        settings: &settings.drafts(),
        tensors: &tensors,
    };
    Ok(draft.encoded_len()?)
}
