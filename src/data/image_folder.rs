//! A folder of images with one subfolder a class.

use super::classes::Classes;
use super::image_spec::decode;
use super::records::extension;
use super::{Error, ImageSpec, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Share of the images of a folder that may be unreadable before that is an error.
pub const MAX_SKIPPED_SHARE: f64 = 0.01;

const READ: [&str; 3] = ["jpg", "jpeg", "png"];
/// Images that cannot be read are named and counted; whatever else lies in a folder is no image.
const UNREAD: [&str; 8] = ["webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif"];

/// Bytes of decoded images that are kept in memory unless another limit is asked for.
const CACHE: usize = 2 << 30;

/// How a folder of images is read.
#[derive(Clone, Debug)]
pub struct FolderOptions<'a> {
    /// Classes of the adapter to evaluate; `None`, the default, for the names of the subfolders.
    pub labels: Option<&'a [String]>,
    /// Share of the images, 0 to 1, that may be unreadable before that is an error; by default
    /// [`MAX_SKIPPED_SHARE`].
    pub max_skipped_share: f64,
    /// Bytes of decoded images that are kept in memory, `channels * height * width` each; by default 2 GiB. The
    /// images beyond are decoded again for every batch.
    pub cache: usize,
}

impl Default for FolderOptions<'_> {
    fn default() -> Self {
        Self { labels: None, max_skipped_share: MAX_SKIPPED_SHARE, cache: CACHE }
    }
}

/// The readable images of a folder.
pub(super) struct ImageFolder {
    /// The first images, `[kept, channels, height, width]`.
    pub(super) pixels: Vec<u8>,
    /// Files of the images beyond the limit.
    pub(super) files: Vec<PathBuf>,
    /// Class of each image.
    pub(super) labels: Vec<usize>,
    pub(super) classes: Vec<String>,
    /// The images that could not be read, and why.
    pub(super) skipped: Vec<(PathBuf, String)>,
}

/// An image file and its class.
type File = (usize, PathBuf);

impl ImageFolder {
    /// Decodes all images under `path`, by class and then by name.
    pub(super) fn read(path: &Path, spec: &ImageSpec, options: &FolderOptions<'_>) -> Result<Self> {
        spec.check()?;
        let given = options.labels;
        let folders = entries(path, Path::is_dir)?;
        let names: Vec<String> = folders.iter().map(|folder| name(folder)).collect();
        let classes = Classes::new(given, names.iter().map(String::as_str));
        let mut files: Vec<File> = Vec::new();
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

        let total = files.len();
        let mut read = Self {
            pixels: spec.blank(total.min(options.cache / spec.size()))?,
            files: Vec::new(),
            labels: Vec::with_capacity(total),
            classes: classes.into_names(),
            skipped: Vec::new(),
        };
        let rest = read.keep(spec, files);
        read.check(rest);
        if let Some((first, reason)) = read.skipped.first()
            && (read.labels.is_empty() || read.skipped.len() as f64 > options.max_skipped_share * total as f64)
        {
            let (path, first, reason) = (path.to_path_buf(), first.clone(), reason.clone());
            return Err(Error::SkippedImages { path, skipped: read.skipped.len(), total, first, reason });
        }
        if given.is_none()
            && let Some(empty) = (0..folders.len()).find(|class| read.labels.binary_search(class).is_err())
        {
            return Err(Error::EmptyClass { path: folders[empty].clone() });
        }
        Ok(read)
    }

    /// Fills `pixels` with the first images that can be read; returns the files that come after them.
    fn keep(&mut self, spec: &ImageSpec, mut files: Vec<File>) -> Vec<File> {
        let size = spec.size();
        let room = self.pixels.len() / size;
        // Unreadable files leave places free, which the next round fills.
        while self.labels.len() < room && !files.is_empty() {
            let kept = self.labels.len();
            let later = files.split_off(files.len().min(room - kept));
            let outs = self.pixels[kept * size..].par_chunks_mut(size);
            let failures: Vec<Option<String>> =
                outs.zip(&files).map(|(out, (_, file))| failure(file, || spec.read(file, out))).collect();
            for (index, ((class, file), failure)) in files.into_iter().zip(failures).enumerate() {
                match failure {
                    Some(reason) => self.skipped.push((file, reason)),
                    None => {
                        let from = (kept + index) * size;
                        self.pixels.copy_within(from..from + size, self.labels.len() * size);
                        self.labels.push(class);
                    }
                }
            }
            files = later;
        }
        self.pixels.truncate(self.labels.len() * size);
        files
    }

    /// Decodes `files`, to find the unreadable ones, and keeps the paths of the others.
    fn check(&mut self, files: Vec<File>) {
        let failures: Vec<Option<String>> =
            files.par_iter().map(|(_, file)| failure(file, || decode(file).map(drop))).collect();
        for ((class, file), failure) in files.into_iter().zip(failures) {
            match failure {
                Some(reason) => self.skipped.push((file, reason)),
                None => {
                    self.files.push(file);
                    self.labels.push(class);
                }
            }
        }
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

/// Why `file` cannot be read, where it cannot.
fn failure(file: &Path, read: impl FnOnce() -> Result<()>) -> Option<String> {
    if UNREAD.contains(&extension(file).as_str()) {
        return Some("neither JPEG nor PNG".into());
    }
    read().err().map(|error| error.reason())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, spec};
    use super::*;

    fn read(folder: &Folder, labels: Option<&[String]>, max_skipped_share: f64) -> Result<ImageFolder> {
        let options = FolderOptions { labels, max_skipped_share, ..FolderOptions::default() };
        ImageFolder::read(folder.path(), &spec(1, 1, 1), &options)
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
    fn images_beyond_the_limit_keep_their_files() {
        let folder = cats_and_dogs();
        folder.write("cat/b.jpg", "no image");
        folder.write("dog/aa.jpg", "no image");
        folder.write("dog/c.webp", "");
        for (cache, kept) in [(0, 0), (1, 1), (2, 2), (3, 3), (usize::MAX, 3)] {
            let options = FolderOptions { max_skipped_share: 0.5, cache, ..FolderOptions::default() };
            let read = ImageFolder::read(folder.path(), &spec(1, 1, 1), &options).unwrap();
            assert_eq!((read.labels, &read.pixels[..]), (vec![0, 1, 1], &[10, 20, 30][..kept]));
            let files = ["cat/a.jpg", "dog/a.PNG", "dog/b.png"].map(|file| folder.path().join(file));
            assert_eq!(read.files, files[kept..]);
            let names: Vec<String> = read.skipped.iter().map(|(file, _)| name(file)).collect();
            assert_eq!(names, ["b.jpg", "aa.jpg", "c.webp"], "cache {cache}");
        }
        let options = FolderOptions { max_skipped_share: 0.4, cache: 0, ..FolderOptions::default() };
        let error = ImageFolder::read(folder.path(), &spec(1, 1, 1), &options).err().unwrap();
        assert!(matches!(error, Error::SkippedImages { skipped: 3, total: 6, .. }), "{error}");
    }

    #[test]
    fn an_image_larger_than_the_limit_is_not_kept() {
        let folder = cats_and_dogs();
        let options = FolderOptions { cache: 11, ..FolderOptions::default() };
        let read = ImageFolder::read(folder.path(), &spec(3, 2, 2), &options).unwrap();
        assert!(read.pixels.is_empty() && read.files.len() == 3);
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
