//! How much the layers of a base were found worth, kept to choose by again.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::select::Worth;
use crate::files::read_json;
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

impl Ranking {
    /// Reads the file of a ranking, JSON with these fields.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::NoRanking`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let unusable = |reason| Error::NoRanking { path: path.to_owned(), reason };
        serde_json::from_value(read_json(path)?).map_err(|error| unusable(error.to_string()))
    }

    /// What each tapped layer of a network is worth by it, in network order.
    ///
    /// # Errors
    /// [`Error::Ranking`] if it is of another architecture, does not rank each of these layers once and nothing else, or has
    /// a worth that is no number from 0 on.
    pub fn worth(&self, network: &impl Network) -> Result<Vec<Worth>, Error> {
        let layout = network.layout();
        let unusable = |reason| Error::Ranking { architecture: self.architecture.clone(), reason };
        if self.architecture != network.architecture() {
            return Err(unusable(format!("the network is of {}", network.architecture())));
        }
        let mut ranked = BTreeMap::new();
        for Ranked { name, worth } in &self.layers {
            if !worth.is_finite() || *worth < 0.0 {
                return Err(unusable(format!("the layer {name} has worth {worth}")));
            }
            if ranked.insert(name.as_str(), *worth).is_some() {
                return Err(unusable(format!("it ranks the layer {name} twice")));
            }
        }
        let mut of = |layer| {
            let name = layout.layer(layer).name.as_str();
            let value = ranked.remove(name).ok_or_else(|| unusable(format!("it does not rank the layer {name}")))?;
            Ok::<_, Error>(Worth { layer, value, chosen: false })
        };
        let worth = layout.tapped().map(&mut of).collect::<Result<_, Error>>()?;
        match ranked.keys().next() {
            Some(name) => Err(unusable(format!("the network has no layer {name} to tune"))),
            None => Ok(worth),
        }
    }
}
