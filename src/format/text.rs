use super::{Error, MAX_TEXT, Place};

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
