//! IDX images with the labels beside them.

use super::classes::Classes;
use super::idx_error::IdxError;
use super::{Error, Result, decode, read_idx_images, read_idx_labels};
use crate::runtime::ImageSpec;
use image::{DynamicImage, GrayImage, ImageResult};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

/// The images and labels of two IDX files.
pub(super) struct IdxPair {
    /// `[images, channels, height, width]`.
    pub(super) pixels: Vec<u8>,
    /// Class of each image.
    pub(super) labels: Vec<usize>,
    pub(super) classes: Vec<String>,
}

impl IdxPair {
    /// Reads the images at `path` and their labels, and fits the images to `spec`.
    pub(super) fn read(path: &Path, labels_path: &Path, spec: &ImageSpec, known: Option<&[String]>) -> Result<Self> {
        let (images, labels) = (read_idx_images(path)?, read_idx_labels(labels_path)?);
        if images.count != labels.len() {
            let (images, labels, count) = (images.count, labels_path.to_path_buf(), labels.len());
            return Err(Error::Idx { path: path.into(), problem: IdxError::Mismatch { images, labels, count } });
        }
        if images.pixels.is_empty() {
            return Err(Error::NoExamples { path: path.into(), expected: "images of at least one pixel" });
        }
        let mut pixels = decode::blank(spec, images.count)?;
        let sources = images.pixels.par_chunks(images.height * images.width);
        let fit = |(out, source): (&mut [u8], &[u8])| {
            let image = GrayImage::from_raw(images.width as u32, images.height as u32, source.to_vec());
            decode::fit(spec, image.map(DynamicImage::from).unwrap_or_default(), out)
        };
        let fitted: ImageResult<()> = pixels.par_chunks_mut(spec.size()).zip(sources).map(fit).collect();
        fitted.map_err(|source| Error::Image { path: path.into(), source })?;
        let names = match known {
            Some(names) => names.to_vec(),
            None => BTreeSet::from_iter(&labels).iter().map(ToString::to_string).collect(),
        };
        let classes = Classes::from_names(names);
        let labels = (1..)
            .zip(&labels)
            .map(|(number, label)| classes.index(&label.to_string(), labels_path, Some(number)))
            .collect::<Result<_>>()?;
        Ok(Self { pixels, labels, classes: classes.into_names() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, idx, spec};
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn idx_pairs_are_fitted_to_the_spec() {
        let folder = Folder::new();
        let images = folder.write("i", idx(&[2, 2, 2], &[9, 9, 9, 9, 1, 1, 1, 1]));
        let labels = folder.write("l", idx(&[2], &[10, 2]));
        let pair = IdxPair::read(&images, &labels, &spec(3, 1, 1), None).unwrap();
        assert_eq!((pair.classes, pair.labels), (names(&["2", "10"]), vec![1, 0]));
        assert_eq!(pair.pixels, [9, 9, 9, 1, 1, 1]);
        let error = IdxPair::read(&images, &labels, &spec(1, 2, 2), Some(&names(&["10"]))).err().unwrap();
        assert!(matches!(error, Error::UnknownLabel { line: Some(2), ref label, .. } if label == "2"));
    }

    #[test]
    fn idx_pairs_must_match() {
        let folder = Folder::new();
        let images = folder.write("i", idx(&[1, 1, 1], &[9]));
        let labels = folder.write("l", idx(&[2], &[1, 2]));
        let error = IdxPair::read(&images, &labels, &spec(1, 1, 1), None).err().unwrap();
        let mismatch = IdxError::Mismatch { images: 1, labels, count: 2 };
        assert!(matches!(error, Error::Idx { problem, .. } if problem == mismatch));
        let (images, labels) = (folder.write("i", idx(&[2, 0, 5], &[])), folder.write("l", idx(&[2], &[1, 2])));
        assert!(matches!(IdxPair::read(&images, &labels, &spec(1, 1, 1), None), Err(Error::NoExamples { .. })));
    }
}
