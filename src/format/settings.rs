use core::{fmt, iter::FusedIterator};

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::{Error, Place};

/// Something beside the weights that an adapter was made with, as the size of the images or the longest text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Setting<'a> {
    /// What it is. Names are the business of those who write and apply adapters; this module knows none.
    pub name: &'a str,
    /// Whether the adapter computes something else where this is not so: whoever applies it has to know the setting.
    pub required: bool,
    /// What it was, as text; of something larger the digest.
    pub value: &'a str,
}

impl Setting<'_> {
    /// Checks what one setting alone can be checked for, and its place after the one `before` it.
    pub(super) fn check(&self, index: usize, before: Option<&str>) -> Result<(), Error> {
        let place = Place::Setting(index);
        place.check_text(self.name)?;
        place.check_text(self.value)?;
        match before.is_some_and(|before| before.as_bytes() >= self.name.as_bytes()) {
            true => Err(Error::SettingOrder { setting: index }),
            false => Ok(()),
        }
    }
}

/// The settings of an adapter, in ascending order of their names.
#[derive(Clone)]
pub struct Settings<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

impl<'a> Settings<'a> {
    pub(super) fn new(cursor: Cursor<'a>, left: usize) -> Settings<'a> {
        Settings { cursor, left }
    }
}

impl<'a> Iterator for Settings<'a> {
    type Item = Setting<'a>;

    fn next(&mut self) -> Option<Setting<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.cursor.take().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Settings<'_> {}
impl FusedIterator for Settings<'_> {}

impl fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Adapter, Digest, Draft, Summary};
    use super::*;

    const A: Setting<'static> = Setting { name: "a", required: true, value: "1" };
    const B: Setting<'static> = Setting { name: "b", required: false, value: "2" };

    fn file(settings: &[Setting<'_>]) -> Result<Vec<u8>, Error> {
        let (base, summary) = (Digest::of(b"base"), Summary::default());
        let (labels, tensors) = (&["x"], &[]);
        let draft = Draft {
            task: "t",
            architecture: "a",
            method: "m",
            base,
            content: base,
            summary,
            labels,
            settings,
            tensors,
        };
        let mut file = vec![0; draft.encoded_len()?];
        draft.encode(&mut file)?;
        Ok(file)
    }

    #[test]
    fn settings_come_back_and_make_it_version_three() {
        let with = file(&[A, B]).unwrap();
        let adapter = Adapter::parse(&with).unwrap();
        assert_eq!((with[8], adapter.settings().len()), (3, 2));
        assert!(adapter.settings().eq([A, B]));
        assert_eq!((adapter.setting("b"), adapter.setting("c")), (Some(B), None));
        assert_eq!(format!("{:?}", adapter.settings()).matches("Setting {").count(), 2);
        assert!(adapter.labels().eq(["x"]) && adapter.entries().len() == 0);
        let without = file(&[]).unwrap();
        assert_eq!((without[8], Adapter::parse(&without).unwrap().settings().len()), (1, 0));
    }

    #[test]
    fn names_ascend_and_texts_are_texts() {
        assert_eq!(file(&[B, A]), Err(Error::SettingOrder { setting: 1 }));
        assert_eq!(file(&[A, A]), Err(Error::SettingOrder { setting: 1 }));
        let place = Place::Setting(1);
        assert_eq!(file(&[A, Setting { value: "", ..B }]), Err(Error::EmptyText { place }));
        assert_eq!(file(&[A, Setting { name: "b\n", ..B }]), Err(Error::ControlCharacter { place, at: 1 }));
        let many: Vec<String> = (0..256).map(|number| format!("{number:03}")).collect();
        let many: Vec<Setting<'_>> = many.iter().map(|name| Setting { name, ..A }).collect();
        assert!(file(&many[..255]).is_ok());
        assert_eq!(file(&many), Err(Error::TooManySettings { found: 256 }));
    }

    #[test]
    fn a_reader_refuses_what_it_does_not_know_or_has_otherwise() {
        let bytes = file(&[A, B]).unwrap();
        let adapter = Adapter::parse(&bytes).unwrap();
        let check = |known: &[(&'static str, Option<&'static str>)]| adapter.check_settings(known.iter().copied());
        assert_eq!(check(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))]), Ok(()));
        assert_eq!(check(&[("a", None)]), Ok(()), "what is not required need not be known");
        assert_eq!(check(&[("b", Some("2"))]), Err(Error::UnknownSetting { setting: 0 }));
        assert_eq!(check(&[("a", Some("2"))]), Err(Error::OtherSetting { setting: 0 }));
        assert_eq!(check(&[("a", Some("1")), ("b", Some("1"))]), Err(Error::OtherSetting { setting: 1 }));
        let old = file(&[]).unwrap();
        assert_eq!(Adapter::parse(&old).unwrap().check_settings([("a", Some("9"))].into_iter()), Ok(()));
    }
}
