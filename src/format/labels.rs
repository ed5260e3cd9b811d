use core::{fmt, iter::FusedIterator};

use super::cursor::Cursor;

/// The labels of an adapter, in the order of the classes.
#[derive(Clone)]
pub struct Labels<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

impl<'a> Labels<'a> {
    pub(super) fn new(cursor: Cursor<'a>, left: usize) -> Labels<'a> {
        Labels { cursor, left }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.left = self.left.checked_sub(1)?;
        self.cursor.take().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Labels<'_> {}
impl FusedIterator for Labels<'_> {}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yields_each_label_once() {
        let mut labels = Labels::new(Cursor::new(b"\x01a\x02bc", 0), 2);
        assert_eq!(labels.len(), 2);
        assert_eq!(format!("{labels:?}"), r#"["a", "bc"]"#);
        assert_eq!(labels.next(), Some("a"));
        assert_eq!(labels.next(), Some("bc"));
        assert_eq!((labels.len(), labels.next()), (0, None));
    }
}
