use serde::Serialize;

use super::{Digest, Error, Place, Summary};

/// The manifest before its labels and entries, in the order of the file.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Head<'a> {
    pub(super) task: &'a str,
    pub(super) architecture: &'a str,
    pub(super) method: &'a str,
    pub(super) base: Digest,
    pub(super) content: Digest,
    pub(super) summary: Summary,
}

impl Head<'_> {
    pub(super) fn check(&self) -> Result<(), Error> {
        Place::Task.check_text(self.task)?;
        Place::Architecture.check_text(self.architecture)?;
        Place::Method.check_text(self.method)?;
        self.summary.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_checked() {
        let digest = Digest::of(b"");
        let summary = Summary::default();
        let head = Head { task: "t", architecture: "a", method: "m", base: digest, content: digest, summary };
        assert_eq!(head.check(), Ok(()));
        let refused = [
            (Head { task: "", ..head }, Place::Task),
            (Head { architecture: "", ..head }, Place::Architecture),
            (Head { method: "", ..head }, Place::Method),
        ];
        for (head, place) in refused {
            assert_eq!(head.check(), Err(Error::EmptyText { place }));
        }
        let bad = Summary { tau: f32::NAN, ..summary };
        assert!(Head { summary: bad, ..head }.check().is_err());
    }
}
