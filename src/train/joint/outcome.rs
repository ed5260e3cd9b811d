//! What came of a joint training: a base, and a task for each adapter over it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::Base;
use crate::format::Encoding;
use crate::runtime::{self, Layout, write_atomically};
use crate::train::{Error, Tuned, bake};

/// What a base has beside its weights to read texts with.
const COMPANION: &str = "tokenizer.json";

/// A new base without a head, and tasks over it that bring theirs.
pub struct Joint {
    pub(super) base: Base,
    pub(super) architecture: String,
    pub(super) layout: Arc<Layout>,
    pub(super) companion: PathBuf,
    /// The tasks, in the order they were given.
    pub tasks: Vec<JointTuned>,
    /// Whether the run was asked to stop before its end.
    pub stopped: bool,
}

/// One of the tasks that were trained together.
pub struct JointTuned {
    /// Its name.
    pub name: String,
    /// What it has over the new base. With [`Form::Shared`](super::Form::Shared) it is what the fine-tune of this
    /// task came to; else `head_alone` is the score of a head over the base as it was.
    pub tuned: Tuned,
    /// Mean training loss of each pass while tasks were trained together.
    pub losses: Vec<f32>,
}

impl Joint {
    /// The new base, in memory.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// The layers of the network over the new base.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The adapter file of one of the tasks, bound to the new base.
    ///
    /// # Errors
    /// As [`Tuned::adapter`].
    pub fn adapter(&self, task: &JointTuned, encoding: Encoding) -> Result<Vec<u8>, Error> {
        task.tuned.encode(&self.base, &self.architecture, &self.layout, &task.name, encoding)
    }

    /// Writes a new folder with the base in `base`, the tokenizer beside it where the earlier base has one, and an
    /// adapter `NAME.taps` for each task. Either the folder is there whole, or not at all.
    ///
    /// # Errors
    /// If there is such a folder or file, or it cannot be written.
    pub fn write(&self, folder: &Path, encoding: Encoding) -> Result<(), Error> {
        let io = |source| Error::Runtime(runtime::Error::Io { path: folder.to_owned(), source });
        if folder.exists() {
            return Err(io(std::io::ErrorKind::AlreadyExists.into()));
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let temporary = folder.with_file_name(format!(".{name}.{}", std::process::id()));
        std::fs::create_dir(&temporary).map_err(io)?;
        let written =
            self.write_into(&temporary, encoding).and_then(|()| std::fs::rename(&temporary, folder).map_err(io));
        if written.is_err() {
            let _ = std::fs::remove_dir_all(&temporary);
        }
        written
    }

    fn write_into(&self, folder: &Path, encoding: Encoding) -> Result<(), Error> {
        let base = folder.join("base");
        let file = self.base.files().next().unwrap_or_default();
        bake::write(file, self.base.config().unwrap_or(&serde_json::Value::Null), &base)?;
        if self.companion.is_file() {
            let copied = std::fs::copy(&self.companion, base.join(COMPANION));
            let path = &self.companion;
            copied.map_err(|source| Error::Runtime(runtime::Error::Io { path: path.clone(), source }))?;
        }
        for task in &self.tasks {
            write_atomically(&folder.join(format!("{}.taps", task.name)), &self.adapter(task, encoding)?)?;
        }
        Ok(())
    }

    /// Where the base in `folder` has its tokenizer, if it has one.
    pub(super) fn companion(folder: &Path) -> PathBuf {
        folder.join(COMPANION)
    }
}
