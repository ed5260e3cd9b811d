//! How much the layers of a base were found worth, kept to choose by again.

use serde::{Deserialize, Serialize};

use super::progress::Observer;
use super::select::Worth;
use super::trainer::Run;
use super::{Config, Data, Error, Method, Select};
use crate::base::Base;
use crate::runtime::Network;

/// The tapped layers of a network with what a probe found each worth on some examples, the worthiest first.
///
/// The order of layers holds across tasks to a degree (TraDy), so a ranking can
/// be shipped with a base, and a fine-tune that uses it needs no probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// What `worth` is.
    pub criterion: String,
    /// Architecture of the network.
    pub architecture: String,
    /// Every tapped layer.
    pub layers: Vec<Ranked>,
}

/// A layer in a [`Ranking`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Name of the layer.
    pub name: String,
    /// Mean squared norm of its gradient at the base.
    pub worth: f32,
}

/// Ranks the layers of `network` by a probe: a head is fitted for [`Config::warm_epochs`] to the examples over the
/// frozen base, and gradients of [`Config::probe_batches`] batches are formed and reduced to their norms.
///
/// # Errors
/// As [`super::fine_tune`].
pub fn rank<'a>(
    base: &Base,
    network: &impl Network,
    data: impl Into<Data<'a>>,
    config: &Config,
    observer: &mut dyn Observer,
) -> Result<Ranking, Error> {
    let config = &Config { method: Method::Taps, select: Select::Probe, head_epochs: 0, ..config.clone() };
    let mut run = Run::checked(base, network, data.into(), config)?;
    let heads = run.heads(observer)?;
    let bare = run.with_head(heads.warm.as_ref());
    let mut worth = run.probe(&bare, observer)?;
    worth.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.layer.cmp(&b.layer)));
    let ranked = |worth: Worth| Ranked { name: network.layout().layer(worth.layer).name.clone(), worth: worth.value };
    Ok(Ranking {
        criterion: "squared gradient".to_owned(),
        architecture: network.architecture().to_owned(),
        layers: worth.into_iter().map(ranked).collect(),
    })
}

impl Ranking {
    /// What each tapped layer of a network is worth by it, in network order.
    ///
    /// # Errors
    /// If it ranks other layers than the network has.
    pub(super) fn worth(&self, network: &impl Network) -> Result<Vec<Worth>, Error> {
        let layout = network.layout();
        let of = |layer| {
            let name = &layout.layer(layer).name;
            let ranked = self.layers.iter().find(|ranked| ranked.name == *name);
            let value = ranked.map(|ranked| ranked.worth).ok_or_else(|| Error::Ranking {
                architecture: self.architecture.clone(),
                reason: format!("it does not rank the layer {name}"),
            })?;
            match value.is_finite() && value >= 0.0 {
                true => Ok(Worth { layer, value, chosen: false }),
                false => Err(Error::Ranking {
                    architecture: self.architecture.clone(),
                    reason: format!("the layer {name} has worth {value}"),
                }),
            }
        };
        layout.tapped().map(of).collect()
    }
}
