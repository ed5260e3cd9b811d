//! Why a fine-tune could not be done.

use std::path::PathBuf;

use super::amount::Amount;
use crate::{base, files, format, runtime};

/// Why a fine-tune could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    #[error("{name} is {found}, expected {expected}")]
    Setting { name: &'static str, found: String, expected: &'static str },

    #[error("{examples} examples of {classes} classes: training needs at least two examples and two classes")]
    TooFewExamples { examples: usize, classes: usize },

    #[error("no tapped layer is called {name}; the network has {known}")]
    UnknownLayer { name: String, known: String },

    #[error("the classes of the examples are not those of {whose} which are: {found}")]
    Classes { whose: &'static str, found: String },

    #[error("a depthwise patch needs a network with depthwise convolutions, as MobileNetV2")]
    NoDepthwise,

    #[error("no device {name}: this program was built without it; build it with `--features {name}`")]
    NotBuilt { name: &'static str },

    #[cfg(feature = "candle")]
    #[error(transparent)]
    Device(#[from] crate::device::Error),

    #[error("nothing to train: the method is head, and the base's head is kept")]
    NothingToTrain,

    #[error("the loss is not a number in step {step}: try a lower learning rate than {rate}")]
    Diverged { step: u32, rate: f32 },

    #[error(
        "{what} is no number before anything was changed, with a loss of {loss}: the base holds values that overflow, or its \
        inputs do"
    )]
    NotFinite { what: String, loss: f32 },

    #[error("a budget of {asked} for {of} cannot be met: {what} takes {least}; {advice} would take less")]
    Budget { of: &'static str, asked: Amount, least: Amount, what: String, advice: &'static str },

    #[error("a ranking of layers of {architecture} cannot be used: {reason}")]
    Ranking { architecture: String, reason: String },

    #[error("{}: no ranking of layers: {reason}", path.display())]
    NoRanking { path: PathBuf, reason: String },

    #[error("stopped before there was an adapter to keep")]
    Stopped,

    #[error("there is no task to train")]
    NoTasks,

    #[error("two tasks are called {name}")]
    SameTask { name: String },

    #[error("task {name}: {source}")]
    Task { name: String, source: Box<Error> },

    #[error("{}: not a usable checkpoint: {reason}; delete it to begin anew", path.display())]
    Checkpoint { path: PathBuf, reason: &'static str },

    #[error("{}: a checkpoint of another run: {differs}; delete it to begin anew, or name another file", path.display())]
    OtherCheckpoint { path: PathBuf, differs: &'static str },

    #[error("the base cannot be written: {reason}")]
    Bake { reason: String },

    #[error("the adapter cannot be written: {0}")]
    Format(#[from] format::Error),

    #[error(transparent)]
    File(#[from] files::Error),

    #[error(transparent)]
    Base(#[from] base::Error),

    #[error(transparent)]
    Runtime(#[from] runtime::Error),
}

impl Error {
    /// The same, and of which of several tasks it is. That a run was stopped is of none.
    pub(super) fn of_task(self, name: &str) -> Self {
        match self {
            Error::Stopped => Error::Stopped,
            error => Error::Task { name: name.to_owned(), source: Box::new(error) },
        }
    }
}
