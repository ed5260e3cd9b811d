//! Bytes to take a digest of: each field in its place, with its length.

use crate::format::Digest;

/// What has been written so far.
pub(super) struct Canon(Vec<u8>);

impl Canon {
    /// Begins with what is written, and in which way.
    pub(super) fn new(context: &str) -> Self {
        let mut canon = Self(Vec::new());
        canon.text(context);
        canon
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A text that may be missing, which is as an empty one.
    pub(super) fn maybe(&mut self, text: Option<&str>) {
        self.text(text.unwrap_or_default());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    pub(super) fn flags<const N: usize>(&mut self, flags: [bool; N]) {
        self.0.extend(flags.map(u8::from));
    }

    pub(super) fn digest(self) -> Digest {
        Digest::of(&self.0)
    }
}
