//! Texts and labels read from a file, and where they stand.

use super::{Error, Note, Result};
use crate::files;
use std::path::Path;

/// One text, where it stands, and its label.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Line of the file, counted from 1.
    pub(super) line: usize,
    pub(super) text: String,
    /// `None` only where labels were not asked for.
    pub(super) label: Option<String>,
}

/// The records of a file, and the lines in it that are none.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) records: Vec<Record>,
    /// Blank lines that are left out.
    pub(super) blank: Vec<usize>,
    /// Lines on which a record starts that goes on over the next.
    pub(super) spanning: Vec<usize>,
}

impl Records {
    /// What people should know of the file at `path`.
    pub(super) fn notes(&self, path: &Path) -> Vec<Note> {
        let place = |lines: &[usize]| lines.first().map(|line| format!("{}:{line}", path.display()));
        let blank = Note::of("blank lines left out", self.blank.len(), place(&self.blank));
        let spanning =
            Note::of("records with a line break in a quoted field", self.spanning.len(), place(&self.spanning));
        blank.into_iter().chain(spanning).collect()
    }
}

/// Content of `path` without its byte order mark.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let content = files::read(path)?;
    let content = content.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(content);
    String::from_utf8(content)
        .map_err(|error| Error::Utf8 { path: path.to_path_buf(), at: error.utf8_error().valid_up_to() })
}
