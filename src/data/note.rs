//! What people should know of data that was read.

/// Something in the data that is not used, or not as it stands there, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is, in the plural.
    pub what: String,
    /// How many there are.
    pub count: usize,
    /// The first of them: a file, or a line.
    pub first: String,
}

impl Note {
    /// A note of what is found at some places; none where there are none.
    pub(super) fn of(what: impl Into<String>, count: usize, first: Option<impl ToString>) -> Option<Self> {
        let first = first.filter(|_| count > 0)?.to_string();
        Some(Self { what: what.into(), count, first })
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}, first {}", self.count, self.what, self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_how_many_and_which_is_the_first() {
        assert_eq!(Note::of("blank lines", 2, Some(7)).unwrap().to_string(), "2 blank lines, first 7");
        assert_eq!(Note::of("blank lines", 0, None::<usize>), None);
    }
}
