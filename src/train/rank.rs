//! Layers ranked by a probe.

use super::config::{Config, Method, Select};
use super::data::Data;
use super::error::Error;
use super::progress::Observer;
use super::ranking::{Ranked, Ranking};
use super::run::Run;
use super::select::Worth;
use crate::base::Base;
use crate::runtime::Network;

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
