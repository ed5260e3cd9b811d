//! A pool's free buffers, looked up by length.

use std::collections::BTreeMap;

/// Free buffers, each with its length in elements.
#[derive(Debug)]
pub(crate) struct Shelf<B>(BTreeMap<usize, Vec<B>>);

/// How a request is served.
pub(crate) enum Served<B> {
    /// By a free buffer, of this length.
    Free(usize, B),
    /// By a new buffer of `length`, for which a free one is given up where there is one.
    New {
        /// Of the new buffer.
        length: usize,
        /// The buffer to free before it, with its length.
        given_up: Option<(usize, B)>,
    },
}

impl<B> Default for Shelf<B> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<B> Shelf<B> {
    /// The smallest free buffer of at least `length` elements that wastes less than half of itself.
    ///
    /// Where there is none, a somewhat smaller free one is given up for the new one: there are never more buffers of
    /// about one size than were in use at one time, whatever lengths come.
    pub(crate) fn take(&mut self, length: usize) -> Served<B> {
        let fitting = self.0.range(length..=length.saturating_mul(2)).next().map(|(&size, _)| size);
        if let Some((size, buffer)) = fitting.and_then(|size| self.pop(size)) {
            return Served::Free(size, buffer);
        }
        let smaller = self.0.range(length / 2..length).next_back().map(|(&size, _)| size);
        let given_up = smaller.and_then(|size| self.pop(size));
        // Some room above what is asked for, so that slightly longer ones fit later.
        Served::New { length: length + length / 16, given_up }
    }

    /// Takes in a buffer of `length` elements that is no longer in use.
    pub(crate) fn give(&mut self, length: usize, buffer: B) {
        self.0.entry(length).or_default().push(buffer);
    }

    /// Elements of all free buffers.
    pub(crate) fn elements(&self) -> usize {
        self.0.iter().map(|(length, buffers)| length * buffers.len()).sum()
    }

    /// Number of free buffers.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn pop(&mut self, length: usize) -> Option<(usize, B)> {
        let buffers = self.0.get_mut(&length)?;
        let buffer = buffers.pop()?;
        if buffers.is_empty() {
            self.0.remove(&length);
        }
        Some((length, buffer))
    }
}
