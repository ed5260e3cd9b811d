//! What layers are worth by their gradients at the base.

use super::adapted::Adapted;
use super::error::Error;
use super::place::{BackwardOptions, Ready};
use super::select::Worth;
use crate::kernels::{Tensor, Workspace, cross_entropy};
use crate::runtime::{Examples, LayerId, Network};

/// Mean squared norm of each tapped layer's gradient over `batches`, with the base's weights and the
/// task's head. Each gradient is reduced to its norm and freed as it is formed; with `recompute` activations are computed
/// again rather than kept.
///
/// # Errors
/// As [`Network::logits`].
pub fn probe(
    network: &impl Network,
    weights: &Adapted,
    examples: &dyn Examples,
    batches: &[Vec<usize>],
    workspace: &Workspace,
    recompute: bool,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<Vec<Worth>, Error> {
    probe_at(&Ready::Host(weights), network, examples, batches, (workspace, recompute), progress)
}

/// As [`probe`], where the weights are.
pub(super) fn probe_at(
    weights: &Ready<'_, Adapted>,
    network: &impl Network,
    examples: &dyn Examples,
    batches: &[Vec<usize>],
    (workspace, recompute): (&Workspace, bool),
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<Vec<Worth>, Error> {
    let layout = network.layout();
    let mut wanted = vec![false; layout.len()];
    layout.tapped().for_each(|id| wanted[id.index()] = true);
    let mut sums = vec![0.0; layout.len()];
    for batch in batches {
        let labels: Vec<usize> = batch.iter().map(|&index| examples.label(index)).collect();
        let way = BackwardOptions { wanted: &wanted, batch_statistics: false, recompute };
        let loss = |logits: &Tensor| cross_entropy(workspace, logits, &labels, 0.0);
        let mut sink = |id: LayerId, norm: f32| sums[id.index()] += norm;
        let loss = weights.norms(network, &examples.batch(batch)?, workspace, way, loss, &mut sink)?;
        if let Some(layer) = layout.tapped().find(|id| !sums[id.index()].is_finite()) {
            let what = format!("the gradient of {}", layout.layer(layer).name);
            return Err(Error::NotFinite { what, loss });
        }
        if !progress(loss) {
            break;
        }
    }
    let count = batches.len().max(1) as f32;
    let worth = |layer: LayerId| Worth { layer, value: sums[layer.index()] / count, chosen: false };
    Ok(layout.tapped().map(worth).collect())
}
