use serde::Serialize;

use super::cursor::Cursor;
use super::{Digest, Encoding, Error, MAX_DIMS, Place, Role, Shape};

/// An entry as the manifest holds it.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    pub(super) name: &'a str,
    pub(super) role: Role,
    pub(super) encoding: Encoding,
    pub(super) shape: Shape,
    /// Where the payload begins, counted from the first payload.
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) base: Option<Digest>,
}

impl<'a> Record<'a> {
    /// Reads field by field, so that an unknown code is told from a damaged manifest.
    pub(super) fn read(cursor: &mut Cursor<'a>, entry: usize) -> Result<Record<'a>, Error> {
        let name = cursor.take()?;
        let code = cursor.take()?;
        let role = Role::from_code(code).ok_or(Error::Role { entry, found: code })?;
        let encoding = Encoding::read(cursor, entry)?;
        let place = Place::Entry(entry);
        let dims = cursor.take_count()?;
        if dims > MAX_DIMS {
            return Err(Error::TooManyDims { place, found: dims });
        }
        let mut shape = Shape::scalar();
        for _ in 0..dims {
            shape.push(cursor.take()?, dims, place)?;
        }
        Ok(Record { name, role, encoding, shape, offset: cursor.take()?, length: cursor.take()?, base: cursor.take()? })
    }

    /// Checks what one entry alone can be checked for, and its place after the entry `before` it.
    pub(super) fn check(&self, entry: usize, before: Option<&str>) -> Result<(), Error> {
        Place::Entry(entry).check_text(self.name)?;
        if before.is_some_and(|before| before.as_bytes() >= self.name.as_bytes()) {
            return Err(Error::Order { entry });
        }
        if self.role == Role::Delta && self.base.is_none() {
            return Err(Error::DeltaWithoutBase { entry });
        }
        let expected = self.encoding.expect_len(&self.shape, entry)?;
        if self.length != expected {
            return Err(Error::PayloadLength { entry, stated: self.length, expected });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record<'_> {
        Record {
            name,
            role: Role::Delta,
            encoding: Encoding::F16,
            shape: Shape::new(&[300, 2]).unwrap(),
            offset: 1 << 40,
            length: 1200,
            base: Some(Digest::of(b"base")),
        }
    }

    fn read(bytes: &[u8]) -> Result<(), Error> {
        let mut cursor = Cursor::new(bytes, 0);
        Record::read(&mut cursor, 7)?;
        cursor.finish()
    }

    #[test]
    fn reads_what_serde_writes() {
        let mut bytes = [0; 128];
        let used = postcard::to_slice(&record("w"), &mut bytes).unwrap();
        let read = Record::read(&mut Cursor::new(used, 0), 0).unwrap();
        assert_eq!(read.shape.dims(), [300, 2]);
        let mut again = [0; 128];
        assert_eq!(postcard::to_slice(&read, &mut again).unwrap(), used);
    }

    #[test]
    fn names_what_it_does_not_know() {
        let place = Place::Entry(7);
        assert_eq!(read(&[1, b'w', 3]), Err(Error::Role { entry: 7, found: 3 }));
        assert_eq!(read(&[1, b'w', 1, 9]), Err(Error::Encoding { entry: 7, found: 9 }));
        assert_eq!(read(&[1, b'w', 1, 0, 7]), Err(Error::TooManyDims { place, found: 7 }));
        assert_eq!(read(&[1, b'w', 1, 0, 2, 1, 0]), Err(Error::ZeroDim { place, dim: 1 }));
    }

    #[test]
    fn checks_order_base_and_length() {
        assert_eq!(record("b").check(1, Some("a")), Ok(()));
        assert_eq!(record("b").check(1, Some("b")), Err(Error::Order { entry: 1 }));
        assert_eq!(record("Z").check(1, Some("a")), Err(Error::Order { entry: 1 }));
        let orphan = Record { base: None, ..record("b") };
        assert_eq!(orphan.check(0, None), Err(Error::DeltaWithoutBase { entry: 0 }));
        let free = Record { base: None, role: Role::Replacement, ..record("b") };
        assert_eq!(free.check(0, None), Ok(()));
        let short = Record { length: 1199, ..record("b") };
        let expected = Error::PayloadLength { entry: 0, stated: 1199, expected: 1200 };
        assert_eq!(short.check(0, None), Err(expected));
    }
}
