//! What a network reads: a batch of tokens or of images, and the labelled examples batches are made from.

use super::Error;
use crate::kernels::Segments;

/// One batch of model input.
#[derive(Clone, Debug)]
pub enum Input {
    /// Token sequences, for text encoders.
    Tokens(Tokens),
    /// Images, for vision networks.
    Images(Images),
}

/// Token sequences packed one after another, without padding.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Vocabulary indices of all sequences, `[rows]`.
    pub ids: Vec<u32>,
    /// Which rows belong to which sequence.
    pub segments: Segments,
}

/// Images of one size, normalized as the base's `config.json` says.
#[derive(Clone, Debug)]
pub struct Images {
    /// Pixel values, `[batch, channels, height, width]`, row-major.
    pub pixels: Vec<f32>,
    /// Number of images.
    pub batch: usize,
    /// Colour channels of each.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl Images {
    /// Channels, height and width of each.
    pub fn size(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }
}

impl Input {
    /// Number of examples in the batch.
    pub fn len(&self) -> usize {
        match self {
            Input::Tokens(tokens) => tokens.segments.len(),
            Input::Images(images) => images.batch,
        }
    }

    /// Whether the batch has no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

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
