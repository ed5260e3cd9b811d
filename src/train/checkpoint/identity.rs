//! Which run a checkpoint is of.

use serde::{Deserialize, Serialize};

use crate::format::Digest;
use crate::runtime::{Examples, Input, Network};
use crate::train::trainer::Run;
use crate::train::{Config, Error};

/// Examples at each end of the training set whose content is looked at.
const LOOKED_AT: usize = 4;

/// Digests of what a run depends on.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    base: Digest,
    settings: Digest,
    examples: Digest,
}

impl Identity {
    pub(super) fn of<N: Network>(run: &Run<'_, N>) -> Result<Self, Error> {
        // How many threads there are changes what is rounded how, and not what is computed.
        let settings = Config { threads: 1, ..run.config.clone() };
        let settings = format!("{} {} {settings:?}", env!("CARGO_PKG_VERSION"), run.network.architecture());
        let mut examples = Vec::new();
        add(&mut examples, run.data.train)?;
        if let Some(validation) = run.data.validation {
            add(&mut examples, validation)?;
        }
        Ok(Self {
            base: run.base.content(),
            settings: Digest::of(settings.as_bytes()),
            examples: Digest::of(&examples),
        })
    }

    /// What differs from another run, if anything does.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        let differs = [
            ("the base differs", self.base != other.base),
            ("the settings differ", self.settings != other.settings),
            ("the examples differ", self.examples != other.examples),
        ];
        differs.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what)
    }
}

/// Adds the classes, labels and sizes of all examples, and what the first and last ones look like in training.
fn add(bytes: &mut Vec<u8>, examples: &dyn Examples) -> Result<(), Error> {
    for class in examples.classes() {
        bytes.extend(class.as_bytes());
        bytes.push(0);
    }
    for index in 0..examples.len() {
        bytes.extend((examples.label(index) as u32).to_le_bytes());
        bytes.extend((examples.rows(index) as u32).to_le_bytes());
    }
    let ends: Vec<usize> =
        (0..examples.len()).filter(|&index| index < LOOKED_AT || index + LOOKED_AT >= examples.len()).collect();
    match examples.training_batch(&ends, 0)? {
        Input::Tokens(tokens) => bytes.extend(tokens.ids.iter().flat_map(|id| id.to_le_bytes())),
        Input::Images(images) => bytes.extend(images.pixels.iter().flat_map(|pixel| pixel.to_le_bytes())),
    }
    Ok(())
}
