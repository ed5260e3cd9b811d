//! Images on their way into a convolutional network.

use super::Error;
use super::config::Config;
use super::input::images;
use crate::graph::{Backend, Graph, Var};
use crate::kernels::{Grid, Window};
use crate::runtime::{ImageSpec, Input};

/// Height and width of the images between two layers, which are known before there is any image.
#[derive(Clone, Copy)]
pub(super) struct Pixels {
    height: usize,
    width: usize,
}

impl Pixels {
    /// The images that a network reads.
    pub(super) fn of(spec: &ImageSpec) -> Self {
        Self { height: spec.height, width: spec.width }
    }

    /// What a window makes of them.
    ///
    /// # Errors
    /// If the window is larger than they are.
    pub(super) fn through(self, window: Window, config: &Config) -> Result<Self, Error> {
        let grid = self.grid(1);
        if !window.fits(grid) {
            return Err(config.wrong("image_size", "larger: a layer's window is wider than what is left of the image"));
        }
        let Grid { height, width, .. } = window.output(grid);
        Ok(Self { height, width })
    }

    /// So many of them.
    pub(super) fn grid(self, images: usize) -> Grid {
        Grid { images, height: self.height, width: self.width }
    }
}

/// The images of an input as rows of pixels, `[images * height * width, channels]`, and their grid.
pub(super) fn pixels<B: Backend>(
    graph: &mut Graph<'_, B>,
    spec: &ImageSpec,
    input: &Input,
) -> Result<(Var<B>, Grid), B::Error> {
    let images = images(spec, input)?;
    // Patches of one pixel are the pixels with their channels last.
    let rows = graph.patches(images, 1)?;
    let grid = Grid { images: images.batch, height: images.height, width: images.width };
    Ok((rows, grid))
}
