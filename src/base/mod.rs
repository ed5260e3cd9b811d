//! The frozen base: safetensors files mapped once and read in place.
//!
//! - Opening reads the header only; a tensor's bytes are first touched when a layer uses them.
//! - No tensor is ever copied here: what leaves this module is a view of the mapping.
//! - What is malformed is refused at opening, with the file and the tensor named.

mod dtype;
mod error;
mod files;
mod index;
mod mapping;
mod tensor;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use dtype::Dtype;
pub use error::Error;
pub use tensor::{TensorId, TensorView};

use crate::format::Digest;
use files::COMPANIONS;
use index::Entry;
use mapping::Mapping;

/// A frozen base model: its mapped weights, its tensor index and its `config.json`.
///
/// Cloning is cheap and shares the mapping.
///
/// # Hazard
/// A mapped file must not be truncated or written over while it is open. The length of each file is looked at before
/// every forward pass, and one that has become shorter is [`Error::Truncated`]; but a process that truncates it during a
/// pass makes the next access to the lost pages a fatal signal (SIGBUS), which this crate does not catch. A process that
/// writes over the file changes the weights under a running forward pass; fine-tuning and loading notice it afterwards
/// and refuse ([`Error::Changed`]). Replace base files by rename, as this crate does with every file it writes; where the
/// files are not under the application's control, use [`Base::open_in_memory`].
#[derive(Clone)]
pub struct Base {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    files: Vec<Mapping>,
    tensors: Vec<Entry>,
    config: Option<serde_json::Value>,
    fingerprint: Digest,
    digests: Vec<OnceLock<Digest>>,
}

impl Base {
    /// Maps a `.safetensors` file, or a folder in Hugging Face layout (`model.safetensors`, or where that is missing the
    /// shards that `model.safetensors.index.json` lists, with `config.json` beside them).
    ///
    /// # Errors
    /// A file that is missing, truncated or malformed; a tensor that is out of bounds, overlaps
    /// another or has an unknown dtype. Each error names the file and the tensor.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path.as_ref(), Mapping::open)
    }

    /// Reads the same files into private memory instead of mapping them, for files that others may
    /// truncate or write over.
    ///
    /// # Errors
    /// As [`Base::open`].
    pub fn open_in_memory(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path.as_ref(), Mapping::read)
    }

    /// A base that is no file yet: the bytes of a `.safetensors` file, copied into private memory, and its
    /// `config.json`. `path` names it in messages.
    ///
    /// # Errors
    /// As [`Base::open`], but for those of reading.
    pub fn from_bytes(path: &Path, bytes: &[u8], config: Option<serde_json::Value>) -> Result<Self, Error> {
        Self::index(path, vec![Mapping::copy(path, bytes)?], config, |_| Ok(()))
    }

    fn open_with(path: &Path, map: fn(&Path) -> Result<Mapping, Error>) -> Result<Self, Error> {
        let mut found = files::find(path)?;
        let files = found.weights.iter().map(|file| map(file)).collect::<Result<Vec<_>, _>>()?;
        let config = found.config.take();
        Self::index(path, files, config, |tensors| found.check_listed(tensors))
    }

    fn index(
        path: &Path,
        files: Vec<Mapping>,
        config: Option<serde_json::Value>,
        check: impl FnOnce(&[Entry]) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let mut tensors = Vec::new();
        for (number, file) in files.iter().enumerate() {
            tensors.extend(index::parse(file.path(), file.bytes(), number)?);
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = tensors.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(Error::DuplicateTensor {
                first: files[pair[0].file].path().to_owned(),
                second: files[pair[1].file].path().to_owned(),
                tensor: pair[0].name.clone(),
            });
        }
        check(&tensors)?;
        Ok(Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                fingerprint: index::fingerprint(&tensors),
                digests: tensors.iter().map(|_| OnceLock::new()).collect(),
                config,
                files,
                tensors,
            }),
        })
    }

    /// The path the base was opened by.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The folder that holds the weights, `config.json` and, for text, `tokenizer.json`.
    pub fn folder(&self) -> &Path {
        if self.shared.path.is_dir() { &self.shared.path } else { self.shared.path.parent().unwrap_or(Path::new(".")) }
    }

    /// The parsed `config.json`, where there is one beside the weights.
    pub fn config(&self) -> Option<&serde_json::Value> {
        self.shared.config.as_ref()
    }

    /// Position of the tensor called `name`.
    pub fn find(&self, name: &str) -> Option<TensorId> {
        self.shared.tensors.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok().map(TensorId)
    }

    /// View of a tensor in the mapping.
    ///
    /// # Panics
    /// If `id` comes from another base with more tensors.
    #[inline]
    pub fn tensor(&self, id: TensorId) -> TensorView<'_> {
        let entry = &self.shared.tensors[id.0];
        let bytes = &self.shared.files[entry.file].bytes()[entry.bytes.clone()];
        TensorView { name: &entry.name, dtype: entry.dtype, shape: &entry.shape, bytes }
    }

    /// All tensors, in order of their names.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorView<'_>> {
        (0..self.shared.tensors.len()).map(|index| self.tensor(TensorId(index)))
    }

    /// The bytes of each of its weight files, in order of their names.
    pub fn files(&self) -> impl Iterator<Item = &[u8]> {
        self.shared.files.iter().map(Mapping::bytes)
    }

    /// Bytes of all tensors together.
    pub fn bytes(&self) -> usize {
        self.shared.tensors.iter().map(|entry| entry.bytes.len()).sum()
    }

    /// Digest of the tensor index: names, dtypes and shapes, without their contents. Costs nothing.
    pub fn fingerprint(&self) -> Digest {
        self.shared.fingerprint
    }

    /// Checks that no mapped file was written to since it was opened, so that digests that were kept still hold. Costs a
    /// system call for each file.
    ///
    /// # Errors
    /// [`Error::Changed`] names the first that was.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        match self.shared.files.iter().find(|file| !file.is_unchanged()) {
            Some(file) => Err(Error::Changed { path: file.path().to_owned() }),
            None => Ok(()),
        }
    }

    /// Checks that no mapped file has become shorter than it was when it was opened. Reading the weights would end the
    /// process with a signal then. Costs a system call for each file.
    ///
    /// # Errors
    /// [`Error::Truncated`] names the first that has.
    pub fn check_whole(&self) -> Result<(), Error> {
        match self.shared.files.iter().find(|file| !file.is_whole()) {
            Some(file) => {
                let found = std::fs::metadata(file.path()).map_or(0, |found| found.len());
                Err(Error::Truncated { path: file.path().to_owned(), needed: file.bytes().len() as u64, found })
            }
            None => Ok(()),
        }
    }

    /// Checks that the weights are those that [`Base::content`] gave, whatever the files' sizes and times say: reads the
    /// whole base once.
    ///
    /// # Errors
    /// As [`Base::check_whole`], and [`Error::Changed`] if they are not.
    pub fn check_content(&self, content: Digest) -> Result<(), Error> {
        self.check_whole()?;
        let now = content_of(self.tensors().map(digest_of));
        match self.shared.files.first() {
            Some(file) if now != content => Err(Error::Changed { path: file.path().to_owned() }),
            _ => self.check_unchanged(),
        }
    }

    /// BLAKE3 of a tensor's bytes, computed when first asked for and kept while the base is open.
    pub fn digest(&self, id: TensorId) -> Digest {
        *self.shared.digests[id.0].get_or_init(|| digest_of(self.tensor(id)))
    }

    /// Digest of the digests of all tensors in order of their names: reads the whole base once.
    pub fn content(&self) -> Digest {
        content_of((0..self.shared.tensors.len()).map(|index| self.digest(TensorId(index))))
    }

    /// The files that it was read from: weights, configuration, and what lies beside them and says how inputs become
    /// numbers.
    pub fn sources(&self) -> impl Iterator<Item = PathBuf> {
        let weights = self.shared.files.iter().map(|file| file.path().to_owned());
        let others = ["config.json", "model.safetensors.index.json"].into_iter().chain(COMPANIONS);
        weights.chain(others.map(|name| self.folder().join(name)).filter(|path| path.is_file()))
    }

    /// What lies beside the weights and says how inputs become numbers, as `tokenizer.json`, by its path in the folder.
    pub fn companions(&self) -> impl Iterator<Item = &'static str> {
        COMPANIONS.into_iter().filter(|name| self.folder().join(name).is_file())
    }

    /// The names of all such files that are known.
    pub fn companion_names() -> impl Iterator<Item = &'static str> {
        COMPANIONS.into_iter()
    }

    /// Whether two handles are of one open base.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

fn digest_of(tensor: TensorView<'_>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update_rayon(tensor.bytes);
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

fn content_of(digests: impl Iterator<Item = Digest>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    digests.for_each(|digest| _ = hasher.update(digest.as_bytes()));
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base")
            .field("path", &self.shared.path)
            .field("tensors", &self.shared.tensors.len())
            .field("fingerprint", &self.shared.fingerprint)
            .finish()
    }
}
