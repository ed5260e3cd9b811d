//! An adapter as a flag names it, from somebody who is trusted.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::Error;
use super::keys::public_keys;
use super::output::{Input, inputs};
use crate::files;
use crate::format::{Adapter, Draft, PublicKey};
use crate::runtime::{self, Settings};

/// Which adapters are accepted.
#[derive(Args)]
pub(super) struct TrustArgs {
    /// Public key; only adapters signed by one of those named are accepted [default: any]
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
}

/// The keys of those who are trusted; none where all are.
pub(super) struct Trust(Vec<PublicKey>);

impl Trust {
    /// In those whose keys are in these files.
    pub(super) fn of(keys: &[PathBuf]) -> Result<Self, Error> {
        Ok(Self(public_keys(keys)?))
    }
}

impl TrustArgs {
    pub(super) fn keys(&self) -> Result<Trust, Error> {
        Trust::of(&self.trust)
    }

    /// The files of the keys, as inputs of a command.
    pub(super) fn files(&self) -> Vec<Input> {
        inputs(&self.trust, "a key")
    }
}

impl Trust {
    /// Reads an adapter, which is whole and signed as it must be: the only way to one from a path.
    pub(super) fn read(&self, path: &Path) -> Result<AdapterFile, Error> {
        let file = AdapterFile { path: path.to_owned(), bytes: files::read(path)? };
        let adapter = file.adapter()?;
        if !self.0.is_empty() {
            adapter.verify(&self.0).map_err(|source| file.refuse(source))?;
        }
        Ok(file)
    }

    pub(super) fn read_all(&self, paths: &[PathBuf]) -> Result<Vec<AdapterFile>, Error> {
        paths.iter().map(|path| self.read(path)).collect()
    }
}

/// Checks the names that an adapter is to have, before the work whose result it takes.
pub(super) fn check_names(task: &str, labels: &[String]) -> Result<(), Error> {
    let checked = Draft::check_names(task, labels.iter().map(String::as_str));
    checked.map_err(|error| Error::Usage(format!("no adapter can have these names: {error}")))
}

/// The bytes of an adapter's file, which was parsed once.
pub(super) struct AdapterFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl AdapterFile {
    /// One that was just made, to be written to `path`.
    pub(super) fn made(path: &Path, bytes: Vec<u8>) -> Self {
        Self { path: path.to_owned(), bytes }
    }

    pub(super) fn adapter(&self) -> Result<Adapter<'_>, Error> {
        Adapter::parse(&self.bytes).map_err(|source| self.refuse(source))
    }

    /// Checks every value, and everything else that loading it would without a base.
    pub(super) fn check(&self) -> Result<(), Error> {
        for entry in self.adapter()?.entries() {
            let (origin, tensor) = (self.origin(), entry.name.to_owned());
            entry.check().map_err(|source| runtime::Error::Values { origin, tensor, source })?;
        }
        Ok(())
    }

    /// What it was made with.
    pub(super) fn settings(&self) -> Result<Settings, Error> {
        Ok(Settings::of_adapter(&self.adapter()?))
    }

    /// The same as a JSON object.
    pub(super) fn settings_json(&self) -> Result<Value, Error> {
        let settings = self.settings()?;
        Ok(settings.iter().map(|setting| (setting.name.clone(), Value::from(setting.value.as_str()))).collect())
    }

    /// Its path, for messages.
    pub(super) fn origin(&self) -> String {
        self.path.display().to_string()
    }

    fn refuse(&self, source: crate::format::Error) -> Error {
        runtime::Error::Format { origin: self.origin(), source }.into()
    }
}
