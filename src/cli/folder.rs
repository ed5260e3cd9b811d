//! The adapters and run records of a folder.

use std::path::{Path, PathBuf};

use super::adapter_file::Trust;
use super::record::{self, Record};
use super::session::Session;
use super::{Error, Mode, change};

/// An adapter of the folder.
pub(super) struct Tuned {
    /// Name of the file without its ending.
    pub(super) file: String,
    pub(super) task: String,
    /// The layers that it changes, and how strongly.
    pub(super) changes: Vec<(String, f32)>,
}

/// A run of the folder: its record, or as much as its adapter tells.
pub(super) struct Run {
    /// Name of the file without its ending.
    pub(super) file: String,
    pub(super) record: Record,
}

/// What a folder holds, in the order of names.
#[derive(Default)]
pub(super) struct Folder {
    pub(super) adapters: Vec<Tuned>,
    pub(super) runs: Vec<Run>,
    /// What could not be read, and why.
    pub(super) problems: Vec<String>,
}

impl Folder {
    /// The files that are read.
    pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let all = [files(folder, ".taps")?, files(folder, record::SUFFIX)?];
        Ok(all.into_iter().flatten().map(|(_, path)| path).collect())
    }

    /// Reads a folder. A file that cannot be read becomes a problem, unless there is no other.
    pub(super) fn read(folder: &Path, trust: &Trust, session: Option<&Session>, mode: Mode) -> Result<Self, Error> {
        let (adapters, records) = (files(folder, ".taps")?, files(folder, record::SUFFIX)?);
        if adapters.is_empty() && records.is_empty() {
            let message = format!(
                "{}: nothing to report: expected adapters (*.taps) or records of runs (*{}), as taps train --record writes",
                folder.display(),
                record::SUFFIX
            );
            return Err(Error::Failed(message));
        }
        let mut found = Self::default();
        for (file, path) in adapters {
            match adapter(&path, trust, session, mode) {
                Ok((changes, record)) => {
                    found.adapters.push(Tuned { file: file.clone(), task: record.task.clone(), changes });
                    found.runs.push(Run { file, record });
                }
                Err(error) => found.problems.push(super::chain(&error)),
            }
        }
        for (file, path) in records {
            let record = match Record::read(&path) {
                Ok(record) => record,
                Err(error) => {
                    found.problems.push(super::chain(&error));
                    continue;
                }
            };
            match found.runs.iter_mut().find(|run| run.file == file) {
                Some(run) if record.adapter.is_some() && record.adapter != run.record.adapter => {
                    let message = "the record of another adapter than the one beside it, which was replaced since";
                    found.problems.push(format!("{}: {message}", path.display()));
                }
                Some(run) => run.record = record,
                None => found.runs.push(Run { file, record }),
            }
        }
        if found.runs.is_empty() {
            return Err(Error::Failed(format!("no file can be read: {}", found.problems.join("; "))));
        }
        found.runs.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(found)
    }
}

fn adapter(
    path: &Path,
    trust: &Trust,
    session: Option<&Session>,
    mode: Mode,
) -> Result<(Vec<(String, f32)>, Record), Error> {
    let file = trust.read(path)?;
    let adapter = file.adapter()?;
    if let Some(session) = session {
        // What it computes is not shown: adapters of several sizes of images are drawn side by side.
        session.any_runtime(mode).load_bytes(&file.bytes, &file.origin())?;
    }
    let changes = change::layers(&adapter, session.map(|session| (&session.base, &session.model)));
    let active_layers = changes.iter().map(|(layer, _)| layer.clone()).collect();
    Ok((changes, Record { active_layers, ..Record::of_adapter(&adapter) }))
}

/// Files whose names end with `suffix`, without it, in the order of names.
fn files(folder: &Path, suffix: &str) -> Result<Vec<(String, PathBuf)>, Error> {
    let failed = |source| crate::runtime::Error::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Files that are being written begin with a dot.
        if let Some(stem) = name.strip_suffix(suffix).filter(|stem| !stem.is_empty() && !stem.starts_with('.')) {
            found.push((stem.to_owned(), path.clone()));
        }
    }
    found.sort();
    Ok(found)
}
