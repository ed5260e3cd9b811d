//! Which layers may become active.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::adapted::Adapted;
use super::error::Error;
use super::gate::Gate;
use crate::runtime::{LayerId, Layout, Network};

/// What a tapped layer was found worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worth {
    /// The layer.
    pub layer: LayerId,
    /// Larger is worth more; comparable within one run only.
    pub value: f32,
    /// Whether it may become active.
    pub chosen: bool,
}

/// Chooses layers of worth above zero, the worthiest first, as far as a cap on layers and a budget of bytes of
/// their f32 deltas allow; one that does not fit the budget is passed over.
pub(super) fn choose(layout: &Layout, layers: &mut [Worth], cap: usize, mut budget: usize) {
    let mut order: Vec<usize> = (0..layers.len()).collect();
    order.sort_by(|&a, &b| layers[b].value.total_cmp(&layers[a].value).then(a.cmp(&b)));
    let mut left = cap;
    for index in order {
        let layer = layout.layer(layers[index].layer);
        let bytes = size_of::<f32>() * layer.elements();
        if layers[index].value > 0.0 && left > 0 && bytes <= budget {
            layers[index].chosen = true;
            left -= 1;
            budget -= bytes;
        }
    }
}

/// Later layers are worth more.
pub(super) fn last(layout: &Layout) -> Vec<Worth> {
    layout.tapped().map(|layer| Worth { layer, value: (layer.index() + 1) as f32, chosen: false }).collect()
}

/// Layers are worth what is drawn.
pub(super) fn random(layout: &Layout, random: &mut ChaCha8Rng) -> Vec<Worth> {
    let mut worth = |layer| Worth { layer, value: random.random_range(f32::EPSILON..1.0), chosen: false };
    layout.tapped().map(&mut worth).collect()
}

/// The layers called by these names; a name also means the layers within it.
pub(super) fn given(network: &impl Network, names: &[String]) -> Result<Vec<Worth>, Error> {
    let layout = network.layout();
    let matches = |layer: LayerId, name: &String| {
        let rest = layout.layer(layer).name.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if let Some(name) = names.iter().find(|name| !layout.tapped().any(|layer| matches(layer, name))) {
        let known: Vec<&str> = layout.tapped().map(|layer| layout.layer(layer).name.as_str()).collect();
        return Err(Error::UnknownLayer { name: name.clone(), known: known.join(", ") });
    }
    let worth = |layer| {
        let chosen = names.iter().any(|name| matches(layer, name));
        Worth { layer, value: f32::from(u8::from(chosen)), chosen }
    };
    Ok(layout.tapped().map(worth).collect())
}

/// Scores of candidates as worth, which is above zero for those that were not freed.
pub(super) fn candidates(network: &impl Network, adapted: &Adapted) -> Vec<Worth> {
    by_gate(network, adapted, |gate| gate.score().max(f32::MIN_POSITIVE))
}

/// Scores of a trained set of gates as worth; a closed one is worth nothing.
pub(super) fn scores(network: &impl Network, adapted: &Adapted) -> Vec<Worth> {
    by_gate(network, adapted, |gate| if gate.is_open() { gate.score() } else { 0.0 })
}

/// What each gate says that its layer is worth; a layer without one is worth nothing.
fn by_gate(network: &impl Network, adapted: &Adapted, value: impl Fn(&Gate) -> f32) -> Vec<Worth> {
    let of = |layer| adapted.gated().find(|&(id, _)| id == layer).map_or(0.0, |(_, gate)| value(gate));
    network.layout().tapped().map(|layer| Worth { layer, value: of(layer), chosen: false }).collect()
}
