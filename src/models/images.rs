//! Images on their way into a convolutional network.

use super::InputSpec;
use crate::kernels::Grid;
use crate::runtime::{self, Input, Ops};

/// The images of an input as rows of pixels, `[images * height * width, channels]`, and their grid.
pub(super) fn pixels<O: Ops>(ops: &mut O, spec: &InputSpec, input: &Input) -> Result<(O::Value, Grid), runtime::Error> {
    let images = spec.images(input)?;
    // Patches of one pixel are the pixels with their channels last.
    let rows = ops.patches(images, 1);
    let grid = Grid { images: images.batch, height: images.height, width: images.width };
    Ok((rows, grid))
}
