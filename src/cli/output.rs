//! Where a command writes, checked before the work whose result it takes.

use std::path::{Path, PathBuf};

use super::{Error, keys};
use crate::data;
use crate::files::Output;

/// A path that a command reads, and what it is.
pub(super) type Input = (PathBuf, &'static str);

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
