//! Where a command writes, checked before the work whose result it takes.

use std::path::{Path, PathBuf};

use super::session::Session;
use super::{Error, keys};
use crate::base::Base;
use crate::data;
use crate::files::Output;

/// A path that a command reads, and what it is.
pub(super) type Input = (PathBuf, &'static str);

/// Files of a base's folder that decide on what is read, whether they are there or not.
const WEIGHTS: [&str; 3] = ["model.safetensors", "model.safetensors.index.json", "config.json"];

/// The place that `flag` names, unless it is one of the inputs or holds a key.
pub(super) fn output(flag: &str, path: &Path, inputs: &[Input]) -> Result<Output, Error> {
    let inputs = inputs.iter().map(|(path, what)| (path.as_path(), *what));
    let place = Output::at(path).and_then(|place| place.apart_from(inputs));
    let place = place.map_err(|error| Error::Usage(format!("{flag}: {error}")))?;
    match keys::holds_key(path) {
        true => Err(Error::Usage(format!("{flag}: {} holds a key, and no command replaces one", path.display()))),
        false => Ok(place),
    }
}

/// The files of one kind that a command reads.
pub(super) fn inputs<'a>(paths: impl IntoIterator<Item = &'a PathBuf>, what: &'static str) -> Vec<Input> {
    paths.into_iter().map(|path| (path.clone(), what)).collect()
}

/// Examples that a command reads, with what is read beside them.
pub(super) fn data<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<Input> {
    let all = paths.into_iter().flat_map(|path| [Some(path.clone()), data::beside(path)]);
    all.flatten().map(|path| (path, "the data")).collect()
}

impl Session {
    /// As [`output`], where the files of the base are inputs, too, and those that it would read if they were there.
    pub(super) fn output(&self, flag: &str, path: &Path, others: &[Input]) -> Result<Output, Error> {
        let (sources, folder) = (self.base.sources(), self.base.folder());
        let weights = WEIGHTS.into_iter().filter(|_| self.base.path().is_dir());
        let names = weights.chain(Base::companion_names()).map(|name| folder.join(name));
        let base = sources.chain(names).map(|path| (path, "a file of the base"));
        output(flag, path, &base.chain(others.iter().cloned()).collect::<Vec<_>>())
    }
}
