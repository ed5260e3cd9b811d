//! Why a task could not be built or run.

use std::path::PathBuf;

use crate::base::{self, Dtype};
use crate::files;
use crate::format::{self, Digest};

/// Why a task could not be built or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },

    #[error(transparent)]
    File(Box<files::Error>),

    #[error(transparent)]
    Base(Box<base::Error>),

    #[error("{origin}: not a usable adapter: {source}")]
    Format { origin: String, source: format::Error },

    #[error("{origin}: made for the architecture {adapter}, and the base is {base}")]
    WrongArchitecture { origin: String, adapter: String, base: String },

    #[error("{origin}: made for another base: its tensor index is {adapter}, that of the open base {base}")]
    WrongBase { origin: String, adapter: Digest, base: Digest },

    #[error(
        "{origin}: tensor {tensor}: made for other weights: the base tensor had digest {adapter} and now has {base}"
    )]
    WrongDigest { origin: String, tensor: String, adapter: Digest, base: String },

    #[error("{origin}: tensor {tensor} ({role:?}): the network has no such tensor to put it on")]
    UnknownTensor { origin: String, tensor: String, role: format::Role },

    #[error("{origin}: tensor {tensor}: shape {found:?} where the network has {expected}")]
    WrongShape { origin: String, tensor: String, expected: String, found: Vec<u32> },

    #[error("{origin}: tensor {tensor}: {source}")]
    Values { origin: String, tensor: String, source: format::Error },

    #[error("{origin}: tensor {tensor}: a negative variance")]
    NegativeVariance { origin: String, tensor: String },

    #[error("{origin}: {labels} labels and {biases} biases for a head of {classes} classes")]
    Labels { origin: String, labels: usize, biases: usize, classes: usize },

    #[error("{origin}: {tensor}: the base's values and the delta add up to more than a 32-bit float can hold")]
    Overflow { origin: String, tensor: String },

    #[error("{origin}: made with {name} {adapter}, and the network is open with {found}: open it with the same")]
    Setting { origin: String, name: String, adapter: String, found: String },

    #[error("{origin}: made with the setting {name} ({value}), which this program does not know: update it")]
    UnknownSetting { origin: String, name: String, value: String },

    #[error("task {task} has no classification head: switch to an adapter that brings one")]
    NoHead { task: String },

    #[error("task {task} belongs to another base or network than this runtime: load its adapter here")]
    OtherBase { task: String },

    #[error("not all outputs are finite: {whose}")]
    NotFinite { whose: String },

    #[error("example {example} has label {label}, and there are {classes} classes")]
    Label { example: usize, label: usize, classes: usize },

    #[error("a batch of {asked} examples was asked for, and {found} came")]
    BatchSize { asked: usize, found: usize },

    #[error("{message}")]
    Input { message: String },

    #[error("{}: the architecture {architecture} needs a tensor {tensor}, and the file has none", base.display())]
    MissingTensor { base: PathBuf, architecture: String, tensor: String },

    #[error("{}: tensor {tensor}: shape {found:?} where the architecture {architecture} needs {expected:?}", base.display())]
    TensorShape { base: PathBuf, architecture: String, tensor: String, expected: Vec<usize>, found: Vec<usize> },

    #[error("{}: tensor {tensor}: a dimension of its shape {shape:?} is zero", base.display())]
    EmptyTensor { base: PathBuf, tensor: String, shape: Vec<usize> },

    #[error("{}: tensor {tensor}: dtype {dtype}, and weights are F32, F16 or BF16", base.display())]
    TensorDtype { base: PathBuf, tensor: String, dtype: Dtype },
}

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        match error {
            files::Error::Io { path, source } => Self::Io { path, source },
            other => Self::File(Box::new(other)),
        }
    }
}

impl From<base::Error> for Error {
    fn from(error: base::Error) -> Self {
        Self::Base(Box::new(error))
    }
}
