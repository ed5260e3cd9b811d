//! What a fine-tune learns from.

use super::{Config, Error, Method, Patch};
use crate::runtime::{self, Checked, Examples, LayerKind, Layout, Network, Settings};

/// Examples to train on, and perhaps others to validate with.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// What is trained on.
    pub train: &'a dyn Examples,
    /// What the best epoch is chosen by; without it a share of `train` is held out.
    pub validation: Option<&'a dyn Examples>,
}

impl<'a, E: Examples> From<&'a E> for Data<'a> {
    fn from(train: &'a E) -> Self {
        Self { train, validation: None }
    }
}

impl<'a> From<&'a dyn Examples> for Data<'a> {
    fn from(train: &'a dyn Examples) -> Self {
        Self { train, validation: None }
    }
}

/// [`Data`] whose labels and batches are checked.
#[derive(Clone, Copy)]
pub(super) struct Sets<'a> {
    pub(super) train: Checked<'a>,
    pub(super) validation: Option<Checked<'a>>,
}

impl<'a> Sets<'a> {
    /// Checks every label.
    pub(super) fn new(data: Data<'a>) -> Result<Self, Error> {
        Ok(Self { train: Checked::new(data.train)?, validation: data.validation.map(Checked::new).transpose()? })
    }

    /// What is validated with.
    pub(super) fn held(&self) -> &Checked<'a> {
        self.validation.as_ref().unwrap_or(&self.train)
    }

    /// What an adapter that is trained on these is bound to.
    ///
    /// # Errors
    /// If the examples were made with other settings than the network is open with, or those to validate with than the
    /// others.
    pub(super) fn settings(&self, network: &impl Network) -> Result<Settings, Error> {
        let (own, made) = (network.settings(), self.train.settings());
        let differs = |whose: &str, made: &Settings, own: &Settings| match made.differences(own).into_iter().next() {
            Some(differs) => Err(runtime::Error::Setting {
                origin: whose.to_owned(),
                name: differs.name,
                adapter: differs.own,
                found: differs.other,
            }),
            None => Ok(()),
        };
        differs("the examples", &made, &own)?;
        if let Some(validation) = &self.validation {
            differs("the validation examples", &validation.settings(), &made)?;
        }
        Ok(own.and(&made))
    }
}

impl Data<'_> {
    /// Checks that there is something to learn, and that method and network suit it.
    pub(super) fn check(&self, config: &Config, layout: &Layout) -> Result<(), Error> {
        let classes = self.train.classes();
        if self.train.len() < 2 || classes.len() < 2 {
            return Err(Error::TooFewExamples { examples: self.train.len(), classes: classes.len() });
        }
        if let Some(validation) = self.validation
            && validation.classes() != classes
        {
            return Err(Error::Classes { whose: "the validation examples", found: validation.classes().join(", ") });
        }
        if !config.own_head && layout.labels() != classes {
            return Err(Error::Classes { whose: "the base's head, which is kept,", found: layout.labels().join(", ") });
        }
        let depthwise = config.method == Method::Patch(Patch::Depthwise);
        if depthwise && layout.layers().all(|(_, layer)| layer.kind != LayerKind::Depthwise) {
            return Err(Error::NoDepthwise);
        }
        if !config.own_head && config.method == Method::Head {
            return Err(Error::NothingToTrain);
        }
        Ok(())
    }
}
