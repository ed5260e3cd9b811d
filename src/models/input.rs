//! What a network reads.

use crate::runtime::{Error, Images, Input};

/// What a network reads.
#[derive(Clone, Debug, PartialEq)]
pub enum InputSpec {
    /// Token sequences of up to `max` tokens.
    Tokens {
        /// Longest sequence.
        max: usize,
    },
    /// Images of one size.
    Images {
        /// Colour channels.
        channels: usize,
        /// Rows of pixels.
        height: usize,
        /// Columns of pixels.
        width: usize,
        /// Mean of each channel, of values 0 to 1.
        mean: Vec<f32>,
        /// Deviation of each channel.
        std: Vec<f32>,
    },
}

impl InputSpec {
    /// The images of an input, if they are as specified.
    pub(super) fn images<'i>(&self, input: &'i Input) -> Result<&'i Images, Error> {
        let wrong = |message: String| Error::Input { message };
        let InputSpec::Images { channels, height, width, .. } = self else {
            return Err(wrong("this base reads text".to_owned()));
        };
        let Input::Images(images) = input else {
            return Err(wrong("this base reads images, and the input is text".to_owned()));
        };
        let (found, expected) = ([images.channels, images.height, images.width], [*channels, *height, *width]);
        if found != expected || images.pixels.len() != images.batch * found.iter().product::<usize>() {
            return Err(wrong(format!(
                "{} values for {} images [channels, height, width] = {found:?}, and the base reads {expected:?}",
                images.pixels.len(),
                images.batch
            )));
        }
        Ok(images)
    }
}
