//! Labelled examples, and those of anyone's making with what they promise checked.

use super::{Error, Input, Settings};

/// Labelled examples that can be gathered into batches.
pub trait Examples: Sync {
    /// Number of examples.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the classes; a label is an index into them.
    fn classes(&self) -> &[String];

    /// Class of example `index`.
    fn label(&self, index: usize) -> usize;

    /// What the examples were made with, as the size of images or the longest text: an adapter that is trained on them is
    /// bound to it. Examples of one's own may leave it out; then nothing is checked later.
    fn settings(&self) -> Settings {
        Settings::default()
    }

    /// Rows that example `index` takes in a batch; batches of similar rows are cheaper.
    fn rows(&self, index: usize) -> usize {
        let _ = index;
        1
    }

    /// The examples of `indices`, in that order, as one batch.
    ///
    /// # Errors
    /// If an example has to be read anew and cannot be.
    fn batch(&self, indices: &[usize]) -> Result<Input, Error>;

    /// As [`Examples::batch`] for a training step: augmented where the examples are of a kind that can be,
    /// as a function of `seed` alone.
    ///
    /// # Errors
    /// As [`Examples::batch`].
    fn training_batch(&self, indices: &[usize], seed: u64) -> Result<Input, Error> {
        let _ = seed;
        self.batch(indices)
    }
}

/// Examples whose labels are classes, and whose batches have as many examples as were asked for. What a program computes
/// with goes through here, since [`Examples`] may be of anyone's making.
#[derive(Clone, Copy)]
pub(crate) struct Checked<'a>(&'a dyn Examples);

impl<'a> Checked<'a> {
    /// Checks every label.
    ///
    /// # Errors
    /// [`Error::Label`] names the first that is no class.
    pub(crate) fn new(examples: &'a dyn Examples) -> Result<Self, Error> {
        let classes = examples.classes().len();
        let wrong = |&example: &usize| examples.label(example) >= classes;
        match (0..examples.len()).find(wrong) {
            Some(example) => Err(Error::Label { example, label: examples.label(example), classes }),
            None => Ok(Self(examples)),
        }
    }
}

/// A batch, if it has as many examples as were asked for.
fn counted(batch: Input, asked: usize) -> Result<Input, Error> {
    let found = batch.len();
    if found == asked { Ok(batch) } else { Err(Error::BatchSize { asked, found }) }
}

impl Examples for Checked<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn classes(&self) -> &[String] {
        self.0.classes()
    }

    fn label(&self, index: usize) -> usize {
        self.0.label(index)
    }

    fn settings(&self) -> Settings {
        self.0.settings()
    }

    fn rows(&self, index: usize) -> usize {
        self.0.rows(index)
    }

    fn batch(&self, indices: &[usize]) -> Result<Input, Error> {
        counted(self.0.batch(indices)?, indices.len())
    }

    fn training_batch(&self, indices: &[usize], seed: u64) -> Result<Input, Error> {
        counted(self.0.training_batch(indices, seed)?, indices.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Segments;
    use crate::runtime::Tokens;

    /// Three examples of two classes, and what is wrong with them.
    struct Odd {
        classes: Vec<String>,
        label: usize,
        lost: usize,
    }

    impl Examples for Odd {
        fn len(&self) -> usize {
            3
        }

        fn classes(&self) -> &[String] {
            &self.classes
        }

        fn label(&self, index: usize) -> usize {
            if index == 1 { self.label } else { 0 }
        }

        fn batch(&self, indices: &[usize]) -> Result<Input, Error> {
            let count = indices.len().saturating_sub(self.lost);
            Ok(Input::Tokens(Tokens { ids: vec![1; count], segments: Segments::uniform(count, 1) }))
        }
    }

    fn odd(label: usize, lost: usize) -> Odd {
        Odd { classes: vec!["a".to_owned(), "b".to_owned()], label, lost }
    }

    #[test]
    fn labels_and_batches_are_checked() {
        let good = odd(1, 0);
        let checked = Checked::new(&good).unwrap();
        assert_eq!((checked.len(), checked.label(1), checked.rows(0)), (3, 1, 1));
        assert_eq!(checked.batch(&[2, 0]).unwrap().len(), 2);
        let wrong = odd(2, 0);
        let error = Checked::new(&wrong).err().unwrap();
        assert!(matches!(error, Error::Label { example: 1, label: 2, classes: 2 }), "{error}");
        let short = odd(0, 1);
        let checked = Checked::new(&short).unwrap();
        for batch in [checked.batch(&[0, 1]), checked.training_batch(&[0, 1], 0)] {
            assert!(matches!(batch, Err(Error::BatchSize { asked: 2, found: 1 })));
        }
    }
}
