use core::fmt;

/// The part of an adapter that an [`Error`](super::Error) speaks of. Numbers count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The name of the task.
    Task,
    /// The name of the architecture.
    Architecture,
    /// The name of the method.
    Method,
    /// A label.
    Label(usize),
    /// A setting: its name or its value.
    Setting(usize),
    /// An entry of an adapter, or a tensor of a draft.
    Entry(usize),
    /// A shape that belongs to no entry yet.
    Shape,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Task => f.write_str("task"),
            Place::Architecture => f.write_str("architecture"),
            Place::Method => f.write_str("method"),
            Place::Label(index) => write!(f, "label {index}"),
            Place::Setting(index) => write!(f, "setting {index}"),
            Place::Entry(index) => write!(f, "entry {index}"),
            Place::Shape => f.write_str("shape"),
        }
    }
}
