//! Labelled images.

use super::augment::Stream;
use super::idx_pair::IdxPair;
use super::image_folder::ImageFolder;
use super::{Augment, Error, FolderOptions, Note, Result, decode};
use crate::runtime::{self, Examples, ImageSpec, Images, Input, Settings};
use rayon::prelude::*;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Labelled images of one size, kept as bytes and normalized when they are gathered into a batch.
///
/// Those of a folder beyond [`FolderOptions::cache`] stay in their files and are decoded for every batch anew.
#[derive(Clone, Debug)]
pub struct ImageSet {
    /// The first images, `[kept, channels, height, width]`.
    pixels: Vec<u8>,
    /// Files of the images that come after them.
    files: Vec<PathBuf>,
    labels: Vec<usize>,
    classes: Vec<String>,
    spec: ImageSpec,
    skipped: Vec<(PathBuf, String)>,
    notes: Vec<Note>,
    augment: Augment,
}

impl ImageSet {
    /// Images from their parts: `pixels` is `[labels.len(), channels, height, width]`, row-major, and a label
    /// is an index into `classes`.
    ///
    /// # Errors
    /// [`Error::ImageSpec`], and [`Error::Parts`] if the number of pixels or a label does not fit.
    pub fn new(pixels: Vec<u8>, labels: Vec<usize>, classes: Vec<String>, spec: ImageSpec) -> Result<Self> {
        decode::check(&spec)?;
        let expected = spec.size() as u128 * labels.len() as u128;
        if pixels.len() as u128 != expected {
            let (count, found) = (labels.len(), pixels.len());
            return Err(Error::Parts { reason: format!("{found} bytes for {count} images, which take {expected}") });
        }
        if let Some(label) = labels.iter().find(|&&label| label >= classes.len()) {
            return Err(Error::Parts { reason: format!("label {label}, but only {} classes", classes.len()) });
        }
        let (files, skipped, notes) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { pixels, files, labels, classes, spec, skipped, notes, augment: Augment::default() })
    }

    /// Reads a folder with one subfolder a class, and JPEG and PNG files in each, or in folders within it.
    ///
    /// Classes are the sorted names of the subfolders, or `options.labels`; images come by class and then by name,
    /// turned upright and resized as `spec` says. What a file is its content tells, whatever its name. Hidden entries are
    /// passed over; of the files that are no images [`ImageSet::notes`] gives the number.
    ///
    /// All images are decoded once. An unreadable one, or one that was cut off, is left out and listed in
    /// [`ImageSet::skipped`], unless their share exceeds `options.max_skipped_share`. The first ones, up to `options.cache` bytes, stay in memory; beside
    /// them each thread holds the one file that it decodes.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::ImageSpec`], [`Error::NoExamples`], [`Error::EmptyClass`], [`Error::Splits`],
    /// [`Error::SameLabels`], [`Error::SkippedImages`], [`Error::Parts`] if the images to keep do not fit into memory, and
    /// [`Error::UnknownLabel`] for a subfolder that is not among `options.labels`.
    pub fn from_folder(path: impl AsRef<Path>, spec: &ImageSpec, options: &FolderOptions<'_>) -> Result<Self> {
        let read = ImageFolder::read(path.as_ref(), spec, options)?;
        let ImageFolder { pixels, files, labels, classes, skipped, notes } = read;
        Ok(Self { pixels, files, labels, classes, spec: spec.clone(), skipped, notes, augment: Augment::default() })
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

    /// The same images, changed by `augment` in every [`Examples::training_batch`], and in no other.
    #[must_use]
    pub fn augmented(self, augment: Augment) -> Self {
        Self { augment, ..self }
    }

    /// Size and normalization of the images.
    pub fn spec(&self) -> &ImageSpec {
        &self.spec
    }

    /// Bytes of image `index`, `[channels, height, width]`, decoded anew if they are not kept in memory.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Image`] if the file can no longer be read.
    ///
    /// # Panics
    /// If `index` is not below [`Examples::len`].
    pub fn pixels(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let size = self.spec.size();
        let kept = self.pixels.len() / size;
        if index < kept {
            return Ok(Cow::Borrowed(&self.pixels[index * size..(index + 1) * size]));
        }
        let mut pixels = vec![0; size];
        decode::read(&self.spec, &self.files[index - kept], &mut pixels)?;
        Ok(Cow::Owned(pixels))
    }

    /// Images that could not be read and were left out, and why.
    pub fn skipped(&self) -> &[(PathBuf, String)] {
        &self.skipped
    }

    /// What else lay in the folder and is not used.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The images of `indices` as one batch, `change`d each, given its position.
    fn gather<'a>(
        &'a self,
        indices: &[usize],
        change: impl Fn(usize, Cow<'a, [u8]>) -> Cow<'a, [u8]> + Sync,
    ) -> std::result::Result<Input, runtime::Error> {
        let image = |(position, &index)| Ok(change(position, self.pixels(index)?));
        // Gathered before the first error is looked for: which one is found must not depend on the threads.
        let images: Vec<Result<Cow<'_, [u8]>>> = indices.par_iter().enumerate().map(image).collect();
        let images = images.into_iter().collect::<Result<Vec<_>>>().map_err(lost)?;
        Ok(Input::Images(normalize(&self.spec, &images)))
    }
}

/// A file was readable once and is not any more.
fn lost(error: Error) -> runtime::Error {
    let path = match &error {
        Error::Io { path, .. } | Error::Image { path, .. } => format!("{}: ", path.display()),
        _ => String::new(),
    };
    let advice = "the image could be read when its folder was opened: put the file back, or open the folder again";
    runtime::Error::Input { message: format!("{path}{}; {advice}", error.reason()) }
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

    fn settings(&self) -> Settings {
        self.spec.settings()
    }

    fn batch(&self, indices: &[usize]) -> std::result::Result<Input, runtime::Error> {
        self.gather(indices, |_, image| image)
    }

    fn training_batch(&self, indices: &[usize], seed: u64) -> std::result::Result<Input, runtime::Error> {
        let (augment, height, width) = (self.augment, self.spec.height, self.spec.width);
        if augment == Augment::default() {
            return self.batch(indices);
        }
        self.gather(indices, |position, image| {
            Cow::Owned(augment.apply(&image, height, width, &mut Stream::new(seed, position)))
        })
    }
}

/// Images of JPEG and PNG files without labels, as one batch in the order of `paths`.
///
/// # Errors
/// [`Error::ImageSpec`], and for the first file that has one [`Error::Io`] or [`Error::Image`].
pub fn read_images<P: AsRef<Path> + Sync>(paths: &[P], spec: &ImageSpec) -> Result<Images> {
    let mut pixels = decode::blank(spec, paths.len())?;
    let outs = pixels.par_chunks_mut(spec.size());
    let read: Vec<Result<()>> = outs.zip(paths).map(|(out, path)| decode::read(spec, path.as_ref(), out)).collect();
    read.into_iter().collect::<Result<()>>()?;
    let images: Vec<&[u8]> = pixels.chunks(spec.size()).collect();
    Ok(normalize(spec, &images))
}

fn normalize<T: AsRef<[u8]> + Sync>(spec: &ImageSpec, images: &[T]) -> Images {
    let levels = decode::levels(spec);
    let plane = spec.height * spec.width;
    let mut pixels = vec![0.0; images.len() * spec.size()];
    pixels.par_chunks_mut(spec.size()).zip(images).for_each(|(out, image)| {
        for ((out, image), level) in out.chunks_mut(plane).zip(image.as_ref().chunks(plane)).zip(&levels) {
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
        let Input::Images(batch) = set.batch(&[1, 0]).unwrap() else { panic!("images are images") };
        assert_eq!((batch.batch, batch.channels, batch.height, batch.width), (2, 3, 1, 2));
        assert_eq!(batch.pixels[6..], [0.0, 1.0, -1.0, 1.0, -4.0, 0.0]);
        assert_eq!(batch.pixels[..6], [0.2, 0.2, (0.2 - 0.5) / 0.5, (0.2 - 0.5) / 0.5, -0.8 / 0.25, -0.8 / 0.25]);
        assert_eq!((set.len(), set.label(0), set.rows(0)), (2, 1, 1));
        assert!(set.batch(&[]).unwrap().is_empty());
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

    /// The pixels of a batch.
    fn pixels(batch: std::result::Result<Input, runtime::Error>) -> Vec<f32> {
        let Input::Images(batch) = batch.unwrap() else { panic!("images are images") };
        batch.pixels
    }

    /// Five images of 3 by 3 pixels that are all different, in two classes.
    fn noise() -> Folder {
        let folder = Folder::new();
        for index in 0..5u8 {
            let path = folder.write(&format!("{}/{index}.png", index % 2), "");
            let byte = |x: u32, y: u32, channel: u32| index * 50 + (y * 9 + x * 3 + channel) as u8;
            let colour = |x, y| image::Rgb(std::array::from_fn(|channel| byte(x, y, channel as u32)));
            image::RgbImage::from_fn(3, 3, colour).save(path).unwrap();
        }
        folder
    }

    fn limited(folder: &Folder, cache: usize) -> ImageSet {
        let options = FolderOptions { cache, ..FolderOptions::default() };
        ImageSet::from_folder(folder.path(), &spec(3, 3, 3), &options).unwrap()
    }

    const ORDER: [usize; 6] = [4, 0, 3, 3, 1, 2];

    #[test]
    fn a_limit_on_memory_changes_no_batch() {
        let folder = noise();
        let augment = Augment { crop: 1, flip: true };
        let all = limited(&folder, usize::MAX).augmented(augment);
        assert_eq!(all.pixels.len(), 5 * 27);
        for (cache, kept) in [(0, 0), (2 * 27 + 26, 2), (5 * 27, 5)] {
            let some = limited(&folder, cache).augmented(augment);
            assert_eq!((some.pixels.len(), some.files.len()), (kept * 27, 5 - kept));
            assert_eq!(pixels(some.batch(&ORDER)), pixels(all.batch(&ORDER)));
            assert_eq!(pixels(some.training_batch(&ORDER, 9)), pixels(all.training_batch(&ORDER, 9)));
            assert!((0..5).all(|index| some.pixels(index).unwrap() == all.pixels(index).unwrap()));
            assert_eq!((some.labels, &some.classes), (all.labels.clone(), &all.classes));
        }
    }

    #[test]
    fn files_that_are_lost_are_named() {
        let folder = noise();
        let set = limited(&folder, 2 * 27);
        let (gone, broken) = (folder.path().join("0/4.png"), folder.write("1/3.png", "no image"));
        std::fs::remove_file(&gone).unwrap();
        let message = |indices: &[usize]| match set.batch(indices).unwrap_err() {
            runtime::Error::Input { message } => message,
            other => panic!("{other}"),
        };
        let missing = message(&[0, 2, 3, 4]);
        let reason = std::fs::read(&gone).unwrap_err();
        assert!(missing.starts_with(&format!("{}: {reason}; ", gone.display())), "{missing}");
        assert!(message(&[4, 2]).starts_with(&broken.display().to_string()));
        assert!(set.batch(&[0, 1, 3]).is_ok());
    }

    #[test]
    fn training_alone_is_augmented_by_its_seed_alone() {
        let folder = noise();
        let plain = limited(&folder, usize::MAX);
        let set = plain.clone().augmented(Augment { crop: 1, flip: true });
        assert_eq!(pixels(set.batch(&ORDER)), pixels(plain.batch(&ORDER)));
        assert_eq!(pixels(plain.training_batch(&ORDER, 1)), pixels(plain.batch(&ORDER)));
        let train = |seed| pixels(set.training_batch(&ORDER, seed));
        assert_eq!(train(1), train(1));
        assert_ne!(train(1), train(2));
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| train(3)), train(3));
        // Every place in a batch has its own draw.
        let same = pixels(set.training_batch(&[0; 16], 4));
        assert!(same.chunks(27).any(|image| image != &same[..27]));
    }

    #[test]
    fn images_are_read_without_labels() {
        let folder = Folder::new();
        let (good, bad) = (folder.write_png("a.png", 2, 2, [255; 3]), folder.write("b.png", ""));
        assert_eq!(read_images(&[&good], &spec(1, 1, 1)).unwrap().pixels, [1.0]);
        assert!(matches!(read_images(&[good, bad], &spec(1, 1, 1)), Err(Error::Image { .. })));
    }
}
