//! A folder of images with one subfolder a class.

use super::classes::Classes;
use super::decode::{self, decode};
use super::records::extension;
use super::{Error, Note, Result};
use crate::runtime::ImageSpec;
use rayon::prelude::*;
use std::fs::File as Opened;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Share of the images of a folder that may be unreadable before that is an error.
pub const MAX_SKIPPED_SHARE: f64 = 0.01;

/// Extensions of images, whether they can be read or not: one that cannot is named and counted as one.
const IMAGES: [&str; 24] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif", "jxl",
    "jp2", "ppm", "pgm", "pbm", "pnm", "tga", "ico", "dng", "svg",
];

/// Names of the parts that a data set is divided into, which are no classes.
const SPLITS: [&str; 10] =
    ["train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval", "evaluation"];

/// Folders within a class's folder, one in another.
const DEPTH: usize = 16;

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
    pub(super) notes: Vec<Note>,
}

/// An image file and its class.
type File = (usize, PathBuf);

impl ImageFolder {
    /// Decodes all images under `path`, by class and then by name.
    pub(super) fn read(path: &Path, spec: &ImageSpec, options: &FolderOptions<'_>) -> Result<Self> {
        decode::check(spec)?;
        let given = options.labels;
        let (folders, outside): (Vec<PathBuf>, Vec<PathBuf>) =
            entries(path)?.into_iter().partition(|entry| entry.is_dir());
        // Names that are not UTF-8 would become one.
        if let Some(folder) =
            folders.iter().find(|folder| folder.file_name().is_some_and(|name| name.to_str().is_none()))
        {
            return Err(Error::ClassName { path: folder.clone() });
        }
        let names: Vec<String> = folders.iter().map(|folder| name(folder)).collect();
        let is_split = |name: &String| SPLITS.contains(&name.to_lowercase().as_str());
        if given.is_none() && !names.is_empty() && names.iter().all(is_split) {
            return Err(Error::Splits { path: path.to_path_buf(), found: names });
        }
        let classes = Classes::new(given, names.iter().map(String::as_str), path)?;
        let mut found = Found { others: outside, ..Found::default() };
        let mut files: Vec<File> = Vec::new();
        for (folder, name) in folders.iter().zip(&names) {
            let class = classes.index(name, folder, None)?;
            found.walk(folder, &mut vec![folder.canonicalize().map_err(Error::io(folder))?])?;
            let images = std::mem::take(&mut found.images);
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
            pixels: decode::blank(spec, total.min(options.cache / spec.size()))?,
            files: Vec::new(),
            labels: Vec::with_capacity(total),
            classes: classes.into_names(),
            skipped: Vec::new(),
            notes: found.notes(),
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
                outs.zip(&files).map(|(out, (_, file))| failure(|| decode::read(spec, file, out))).collect();
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
            files.par_iter().map(|(_, file)| failure(|| decode(file).map(drop))).collect();
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

/// What lies in the folders of classes.
#[derive(Default)]
struct Found {
    images: Vec<PathBuf>,
    /// Files that are no images, or in no class's folder.
    others: Vec<PathBuf>,
    /// Folders that are not looked into.
    folders: Vec<PathBuf>,
}

impl Found {
    /// Adds what is in `folder`, and in the folders within it. `above` are the folders that it is in, as they are without
    /// links: one that leads back into them would have no end.
    fn walk(&mut self, folder: &Path, above: &mut Vec<PathBuf>) -> Result<()> {
        for entry in entries(folder)? {
            if !entry.is_dir() {
                let to = if is_image(&entry) { &mut self.images } else { &mut self.others };
                to.push(entry);
                continue;
            }
            let real = entry.canonicalize().map_err(Error::io(&entry))?;
            if above.contains(&real) || above.len() >= DEPTH {
                self.folders.push(entry);
                continue;
            }
            above.push(real);
            self.walk(&entry, above)?;
            above.pop();
        }
        Ok(())
    }

    fn notes(&self) -> Vec<Note> {
        let first = |files: &[PathBuf]| files.first().map(|file| file.display().to_string());
        let others = "files left out that are no images in a class's folder";
        let folders = "folders left out that lie too deep or lead back to one they are in";
        let others = Note::of(others, self.others.len(), first(&self.others));
        others.into_iter().chain(Note::of(folders, self.folders.len(), first(&self.folders))).collect()
    }
}

/// What is in the folder at `path` and not hidden, sorted by name.
fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut found: Vec<PathBuf> = listed.map_err(Error::io(path))?;
    found.retain(|entry| !name(entry).starts_with('.'));
    found.sort();
    Ok(found)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a file is an image, by its name or its content.
fn is_image(path: &Path) -> bool {
    let is_named = IMAGES.contains(&extension(path).as_str());
    match path.metadata() {
        Ok(metadata) => metadata.is_file() && (is_named || starts_as_image(path).unwrap_or(false)),
        // A link to something that is not there.
        Err(_) => is_named,
    }
}

fn starts_as_image(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    Opened::open(path)?.take(64).read_to_end(&mut start)?;
    Ok(image::guess_format(&start).is_ok())
}

/// Why a file cannot be read, where it cannot.
fn failure(read: impl FnOnce() -> Result<()>) -> Option<String> {
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
        let [note] = &read.notes[..] else { panic!("{:?}", read.notes) };
        assert_eq!((note.count, note.first.ends_with("readme.txt")), (2, true), "and notes.md");
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

    #[test]
    fn whatever_lies_in_a_class_is_an_example_or_counted() {
        let folder = Folder::new();
        folder.write_png("a/1.png", 1, 1, [1; 3]);
        folder.write_png("a/session/2/x.jfif", 1, 1, [2; 3]);
        folder.write_png("a/no_extension", 1, 1, [3; 3]);
        folder.write_png("b/4.jpe", 1, 1, [4; 3]);
        folder.write("b/5.ppm", "P6 1 1 255 abc");
        folder.write("b/6", "BM no name, and still a bitmap");
        folder.write("b/7.csv", "a,b");
        let some = read(&folder, None, 0.5).unwrap();
        assert_eq!((some.labels, some.pixels), (vec![0, 0, 0, 1], vec![1, 3, 2, 4]));
        let skipped: Vec<String> = some.skipped.iter().map(|(file, _)| name(file)).collect();
        assert_eq!(skipped, ["5.ppm", "6"]);
        assert_eq!((some.notes.len(), some.notes[0].count), (1, 1));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_class_has_a_name_that_is_text() {
        use std::os::unix::ffi::OsStrExt;
        let folder = cats_and_dogs();
        let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"c\xff"));
        std::fs::rename(folder.path().join("cat"), &odd).unwrap();
        assert!(matches!(read(&folder, None, 0.5), Err(Error::ClassName { path }) if path == odd));
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_nowhere_or_back_are_counted() {
        let folder = cats_and_dogs();
        std::os::unix::fs::symlink("/nonexistent.png", folder.path().join("cat/z.png")).unwrap();
        std::os::unix::fs::symlink("..", folder.path().join("dog/up")).unwrap();
        std::os::unix::fs::symlink("../cat", folder.path().join("dog/cats")).unwrap();
        let some = read(&folder, None, 0.5).unwrap();
        let skipped: Vec<String> = some.skipped.iter().map(|(file, _)| name(file)).collect();
        assert_eq!(skipped.iter().filter(|name| *name == "z.png").count(), skipped.len());
        assert!(some.notes.iter().any(|note| note.what.starts_with("folders")), "{:?}", some.notes);
    }

    #[test]
    fn the_parts_of_a_data_set_are_no_classes() {
        let folder = Folder::new();
        folder.write_png("train/cat/1.png", 1, 1, [1; 3]);
        folder.write_png("Test/cat/1.png", 1, 1, [1; 3]);
        assert!(matches!(read(&folder, None, 0.0), Err(Error::Splits { found, .. }) if found == ["Test", "train"]));
        folder.write_png("other/1.png", 1, 1, [1; 3]);
        assert_eq!(read(&folder, None, 0.0).unwrap().classes.len(), 3);
    }
}
