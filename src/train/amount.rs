//! Bytes and times as people read them.

use std::fmt;
use std::time::Duration;

/// How much of something a run takes, shown with a decimal unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Bytes of memory or of a file.
    Bytes(usize),
    /// Time.
    Time(Duration),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Amount::Bytes(bytes @ 0..1_000) => write!(f, "{bytes} B"),
            Amount::Bytes(bytes @ 1_000..1_000_000) => write!(f, "{:.1} kB", bytes as f64 / 1e3),
            Amount::Bytes(bytes) => write!(f, "{:.1} MB", bytes as f64 / 1e6),
            Amount::Time(time) => match time.as_secs_f64() {
                seconds @ 0.0..1.0 => write!(f, "{:.1} ms", seconds * 1e3),
                seconds @ 1.0..120.0 => write!(f, "{seconds:.1} s"),
                seconds => write!(f, "{:.1} min", seconds / 60.0),
            },
        }
    }
}
