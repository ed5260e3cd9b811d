//! Images on their way into a convolutional network.

use super::input::images;
use crate::kernels::Grid;
use crate::runtime::{self, ImageSpec, Input, Ops};

/// The images of an input as rows of pixels, `[images * height * width, channels]`, and their grid.
pub(super) fn pixels<O: Ops>(ops: &mut O, spec: &ImageSpec, input: &Input) -> Result<(O::Value, Grid), runtime::Error> {
    let images = images(spec, input)?;
    // Patches of one pixel are the pixels with their channels last.
    let rows = ops.patches(images, 1);
    let grid = Grid { images: images.batch, height: images.height, width: images.width };
    Ok((rows, grid))
}
