//! Where the entries of an adapter land on a base: checked, and not merged yet.

use rayon::prelude::*;

use super::{Error, LayerId, LayerKind, Layout, Network, Part, Setting, Settings};
use crate::base::{Base, TensorId};
use crate::format::{self, Adapter, Digest, Entry, Role};

/// Elements of an adapter under which its layers are gone through in turn: waking other threads would take longer.
const IN_TURN: usize = 4 << 20;

/// An adapter that suits a base. The values of its entries have not been looked at.
pub(crate) struct Landing<'a> {
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) digest: Digest,
    pub(crate) settings: Settings,
    pub(crate) entries: Vec<Landed<'a>>,
}

/// An entry, and the tensor that it is for.
pub(crate) struct Landed<'a> {
    pub(crate) layer: LayerId,
    pub(crate) part: Part,
    /// Of a delta the tensor of the base that it is added to.
    pub(crate) base: Option<TensorId>,
    pub(crate) entry: Entry<'a>,
}

impl<'a> Landing<'a> {
    /// Checks an adapter against the network and its base. `origin` is where the adapter came from, for messages; the
    /// settings called `names` may be others than the network's.
    ///
    /// # Errors
    /// If it was made for another architecture or base or with other settings, or any entry does not land on the tensor it
    /// was made for.
    pub(crate) fn new(
        network: &impl Network,
        adapter: &Adapter<'a>,
        origin: &str,
        names: &[&str],
    ) -> Result<Self, Error> {
        let base = network.layout().base();
        if adapter.architecture() != network.architecture() {
            let (adapter, base) = (adapter.architecture().to_owned(), network.architecture().to_owned());
            return Err(Error::WrongArchitecture { origin: origin.to_owned(), adapter, base });
        }
        base.check_unchanged()?;
        if adapter.base() != base.fingerprint() {
            let (adapter, base) = (adapter.base(), base.fingerprint());
            return Err(Error::WrongBase { origin: origin.to_owned(), adapter, base });
        }
        let settings = check_settings(network, adapter, origin, names)?;
        let layout = network.layout();
        let entries: Vec<Entry<'_>> = adapter.entries().collect();
        // The first that is wrong is told, whichever was found first.
        let landed = in_parts(&entries, |entry| entry, |entry| landed(base, layout, entry, origin));
        let entries = landed.into_iter().collect::<Result<Vec<_>, _>>()?;
        let has_head = entries.iter().any(|landed| landed.layer == layout.head());
        let labels = match adapter.labels().len() > 0 || has_head {
            true => adapter.labels().map(str::to_owned).collect(),
            false => layout.labels().to_vec(),
        };
        let this = Self { name: adapter.task().to_owned(), labels, digest: adapter.digest(), settings, entries };
        this.check_head(layout, origin)?;
        Ok(this)
    }

    /// What `body` makes of each entry, on several threads where there are many values.
    pub(crate) fn each<R: Send>(&self, body: impl Fn(&Landed<'a>) -> R + Send + Sync) -> Vec<R> {
        in_parts(&self.entries, |landed| &landed.entry, body)
    }

    /// Weight, bias and labels of the head must be of the same classes.
    fn check_head(&self, layout: &Layout, origin: &str) -> Result<(), Error> {
        let elements = |part| {
            let own = self.entries.iter().find(|landed| (landed.layer, landed.part) == (layout.head(), part));
            let base = || layout.layer(layout.head()).param(part).filter(|param| param.tensor.is_some());
            own.map(|own| own.entry.elements()).or_else(|| Some(base()?.elements())).unwrap_or(0)
        };
        let (weight, biases) = (elements(Part::Weight), elements(Part::Bias));
        let (labels, classes) = (self.labels.len(), weight / layout.features().max(1));
        if biases != classes || labels != classes {
            return Err(Error::Labels { origin: origin.to_owned(), labels, biases, classes });
        }
        Ok(())
    }
}

impl Landed<'_> {
    /// The values that the task has there: what the entry holds, added to the base's where it is a delta.
    ///
    /// # Errors
    /// If a value is none that the format allows, a sum is not finite, or a variance is negative.
    pub(crate) fn merged(&self, base: &Base, origin: &str) -> Result<Box<[f32]>, Error> {
        let mut values = vec![0.0; self.entry.elements()].into_boxed_slice();
        let decoded = match self.base {
            Some(id) => {
                let weight = base.tensor(id);
                let copy = |first: usize, part: &mut [f32]| weight.slice(first, part.len()).convert_into(part);
                self.entry.add_to_copy(&mut values, copy)
            }
            None => self.entry.decode_into(&mut values),
        };
        decoded.map_err(|source| self.refused(source, origin))?;
        if self.base.is_some() && !all_finite(&values) {
            return Err(Error::Overflow { origin: origin.to_owned(), tensor: self.entry.name.to_owned() });
        }
        if self.part == Part::Variance && values.iter().any(|&value| value < 0.0) {
            let (origin, tensor) = (origin.to_owned(), self.entry.name.to_owned());
            return Err(Error::NegativeVariance { origin, tensor });
        }
        Ok(values)
    }

    /// That its values are refused.
    pub(crate) fn refused(&self, source: crate::format::Error, origin: &str) -> Error {
        Error::Values { origin: origin.to_owned(), tensor: self.entry.name.to_owned(), source }
    }
}

/// Checks what the adapter was made with against what the network is open with, and returns it.
fn check_settings(
    network: &impl Network,
    adapter: &Adapter<'_>,
    origin: &str,
    names: &[&str],
) -> Result<Settings, Error> {
    let (own, made) = (network.settings(), Settings::of_adapter(adapter));
    let of_network = own.iter().map(|setting| (setting.name.as_str(), Some(setting.value.as_str())));
    let known = of_network.filter(|(name, _)| !names.contains(name));
    let known = known.chain(Settings::OF_TEXTS.into_iter().chain(names.iter().copied()).map(|name| (name, None)));
    let origin = || origin.to_owned();
    adapter.check_settings(known).map_err(|error| match error {
        format::Error::UnknownSetting { setting } => match made.iter().nth(setting) {
            Some(Setting { name, value, .. }) => {
                Error::UnknownSetting { origin: origin(), name: name.clone(), value: value.clone() }
            }
            None => Error::Format { origin: origin(), source: error },
        },
        format::Error::OtherSetting { setting } => match made.iter().nth(setting) {
            Some(Setting { name, value, .. }) => {
                let found = own.get(name).unwrap_or_default().to_owned();
                Error::Setting { origin: origin(), name: name.clone(), adapter: value.clone(), found }
            }
            None => Error::Format { origin: origin(), source: error },
        },
        source => Error::Format { origin: origin(), source },
    })?;
    Ok(made)
}

/// Whether no value is infinite or not a number, of many that are looked at for the first time.
fn all_finite(values: &[f32]) -> bool {
    // The exponent of all ones is that of such values alone. Without an early end it is a few instructions for many values.
    const ALL_ONES: u32 = 0x7f80_0000;
    values.iter().fold(0, |found, value| found | u32::from(value.to_bits() & ALL_ONES == ALL_ONES)) == 0
}

/// Checks one entry against the tensor it is for.
fn landed<'a>(base: &Base, layout: &Layout, entry: &Entry<'a>, origin: &str) -> Result<Landed<'a>, Error> {
    let (origin, tensor) = (|| origin.to_owned(), || entry.name.to_owned());
    let is_statistics = entry.role == Role::Statistics;
    let place = layout.find(entry.name);
    let place = place.filter(|(_, part)| matches!(part, Part::Mean | Part::Variance) == is_statistics);
    let Some((id, part)) = place else {
        return Err(Error::UnknownTensor { origin: origin(), tensor: tensor(), role: entry.role });
    };
    let layer = layout.layer(id);
    let param = match layer.param(part) {
        Some(param) if entry.role == Role::Replacement || param.tensor.is_some() => param,
        _ => return Err(Error::UnknownTensor { origin: origin(), tensor: tensor(), role: entry.role }),
    };
    let dims = entry.shape.dims();
    let free = usize::from(layer.kind == LayerKind::Head && entry.role == Role::Replacement);
    let fits = dims.len() == param.shape.len()
        && dims.iter().zip(&param.shape).skip(free).all(|(&found, &expected)| found as usize == expected);
    if !fits {
        let expected = match free {
            0 => format!("{:?}", param.shape),
            _ => {
                format!("[classes{}]", param.shape[1..].iter().map(|size| format!(", {size}")).collect::<String>())
            }
        };
        return Err(Error::WrongShape { origin: origin(), tensor: tensor(), expected, found: dims.to_vec() });
    }
    let digest = param.tensor.map(|id| base.digest(id));
    if let Some(adapter) = entry.base
        && digest != Some(adapter)
    {
        let base = digest.map_or("none, since it lacks the tensor".to_owned(), |digest| digest.to_string());
        return Err(Error::WrongDigest { origin: origin(), tensor: tensor(), adapter, base });
    }
    let base = param.tensor.filter(|_| entry.role == Role::Delta);
    Ok(Landed { layer: id, part, base, entry: entry.clone() })
}

/// What `body` makes of each item, on several threads where their entries have many values.
fn in_parts<'e, T: Sync, R: Send>(
    items: &'e [T],
    entry: impl Fn(&'e T) -> &'e Entry<'e>,
    body: impl Fn(&T) -> R + Send + Sync,
) -> Vec<R> {
    let elements = items.iter().map(|item| entry(item).elements()).fold(0, usize::saturating_add);
    match elements < IN_TURN {
        true => items.iter().map(body).collect(),
        false => items.par_iter().map(body).collect(),
    }
}
