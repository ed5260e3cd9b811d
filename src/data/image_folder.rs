//! A folder of images with one subfolder a class.

use super::classes::Classes;
use super::records::extension;
use super::{Error, ImageSpec, Result};
use rayon::prelude::*;
use std::error::Error as _;
use std::path::{Path, PathBuf};

/// Share of the images of a folder that may be unreadable before that is an error.
pub const MAX_SKIPPED_SHARE: f64 = 0.01;

const READ: [&str; 3] = ["jpg", "jpeg", "png"];
/// Images that cannot be read are named and counted; whatever else lies in a folder is no image.
const UNREAD: [&str; 8] = ["webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif"];

/// The readable images of a folder.
pub(super) struct ImageFolder {
    /// `[images, channels, height, width]`.
    pub(super) pixels: Vec<u8>,
    /// Class of each image.
    pub(super) labels: Vec<usize>,
    pub(super) classes: Vec<String>,
    /// The images that could not be read, and why.
    pub(super) skipped: Vec<(PathBuf, String)>,
}

impl ImageFolder {
    /// Reads all images under `path`, by class and then by name.
    pub(super) fn read(
        path: &Path,
        spec: &ImageSpec,
        given: Option<&[String]>,
        max_skipped_share: f64,
    ) -> Result<Self> {
        spec.check()?;
        let folders = entries(path, Path::is_dir)?;
        let names: Vec<String> = folders.iter().map(|folder| name(folder)).collect();
        let classes = Classes::new(given, names.iter().map(String::as_str));
        let mut files = Vec::new();
        for (folder, name) in folders.iter().zip(&names) {
            let class = classes.index(name, folder, None)?;
            let images = entries(folder, is_image)?;
            if images.is_empty() && given.is_none() {
                return Err(Error::EmptyClass { path: folder.clone() });
            }
            files.extend(images.into_iter().map(|file| (class, file)));
        }
        if files.is_empty() {
            let expected = "a subfolder a class with JPEG or PNG files in it, or unpacked IDX files";
            return Err(Error::NoExamples { path: path.to_path_buf(), expected });
        }

        let size = spec.size();
        let mut pixels = spec.blank(files.len())?;
        let read: Vec<Option<String>> = pixels
            .par_chunks_mut(size)
            .zip(&files)
            .map(|(out, (_, file))| read_or_reason(spec, file, out).err())
            .collect();
        let mut labels = Vec::with_capacity(files.len());
        let mut skipped = Vec::new();
        let total = files.len();
        for (index, ((class, file), failure)) in files.into_iter().zip(read).enumerate() {
            match failure {
                Some(reason) => skipped.push((file, reason)),
                None => {
                    pixels.copy_within(index * size..(index + 1) * size, labels.len() * size);
                    labels.push(class);
                }
            }
        }
        pixels.truncate(labels.len() * size);
        if let Some((first, reason)) = skipped.first()
            && (labels.is_empty() || skipped.len() as f64 > max_skipped_share * total as f64)
        {
            let (path, first, reason) = (path.to_path_buf(), first.clone(), reason.clone());
            return Err(Error::SkippedImages { path, skipped: skipped.len(), total, first, reason });
        }
        if given.is_none()
            && let Some(empty) = (0..folders.len()).find(|class| labels.binary_search(class).is_err())
        {
            return Err(Error::EmptyClass { path: folders[empty].clone() });
        }
        Ok(Self { pixels, labels, classes: classes.into_names(), skipped })
    }
}

/// What of `path` is `wanted` and not hidden, sorted by name.
fn entries(path: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut found: Vec<PathBuf> = listed.map_err(Error::io(path))?;
    found.retain(|entry| !name(entry).starts_with('.') && wanted(entry));
    found.sort();
    Ok(found)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_image(path: &Path) -> bool {
    let extension = extension(path);
    (READ.contains(&extension.as_str()) || UNREAD.contains(&extension.as_str())) && path.is_file()
}

fn read_or_reason(spec: &ImageSpec, file: &Path, out: &mut [u8]) -> std::result::Result<(), String> {
    if UNREAD.contains(&extension(file).as_str()) {
        return Err("neither JPEG nor PNG".into());
    }
    spec.read(file, out).map_err(|error| error.source().map_or_else(|| error.to_string(), |source| source.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, spec};
    use super::*;

    fn read(folder: &Folder, given: Option<&[String]>, share: f64) -> Result<ImageFolder> {
        ImageFolder::read(folder.path(), &spec(1, 1, 1), given, share)
    }

    fn cats_and_dogs() -> Folder {
        let folder = Folder::new();
        folder.write_png("dog/b.png", 3, 3, [30; 3]);
        folder.write_png("dog/a.PNG", 1, 1, [20; 3]);
        folder.write_png("cat/a.jpg", 2, 1, [10; 3]);
        folder.write_png(".hidden/a.png", 1, 1, [0; 3]);
        folder.write("dog/.DS_Store", "");
        folder.write("dog/notes.md", "");
        folder.write("readme.txt", "");
        folder
    }

    #[test]
    fn images_are_sorted_by_class_and_name() {
        let read = read(&cats_and_dogs(), None, 0.0).unwrap();
        assert_eq!(read.classes, ["cat", "dog"]);
        assert_eq!((read.labels, read.pixels), (vec![0, 1, 1], vec![10, 20, 30]));
        assert!(read.skipped.is_empty());
    }

    #[test]
    fn given_labels_are_the_classes() {
        let labels = ["dog", "fox", "cat"].map(String::from);
        assert_eq!(read(&cats_and_dogs(), Some(&labels), 0.0).unwrap().labels, [2, 0, 0]);
        let error = read(&cats_and_dogs(), Some(&labels[..2]), 0.0).err().unwrap();
        assert!(matches!(error, Error::UnknownLabel { line: None, ref label, .. } if label == "cat"));
    }

    #[test]
    fn unreadable_images_are_named_and_skipped() {
        let folder = cats_and_dogs();
        folder.write("dog/aa.jpg", "no image");
        folder.write("dog/c.webp", "");
        let some = read(&folder, None, 0.4).unwrap();
        assert_eq!((some.labels, some.pixels), (vec![0, 1, 1], vec![10, 20, 30]));
        let names: Vec<String> = some.skipped.iter().map(|(file, _)| name(file)).collect();
        assert_eq!(names, ["aa.jpg", "c.webp"]);
        match read(&folder, None, 0.3).err().unwrap() {
            Error::SkippedImages { skipped: 2, total: 5, first, .. } => assert!(first.ends_with("dog/aa.jpg")),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn empty_folders_are_errors() {
        assert!(matches!(read(&Folder::new(), None, 0.0), Err(Error::NoExamples { .. })));
        let folder = cats_and_dogs();
        folder.write("ant/notes.md", "");
        assert!(matches!(read(&folder, None, 0.0), Err(Error::EmptyClass { path }) if path.ends_with("ant")));
        let folder = cats_and_dogs();
        folder.write("ant/a.png", "no image");
        assert!(matches!(read(&folder, None, 0.5), Err(Error::EmptyClass { path }) if path.ends_with("ant")));
        let only = Folder::new();
        only.write("ant/a.png", "no image");
        assert!(matches!(read(&only, None, 1.0), Err(Error::SkippedImages { skipped: 1, total: 1, .. })));
    }
}
