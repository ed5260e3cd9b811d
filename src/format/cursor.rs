use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};

use super::Error;

/// The part of a manifest that is still to be read.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// Where `rest` begins in the file.
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rest: &'a [u8], offset: usize) -> Cursor<'a> {
        Cursor { rest, offset }
    }

    /// Takes one item, in canonical form only.
    pub(super) fn take<T: Deserialize<'a> + Serialize>(&mut self) -> Result<T, Error> {
        let offset = self.offset;
        let (item, rest) = postcard::take_from_bytes(self.rest).map_err(|error| match error {
            postcard::Error::DeserializeUnexpectedEnd => Error::ManifestEnd { offset },
            postcard::Error::DeserializeBadUtf8 => Error::Utf8 { offset },
            _ => Error::Malformed { offset },
        })?;
        let consumed = self.rest.len() - rest.len();
        // postcard reads overlong varints; what it writes is minimal, so equal sizes mean equal bytes.
        if encoded_size(&item) != consumed {
            return Err(Error::NotMinimal { offset });
        }
        *self = Cursor { rest, offset: offset + consumed };
        Ok(item)
    }

    /// Takes the length of a sequence.
    pub(super) fn take_count(&mut self) -> Result<usize, Error> {
        let offset = self.offset;
        let count: u32 = self.take()?;
        usize::try_from(count).map_err(|_| Error::Malformed { offset })
    }

    /// Accepts the end of the manifest only.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(Error::Trailing { offset: self.offset, count }),
        }
    }
}

/// The bytes that an item takes. An item that cannot be written has a size that nothing has.
pub(super) fn encoded_size<T: Serialize + ?Sized>(item: &T) -> usize {
    postcard::serialize_with_flavor(item, Size::default()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_canonical_items_only() {
        let mut cursor = Cursor::new(&[0x80, 0x01, 2, b'h', b'i'], 24);
        assert_eq!(cursor.take(), Ok(128_u32));
        assert_eq!(cursor.take(), Ok("hi"));
        assert_eq!(cursor.finish(), Ok(()));

        let take = |bytes| Cursor::new(bytes, 24).take::<u32>();
        assert_eq!(take(&[0x80, 0x00]), Err(Error::NotMinimal { offset: 24 }));
        assert_eq!(take(&[0x80]), Err(Error::ManifestEnd { offset: 24 }));
        assert_eq!(take(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(Error::Malformed { offset: 24 }));
    }

    #[test]
    fn says_where_text_and_options_are_wrong() {
        let mut cursor = Cursor::new(&[7, 1, 0xff], 24);
        assert_eq!(cursor.take(), Ok(7_u32));
        assert_eq!(cursor.take::<&str>(), Err(Error::Utf8 { offset: 25 }));
        assert_eq!(cursor.finish(), Err(Error::Trailing { offset: 25, count: 2 }));
        let mut option = Cursor::new(&[2, 0], 24);
        assert_eq!(option.take::<Option<u32>>(), Err(Error::Malformed { offset: 24 }));
        let mut long = Cursor::new(&[0x81, 0x00, b'x'], 24);
        assert_eq!(long.take::<&str>(), Err(Error::NotMinimal { offset: 24 }));
    }
}
