//! How the rows of a packed batch belong to its examples.

/// Row ranges of the examples of a packed batch: example `i` owns rows `range(i)`.
///
/// Batches carry no padding: the tokens of all examples stand one after another as
/// `[rows, features]`, and only attention and pooling look at where one example ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    ends: Vec<usize>,
}

impl Segments {
    /// Segments of the given lengths, in order.
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut end = 0_usize;
        let ends = lengths
            .into_iter()
            .map(|length| {
                // A sum beyond all memory fits no input.
                end = usize::saturating_add(end, length);
                end
            })
            .collect();
        Self { ends }
    }

    /// `count` segments of `length` rows each.
    pub fn uniform(count: usize, length: usize) -> Self {
        Self::from_lengths(std::iter::repeat_n(length, count))
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Number of rows of all examples.
    pub fn rows(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Rows of example `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Segments::len`].
    pub fn range(&self, index: usize) -> std::ops::Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        start..self.ends[index]
    }

    /// Row ranges of all examples, in order.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> + '_ {
        (0..self.len()).map(|index| self.range(index))
    }
}
