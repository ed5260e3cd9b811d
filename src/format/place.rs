use core::fmt;

use super::{Error, MAX_TEXT};

/// The part of an adapter that an [`Error`] speaks of. Numbers count from 0.
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

impl Place {
    /// Refuses text that is empty, too long or holds control characters.
    pub(super) fn check_text(self, text: &str) -> Result<(), Error> {
        if text.is_empty() {
            return Err(Error::EmptyText { place: self });
        }
        if text.len() > MAX_TEXT {
            return Err(Error::LongText { place: self, found: text.len() });
        }
        match text.char_indices().find(|(_, c)| c.is_control()) {
            Some((at, _)) => Err(Error::ControlCharacter { place: self, at }),
            None => Ok(()),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_and_printable() {
        let place = Place::Label(3);
        let long = [b'x'; MAX_TEXT + 1];
        let long = core::str::from_utf8(&long).unwrap();
        assert_eq!(place.check_text("Grüße, 世界"), Ok(()));
        assert_eq!(place.check_text(&long[1..]), Ok(()));
        assert_eq!(place.check_text(""), Err(Error::EmptyText { place }));
        assert_eq!(place.check_text(long), Err(Error::LongText { place, found: 256 }));
        for text in ["é\0", "é\n", "é\u{7f}", "é\u{85}"] {
            assert_eq!(place.check_text(text), Err(Error::ControlCharacter { place, at: 2 }));
        }
    }
}
