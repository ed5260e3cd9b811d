//! What came of a joint training: a base, and a task for each adapter over it.

use std::path::Path;
use std::sync::Arc;

use crate::base::Base;
use crate::files::write_atomically;
use crate::format::Encoding;
use crate::runtime::{self, Layout};
use crate::train::{Error, Tuned, bake};

/// A new base without a head, and tasks over it that bring theirs.
pub struct Joint {
    pub(super) base: Base,
    pub(super) architecture: String,
    pub(super) layout: Arc<Layout>,
    /// What lies beside the earlier base and says how inputs become numbers, by its path in the folder.
    pub(super) companions: Vec<(&'static str, Vec<u8>)>,
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

    /// Writes a new folder with the base in `base`, what lies beside the earlier base (as its tokenizer), and an
    /// adapter `NAME.taps` for each task. Either the folder is there whole, or not at all.
    ///
    /// # Errors
    /// If there is such a folder or file, or it cannot be written.
    pub fn write(&self, folder: &Path, encoding: Encoding) -> Result<(), Error> {
        let io = |source| Error::Runtime(runtime::Error::Io { path: folder.to_owned(), source });
        if folder.exists() {
            return Err(io(std::io::ErrorKind::AlreadyExists.into()));
        }
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new().prefix(".taps-").tempdir_in(parent).map_err(io)?;
        let inside = temporary.path().join("new");
        // Made as any folder is: that of the library is its owner's alone.
        std::fs::create_dir(&inside).map_err(io)?;
        self.write_into(&inside, encoding)?;
        std::fs::rename(&inside, folder).map_err(io)
    }

    fn write_into(&self, folder: &Path, encoding: Encoding) -> Result<(), Error> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Runtime(runtime::Error::Io { path, source })
        };
        let base = folder.join("base");
        let file = self.base.files().next().unwrap_or_default();
        bake::write(file, self.base.config().unwrap_or(&serde_json::Value::Null), &base)?;
        for (name, bytes) in &self.companions {
            let path = base.join(name);
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(io(folder))?;
            }
            write_atomically(&path, bytes)?;
        }
        for task in &self.tasks {
            write_atomically(&folder.join(format!("{}.taps", task.name)), &self.adapter(task, encoding)?)?;
        }
        Ok(())
    }
}
