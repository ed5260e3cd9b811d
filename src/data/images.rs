//! Labelled images.

use super::idx_pair::IdxPair;
use super::image_folder::ImageFolder;
use super::{Error, ImageSpec, Result};
use crate::runtime::{Examples, Images, Input};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Labelled images of one size, kept as bytes and normalized when they are gathered into a batch.
#[derive(Clone, Debug)]
pub struct ImageSet {
    /// `[images, channels, height, width]`.
    pixels: Vec<u8>,
    labels: Vec<usize>,
    classes: Vec<String>,
    spec: ImageSpec,
    skipped: Vec<(PathBuf, String)>,
}

impl ImageSet {
    /// Images from their parts: `pixels` is `[labels.len(), channels, height, width]`, row-major, and a label
    /// is an index into `classes`.
    ///
    /// # Errors
    /// [`Error::ImageSpec`], and [`Error::Parts`] if the number of pixels or a label does not fit.
    pub fn new(pixels: Vec<u8>, labels: Vec<usize>, classes: Vec<String>, spec: ImageSpec) -> Result<Self> {
        spec.check()?;
        let expected = spec.size() as u128 * labels.len() as u128;
        if pixels.len() as u128 != expected {
            let (count, found) = (labels.len(), pixels.len());
            return Err(Error::Parts { reason: format!("{found} bytes for {count} images, which take {expected}") });
        }
        if let Some(label) = labels.iter().find(|&&label| label >= classes.len()) {
            return Err(Error::Parts { reason: format!("label {label}, but only {} classes", classes.len()) });
        }
        Ok(Self { pixels, labels, classes, spec, skipped: Vec::new() })
    }

    /// Reads a folder with one subfolder a class, and JPEG and PNG files in each.
    ///
    /// Classes are the sorted names of the subfolders, or `labels`; images come by class and then by name,
    /// turned upright and resized (triangle filter) to the size of `spec`. Hidden entries and files that are no
    /// images are passed over. An unreadable image is left out and listed in [`ImageSet::skipped`], unless
    /// their share exceeds `max_skipped_share` (usually [`MAX_SKIPPED_SHARE`](super::MAX_SKIPPED_SHARE)).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::ImageSpec`], [`Error::NoExamples`], [`Error::EmptyClass`],
    /// [`Error::SkippedImages`], and [`Error::UnknownLabel`] for a subfolder that is not among `labels`.
    pub fn from_folder(
        path: impl AsRef<Path>,
        spec: &ImageSpec,
        labels: Option<&[String]>,
        max_skipped_share: f64,
    ) -> Result<Self> {
        let folder = ImageFolder::read(path.as_ref(), spec, labels, max_skipped_share)?;
        let set = Self::new(folder.pixels, folder.labels, folder.classes, spec.clone())?;
        Ok(Self { skipped: folder.skipped, ..set })
    }

    /// Reads a pair of IDX files; images of another size than that of `spec` are resized.
    ///
    /// Classes are the distinct label bytes in decimal, in the order of their value, or `known`.
    ///
    /// # Errors
    /// Those of [`read_idx_images`](super::read_idx_images), [`Error::Idx`] if the labels are more or fewer,
    /// [`Error::ImageSpec`], [`Error::NoExamples`], and [`Error::UnknownLabel`] with the number of the label.
    pub fn from_idx(
        images: impl AsRef<Path>,
        labels: impl AsRef<Path>,
        spec: &ImageSpec,
        known: Option<&[String]>,
    ) -> Result<Self> {
        let pair = IdxPair::read(images.as_ref(), labels.as_ref(), spec, known)?;
        Self::new(pair.pixels, pair.labels, pair.classes, spec.clone())
    }

    /// Size and normalization of the images.
    pub fn spec(&self) -> &ImageSpec {
        &self.spec
    }

    /// Bytes of image `index`, `[channels, height, width]`.
    ///
    /// # Panics
    /// If `index` is not below [`Examples::len`].
    pub fn pixels(&self, index: usize) -> &[u8] {
        let size = self.spec.size();
        &self.pixels[index * size..(index + 1) * size]
    }

    /// Images that could not be read and were left out, and why.
    pub fn skipped(&self) -> &[(PathBuf, String)] {
        &self.skipped
    }
}

impl Examples for ImageSet {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        self.labels[index]
    }

    fn batch(&self, indices: &[usize]) -> Input {
        let images: Vec<&[u8]> = indices.iter().map(|&index| self.pixels(index)).collect();
        Input::Images(normalize(&self.spec, &images))
    }
}

/// Images of JPEG and PNG files without labels, as one batch in the order of `paths`.
///
/// # Errors
/// [`Error::ImageSpec`], and for the first file that has one [`Error::Io`] or [`Error::Image`].
pub fn read_images<P: AsRef<Path> + Sync>(paths: &[P], spec: &ImageSpec) -> Result<Images> {
    let mut pixels = spec.blank(paths.len())?;
    let outs = pixels.par_chunks_mut(spec.size());
    let read: Vec<Result<()>> = outs.zip(paths).map(|(out, path)| spec.read(path.as_ref(), out)).collect();
    read.into_iter().collect::<Result<()>>()?;
    let images: Vec<&[u8]> = pixels.chunks(spec.size()).collect();
    Ok(normalize(spec, &images))
}

fn normalize(spec: &ImageSpec, images: &[&[u8]]) -> Images {
    let levels = spec.levels();
    let plane = spec.height * spec.width;
    let mut pixels = vec![0.0; images.len() * spec.size()];
    pixels.par_chunks_mut(spec.size()).zip(images).for_each(|(out, image)| {
        for ((out, image), level) in out.chunks_mut(plane).zip(image.chunks(plane)).zip(&levels) {
            for (out, &byte) in out.iter_mut().zip(image) {
                *out = level[usize::from(byte)];
            }
        }
    });
    Images { pixels, batch: images.len(), channels: spec.channels, height: spec.height, width: spec.width }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, spec};
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_batch_is_normalized_by_channel() {
        let spec = ImageSpec { mean: vec![0.0, 0.5, 1.0], std: vec![1.0, 0.5, 0.25], ..spec(3, 1, 2) };
        let pixels = vec![0, 255, 0, 255, 0, 255, 51, 51, 51, 51, 51, 51];
        let set = ImageSet::new(pixels, vec![1, 0], names(&["a", "b"]), spec).unwrap();
        let Input::Images(batch) = set.batch(&[1, 0]) else { panic!("images are images") };
        assert_eq!((batch.batch, batch.channels, batch.height, batch.width), (2, 3, 1, 2));
        assert_eq!(batch.pixels[6..], [0.0, 1.0, -1.0, 1.0, -4.0, 0.0]);
        assert_eq!(batch.pixels[..6], [0.2, 0.2, (0.2 - 0.5) / 0.5, (0.2 - 0.5) / 0.5, -0.8 / 0.25, -0.8 / 0.25]);
        assert_eq!((set.len(), set.label(0), set.rows(0)), (2, 1, 1));
        assert!(set.batch(&[]).is_empty());
    }

    #[test]
    fn parts_must_fit() {
        let new = |bytes, label| ImageSet::new(vec![0; bytes], vec![label], names(&["a"]), spec(1, 2, 2)).err();
        assert!(new(4, 0).is_none());
        assert!(matches!(new(5, 0), Some(Error::Parts { .. })));
        assert!(matches!(new(4, 1), Some(Error::Parts { .. })));
        let bad = ImageSet::new(vec![], vec![], vec![], spec(2, 2, 2));
        assert!(matches!(bad, Err(Error::ImageSpec { .. })));
    }

    #[test]
    fn images_are_read_without_labels() {
        let folder = Folder::new();
        let (good, bad) = (folder.write_png("a.png", 2, 2, [255; 3]), folder.write("b.png", ""));
        assert_eq!(read_images(&[&good], &spec(1, 1, 1)).unwrap().pixels, [1.0]);
        assert!(matches!(read_images(&[good, bad], &spec(1, 1, 1)), Err(Error::Image { .. })));
    }
}
