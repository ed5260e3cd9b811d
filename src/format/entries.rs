use core::{fmt, iter::FusedIterator, ops::Range};

use super::cursor::Cursor;
use super::layout::align;
use super::record::Record;
use super::{Entry, Error};

/// The entries of an adapter, in ascending order of their names.
#[derive(Clone)]
pub struct Entries<'a> {
    cursor: Cursor<'a>,
    payloads: &'a [u8],
    index: usize,
    count: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn new(cursor: Cursor<'a>, count: usize, payloads: &'a [u8]) -> Entries<'a> {
        Entries { cursor, payloads, index: 0, count }
    }

    /// Walks all entries: each is in order, well-formed and where it belongs, and no byte belongs to none of them.
    /// `version` is that of the file, `least` the one that it needs without them, and `payloads_at` where the payloads
    /// begin in it.
    pub(super) fn check(mut self, version: u16, mut least: u16, payloads_at: usize) -> Result<(), Error> {
        let mut before = None;
        let mut expected = 0;
        while self.index < self.count {
            let entry = self.index;
            let record = Record::read(&mut self.cursor, entry)?;
            record.check(entry, before)?;
            let needed = record.encoding.version();
            if needed > version {
                return Err(Error::LaterEncoding { entry, stated: version, needed });
            }
            least = needed.max(least);
            if record.offset != expected {
                return Err(Error::Offset { entry, stated: record.offset, expected });
            }
            let end = record.offset.checked_add(record.length);
            let end = end.ok_or(Error::Oversized { entry })?;
            let limit = self.payloads.len() as u64;
            if end > limit {
                return Err(Error::PayloadEnd { entry, end, limit });
            }
            expected = align(end).ok_or(Error::Oversized { entry })?;
            check_padding(self.payloads, end..expected, payloads_at)?;
            before = Some(record.name);
            self.index += 1;
        }
        self.cursor.finish()?;
        if least < version {
            return Err(Error::HigherVersion { stated: version, needed: least });
        }
        let found = self.payloads.len() as u64;
        if expected != found {
            return Err(Error::End { expected, found });
        }
        Ok(())
    }

    fn read(&mut self) -> Option<Entry<'a>> {
        let index = self.index;
        let record = Record::read(&mut self.cursor, index).ok()?;
        let start = usize::try_from(record.offset).ok()?;
        let length = usize::try_from(record.length).ok()?;
        let payload = self.payloads.get(start..start.checked_add(length)?)?;
        let Record { name, role, encoding, shape, base, .. } = record;
        Some(Entry { name, role, encoding, shape, base, payload, index })
    }
}

/// Refuses padding that is not zero. What lies beyond the payloads is left to the check of their end.
fn check_padding(payloads: &[u8], padding: Range<u64>, payloads_at: usize) -> Result<(), Error> {
    let bounds = usize::try_from(padding.start).ok().zip(usize::try_from(padding.end).ok());
    let Some((start, end)) = bounds else { return Ok(()) };
    let padding = payloads.get(start..end.min(payloads.len())).unwrap_or_default();
    match padding.iter().position(|&byte| byte != 0) {
        Some(at) => Err(Error::Padding { offset: payloads_at + start + at }),
        None => Ok(()),
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        if self.index >= self.count {
            return None;
        }
        let entry = self.read();
        self.index = if entry.is_some() { self.index + 1 } else { self.count };
        entry
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.count - self.index;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Entries<'_> {}
impl FusedIterator for Entries<'_> {}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Encoding, Role, Shape};
    use super::*;

    fn check(offset: u64, length: u64, dims: &[u32], payloads: &[u8]) -> Result<(), Error> {
        let shape = Shape::new(dims).unwrap();
        let (role, encoding) = (Role::Replacement, Encoding::F32);
        let record = Record { name: "w", role, encoding, shape, offset, length, base: None };
        let mut bytes = [0; 128];
        let used = postcard::to_slice(&record, &mut bytes).unwrap();
        Entries::new(Cursor::new(used, 0), 1, payloads).check(1, 1, 1000)
    }

    #[test]
    fn payloads_fill_their_room_exactly() {
        assert_eq!(check(0, 8, &[2], &[0; 64]), Ok(()));
        let stated = Error::Offset { entry: 0, stated: 64, expected: 0 };
        assert_eq!(check(64, 8, &[2], &[0; 128]), Err(stated));
        let end = Error::PayloadEnd { entry: 0, end: 68, limit: 64 };
        assert_eq!(check(0, 68, &[17], &[0; 64]), Err(end));
        assert_eq!(check(0, 8, &[2], &[0; 128]), Err(Error::End { expected: 64, found: 128 }));
        assert_eq!(check(0, 8, &[2], &[0; 32]), Err(Error::End { expected: 64, found: 32 }));
    }

    #[test]
    fn padding_is_zero() {
        let mut payloads = [0; 64];
        payloads[8] = 1;
        assert_eq!(check(0, 8, &[2], &payloads), Err(Error::Padding { offset: 1008 }));
    }
}
