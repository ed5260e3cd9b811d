//! Where a command writes, checked before the work whose result it takes.

use std::path::{Path, PathBuf};

use super::Error;
use super::session::Session;
use crate::files::Output;

/// A path that a command reads, and what it is.
pub(super) type Input<'a> = (&'a Path, &'a str);

/// The place that `flag` names, unless it is one of the inputs.
pub(super) fn output<'a>(
    flag: &str,
    path: &Path,
    inputs: impl IntoIterator<Item = Input<'a>>,
) -> Result<Output, Error> {
    let place = Output::at(path).and_then(|place| place.apart_from(inputs));
    place.map_err(|error| Error::Usage(format!("{flag}: {error}")))
}

/// The files of one kind that a command reads.
pub(super) fn inputs<'a>(paths: impl IntoIterator<Item = &'a PathBuf>, what: &'a str) -> Vec<Input<'a>> {
    paths.into_iter().map(|path| (path.as_path(), what)).collect()
}

impl Session {
    /// As [`output`], where the files of the base are inputs, too.
    pub(super) fn output(&self, flag: &str, path: &Path, others: &[Input<'_>]) -> Result<Output, Error> {
        let sources: Vec<PathBuf> = self.base.sources().collect();
        let base = sources.iter().map(|path| (path.as_path(), "a file of the base"));
        output(flag, path, base.chain(others.iter().copied()))
    }
}
