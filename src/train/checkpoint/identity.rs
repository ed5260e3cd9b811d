//! Which run a checkpoint is of.

use serde::{Deserialize, Serialize};

use crate::format::Digest;
use crate::runtime::{Examples, Input, Network};
use crate::train::run::Run;
use crate::train::{Config, Error};

/// Examples that are looked at together.
const BATCH: usize = 256;

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
        let mut examples = blake3::Hasher::new();
        add(&mut examples, &run.data.train)?;
        // What random changes training makes is no setting of the run, and shows in a batch.
        let first: Vec<usize> = (0..run.data.train.len().min(BATCH)).collect();
        add_input(&mut examples, run.data.train.training_batch(&first, 0)?);
        if let Some(validation) = &run.data.validation {
            add(&mut examples, validation)?;
        }
        Ok(Self {
            base: run.base.content(),
            settings: Digest::of(settings.as_bytes()),
            examples: Digest::from_bytes(*examples.finalize().as_bytes()),
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

/// Adds the classes, labels and content of all examples.
fn add(hash: &mut blake3::Hasher, examples: &dyn Examples) -> Result<(), Error> {
    for class in examples.classes() {
        hash.update(class.as_bytes());
        hash.update(&[0]);
    }
    let indices: Vec<usize> = (0..examples.len()).collect();
    for batch in indices.chunks(BATCH) {
        for &index in batch {
            hash.update(&(examples.label(index) as u64).to_le_bytes());
            hash.update(&(examples.rows(index) as u64).to_le_bytes());
        }
        add_input(hash, examples.batch(batch)?);
    }
    Ok(())
}

fn add_input(hash: &mut blake3::Hasher, input: Input) {
    match input {
        Input::Tokens(tokens) => tokens.ids.iter().for_each(|id| _ = hash.update(&id.to_le_bytes())),
        Input::Images(images) => images.pixels.iter().for_each(|pixel| _ = hash.update(&pixel.to_le_bytes())),
    }
}
