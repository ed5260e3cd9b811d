//! What a network reads: a batch of tokens or of images.

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
