//! What a network reads.

use crate::runtime::{Error, ImageSpec, Images, Input, TextSpec};

/// What a network reads.
#[derive(Clone, Debug, PartialEq)]
pub enum InputSpec {
    /// Texts.
    Tokens(TextSpec),
    /// Images of one size.
    Images(ImageSpec),
}

/// The images of an input, if they are as specified.
pub(super) fn images<'i>(spec: &ImageSpec, input: &'i Input) -> Result<&'i Images, Error> {
    let wrong = |message: String| Error::Input { message };
    let Input::Images(images) = input else {
        return Err(wrong("this base reads images, and the input is text".to_owned()));
    };
    let (found, expected) = (images.size(), [spec.channels, spec.height, spec.width]);
    let pixels = found.iter().try_fold(images.batch, |product, side| product.checked_mul(*side));
    if found != expected || pixels != Some(images.pixels.len()) {
        return Err(wrong(format!(
            "{} values for {} images [channels, height, width] = {found:?}, and the base reads {expected:?}",
            images.pixels.len(),
            images.batch
        )));
    }
    Ok(images)
}
