//! Images as rows of pixels, and windows that slide over them.

use super::Segments;

/// A batch of images of one size whose activations are `[images * height * width, channels]`: a row is a
/// pixel, pixels go by image, then line, then column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Number of images.
    pub images: usize,
    /// Lines of pixels of each.
    pub height: usize,
    /// Pixels of each line.
    pub width: usize,
}

impl Grid {
    /// Pixels of all images.
    pub fn rows(self) -> usize {
        self.images * self.height * self.width
    }

    /// The rows of each image.
    pub fn segments(self) -> Segments {
        Segments::uniform(self.images, self.height * self.width)
    }
}

/// A window that slides over images with zeros around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Lines and columns it covers.
    pub size: [usize; 2],
    /// Pixels it moves by, in both directions.
    pub stride: usize,
    /// Lines of zeros above and below.
    pub rows: [usize; 2],
    /// Columns of zeros on the left and on the right.
    pub cols: [usize; 2],
}

impl Window {
    /// A square window with the same padding on all sides.
    pub fn square(size: usize, stride: usize, pad: usize) -> Self {
        Self { size: [size; 2], stride, rows: [pad; 2], cols: [pad; 2] }
    }

    /// A square window padded as TensorFlow's SAME: the output has ⌈input / stride⌉ lines and columns, and
    /// what is odd of the padding goes below and to the right.
    pub fn same(size: usize, stride: usize, grid: Grid) -> Self {
        let sides = |length: usize| {
            let pad = ((length.div_ceil(stride) - 1) * stride + size).saturating_sub(length);
            [pad / 2, pad - pad / 2]
        };
        Self { size: [size; 2], stride, rows: sides(grid.height), cols: sides(grid.width) }
    }

    /// Whether it has a position in images of `grid`.
    pub fn fits(self, grid: Grid) -> bool {
        let fits = |length: usize, size: usize, pad: [usize; 2]| length + pad[0] + pad[1] >= size;
        fits(grid.height, self.size[0], self.rows) && fits(grid.width, self.size[1], self.cols)
    }

    /// The positions of the window in images of `grid`.
    ///
    /// # Panics
    /// If the window is larger than a padded image.
    pub fn output(self, grid: Grid) -> Grid {
        let positions = |length: usize, size: usize, pad: [usize; 2]| {
            let padded = length + pad[0] + pad[1];
            assert!(padded >= size, "a window of {size} in {padded} padded pixels");
            (padded - size) / self.stride + 1
        };
        Grid {
            images: grid.images,
            height: positions(grid.height, self.size[0], self.rows),
            width: positions(grid.width, self.size[1], self.cols),
        }
    }

    /// Whether each output pixel sees the one input pixel of its place.
    pub fn is_pointwise(self) -> bool {
        self.size == [1, 1] && self.stride == 1 && self.rows == [0, 0] && self.cols == [0, 0]
    }

    /// The range of offsets within the window, in one direction, that fall on an image of `length` when the
    /// window starts at `start - pad`.
    pub(super) fn inside(size: usize, pad: usize, start: usize, length: usize) -> std::ops::Range<usize> {
        let first = pad.saturating_sub(start).min(size);
        first..size.min((length + pad).saturating_sub(start)).max(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_sizes_are_those_of_the_field() {
        let grid = |height, width| Grid { images: 2, height, width };
        assert_eq!(Window::square(7, 2, 3).output(grid(224, 225)), grid(112, 113));
        assert_eq!(Window::square(3, 1, 1).output(grid(5, 1)), grid(5, 1));
        assert_eq!(Window::same(3, 2, grid(224, 7)), Window { size: [3; 2], stride: 2, rows: [0, 1], cols: [1, 1] });
        assert_eq!(Window::same(3, 2, grid(224, 7)).output(grid(224, 7)), grid(112, 4));
        assert_eq!(grid(3, 4).rows(), 24);
    }

    #[test]
    fn offsets_inside_the_image() {
        assert_eq!(Window::inside(3, 1, 0, 5), 1..3);
        assert_eq!(Window::inside(3, 1, 2, 5), 0..3);
        assert_eq!(Window::inside(3, 1, 5, 5), 0..1);
        assert_eq!(Window::inside(3, 1, 0, 1), 1..2);
        assert!(Window::inside(3, 4, 0, 1).is_empty());
    }
}
