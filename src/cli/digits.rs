//! The handwritten digits of the demo, as deployed cameras meet them.

use std::path::Path;

use super::Error;
use crate::data::{ImageSet, read_idx_images, read_idx_labels};
use crate::runtime::ImageSpec;

/// Images before this one train; those from it on are held out, and were so when the base was trained.
const HELD_OUT: usize = 1197;

/// How a camera differs from the one that the base was trained for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// Not at all.
    Upright,
    /// Mounted with a quarter turn.
    Rotated,
    /// Bright digits come out dark.
    Inverted,
    /// Asked for the kind of strokes and not for the digit.
    Strokes,
}

impl Scene {
    /// The tasks of the demo.
    pub(super) const TASKS: [Scene; 3] = [Scene::Rotated, Scene::Inverted, Scene::Strokes];

    /// Name of the task.
    pub(super) fn name(self) -> &'static str {
        match self {
            Scene::Upright => "upright",
            Scene::Rotated => "rotated",
            Scene::Inverted => "inverted",
            Scene::Strokes => "strokes",
        }
    }

    /// What is different, in words.
    pub(super) fn what(self) -> &'static str {
        match self {
            Scene::Upright => "as the base was trained",
            Scene::Rotated => "a camera mounted with a quarter turn",
            Scene::Inverted => "inverted contrast",
            Scene::Strokes => "new labels: round, straight or curved",
        }
    }

    fn classes(self) -> Vec<String> {
        match self {
            Scene::Strokes => ["round", "straight", "curved"].map(str::to_owned).to_vec(),
            _ => (0..10).map(|digit| digit.to_string()).collect(),
        }
    }

    fn label(self, digit: u8) -> usize {
        match (self, digit) {
            (Scene::Strokes, 0 | 6 | 8 | 9) => 0,
            (Scene::Strokes, 1 | 4 | 7) => 1,
            (Scene::Strokes, _) => 2,
            (_, digit) => digit.into(),
        }
    }

    fn picture(self, pixels: &[u8], size: usize) -> Vec<u8> {
        match self {
            Scene::Rotated => (0..size * size).map(|at| pixels[(size - 1 - at % size) * size + at / size]).collect(),
            Scene::Inverted => pixels.iter().map(|pixel| 255 - pixel).collect(),
            _ => pixels.to_vec(),
        }
    }
}

/// All digits, in the order of the file.
pub(super) struct Digits {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    size: usize,
}

impl Digits {
    /// Reads the IDX files of `folder`.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let images = read_idx_images(folder.join("digits-images-idx3-ubyte"))?;
        let labels = read_idx_labels(folder.join("digits-labels-idx1-ubyte"))?;
        if images.count != labels.len() || images.count <= HELD_OUT || images.height != images.width {
            let message = format!("{}: {} images for {} labels", folder.display(), images.count, labels.len());
            return Err(Error::Failed(message));
        }
        Ok(Self { pixels: images.pixels, labels, size: images.height })
    }

    /// The first `count` training images of a scene.
    pub(super) fn train(&self, scene: Scene, count: usize, spec: &ImageSpec) -> Result<ImageSet, Error> {
        self.part(scene, 0..count.min(HELD_OUT), spec)
    }

    /// The held-out images of a scene.
    pub(super) fn held_out(&self, scene: Scene, spec: &ImageSpec) -> Result<ImageSet, Error> {
        self.part(scene, HELD_OUT..self.labels.len(), spec)
    }

    fn part(&self, scene: Scene, range: std::ops::Range<usize>, spec: &ImageSpec) -> Result<ImageSet, Error> {
        let each = self.size * self.size;
        let images = self.pixels[range.start * each..range.end * each].chunks_exact(each);
        let pixels = images.flat_map(|pixels| scene.picture(pixels, self.size)).collect();
        let labels = self.labels[range].iter().map(|&digit| scene.label(digit)).collect();
        Ok(ImageSet::new(pixels, labels, scene.classes(), spec.clone())?)
    }
}

#[cfg(test)]
mod tests {
    use super::Scene;

    #[test]
    fn a_quarter_turn_is_clockwise() {
        assert_eq!(Scene::Rotated.picture(&[1, 2, 3, 4], 2), [3, 1, 4, 2]);
        assert_eq!(Scene::Inverted.picture(&[0, 255, 1, 7], 2), [255, 0, 254, 248]);
    }
}
