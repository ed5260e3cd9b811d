//! One door to every kind of data.

use super::records::{TABLES, extension};
use super::{Augment, Columns, Dataset, Error, FolderOptions, ImageSet, Result, TextSet, Tokenizer};
use crate::runtime::ImageSpec;
use std::path::{Path, PathBuf};

const SUPPORTED: &[&str] =
    &["csv", "tsv", "jsonl", "ndjson", "a folder of class folders", "…images-idx3-ubyte", "…images….idx"];

/// How the examples at a path are to be read: a base has a tokenizer, or images of some size.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// Columns of the text and the label.
    pub columns: Columns,
    /// Tokenizer of the base, if it takes texts.
    pub tokenizer: Option<&'a Tokenizer>,
    /// Images of the base, if it takes images.
    pub image: Option<&'a ImageSpec>,
    /// Classes of the adapter to evaluate; `None` for those of the data.
    pub labels: Option<&'a [String]>,
    /// Bytes of a folder's decoded images that are kept in memory, as [`FolderOptions::cache`]; by default 2 GiB.
    /// Texts and IDX images are kept whole.
    pub cache: usize,
    /// Random changes of images in training, by default none; see [`ImageSet::augmented`]. Texts are left alone.
    pub augment: Augment,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            columns: Columns::default(),
            tokenizer: None,
            image: None,
            labels: None,
            cache: FolderOptions::default().cache,
            augment: Augment::default(),
        }
    }
}

/// Reads the examples at `path`: a text file by its extension, a folder of class folders, or IDX images, whose
/// labels lie beside them in the file of the same name with `labels` for `images` and `idx1` for `idx3`.
///
/// # Errors
/// [`Error::WrongKind`] if the base takes the other kind, [`Error::UnsupportedFile`], [`Error::SeveralIdx`], and
/// those of [`TextSet::open`], [`ImageSet::from_folder`] and [`ImageSet::from_idx`].
pub fn open(path: impl AsRef<Path>, how: &Options<'_>) -> Result<Dataset> {
    let path = path.as_ref();
    let is_folder = std::fs::metadata(path).map_err(Error::io(path))?.is_dir();
    let found = if is_folder { idx_in(path)? } else { Vec::new() };
    let extension = extension(path);
    match found.as_slice() {
        [images] => from_idx(images, how),
        [] if is_folder => {
            let options = FolderOptions { labels: how.labels, cache: how.cache, ..FolderOptions::default() };
            let set = ImageSet::from_folder(path, image_spec(path, how)?, &options)?;
            Ok(Dataset::Images(set.augmented(how.augment)))
        }
        [] if is_idx(path) => from_idx(path, how),
        [] if TABLES.contains(&extension.as_str()) => {
            let tokenizer = how.tokenizer.ok_or_else(|| wrong_kind(path, "texts", how))?;
            Ok(Dataset::Text(TextSet::open(path, tokenizer, &how.columns, how.labels)?))
        }
        [] => Err(Error::UnsupportedFile { path: path.to_path_buf(), extension, supported: SUPPORTED }),
        several => {
            let found = several.iter().map(|images| file_name(images)).collect();
            Err(Error::SeveralIdx { path: path.to_path_buf(), found })
        }
    }
}

/// The files that reading the examples at `path` reads beside it: the labels of IDX images. Of a folder every file in it
/// counts.
pub fn beside(path: &Path) -> Option<PathBuf> {
    (is_idx(path) && path.is_file()).then(|| labels_of(path))
}

fn labels_of(images: &Path) -> PathBuf {
    images.with_file_name(file_name(images).replace("images", "labels").replace("idx3", "idx1"))
}

fn from_idx(images: &Path, how: &Options<'_>) -> Result<Dataset> {
    let set = ImageSet::from_idx(images, labels_of(images), image_spec(images, how)?, how.labels)?;
    Ok(Dataset::Images(set.augmented(how.augment)))
}

fn image_spec<'a>(path: &Path, how: &Options<'a>) -> Result<&'a ImageSpec> {
    how.image.ok_or_else(|| wrong_kind(path, "images", how))
}

fn wrong_kind(path: &Path, holds: &'static str, how: &Options<'_>) -> Error {
    let takes = match (how.tokenizer, how.image) {
        (Some(_), _) => "texts",
        (None, Some(_)) => "images",
        (None, None) => "neither texts nor images",
    };
    Error::WrongKind { path: path.to_path_buf(), holds, takes }
}

/// IDX images in a folder, sorted by name. Compressed ones do not count: the unpacked file lies beside them.
fn idx_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut found: Vec<PathBuf> = listed.map_err(Error::io(folder))?;
    found.retain(|path| is_idx(path) && extension(path) != "gz" && path.is_file());
    found.sort();
    Ok(found)
}

fn is_idx(path: &Path) -> bool {
    let name = file_name(path);
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.contains("images") && (name.contains("idx3") || name.ends_with(".idx"))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, idx, spec, tokenizer_json};
    use super::*;
    use crate::runtime::Examples;

    fn open_images(path: &Path) -> Result<Dataset> {
        open(path, &Options { image: Some(&spec(1, 1, 1)), ..Options::default() })
    }

    #[test]
    fn a_table_is_texts() {
        let folder = Folder::new();
        let tokenizer = Tokenizer::open(folder.write("t.json", tokenizer_json(true)), 8).unwrap();
        let path = folder.write("f.csv", "text,label\nred,a\nblue red,b\n");
        let set = open(&path, &Options { tokenizer: Some(&tokenizer), ..Options::default() }).unwrap();
        assert_eq!((set.len(), set.label(1), set.rows(1), set.batch(&[0, 1]).unwrap().len()), (2, 1, 4, 2));
        assert!(matches!(set, Dataset::Text(_)) && set.skipped().is_empty());
        assert!(matches!(open_images(&path), Err(Error::WrongKind { holds: "texts", takes: "images", .. })));
        let images = open(folder.path(), &Options { tokenizer: Some(&tokenizer), ..Options::default() });
        assert!(matches!(images, Err(Error::WrongKind { holds: "images", takes: "texts", .. })));
    }

    #[test]
    fn a_folder_of_class_folders_is_images() {
        let folder = Folder::new();
        folder.write_png("a/1.png", 1, 1, [1; 3]);
        let set = open_images(folder.path()).unwrap();
        assert!(matches!(set, Dataset::Images(_)) && set.classes() == ["a"]);
    }

    #[test]
    fn idx_labels_lie_beside_the_images() {
        let names = [
            ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
            ("images.idx3-ubyte", "labels.idx1-ubyte"),
            ("test_images.idx", "test_labels.idx"),
        ];
        for (images, labels) in names {
            let folder = Folder::new();
            let path = folder.write(images, idx(&[1, 1, 1], &[9]));
            assert!(matches!(open_images(&path), Err(Error::Io { path, .. }) if path.ends_with(labels)));
            folder.write(labels, idx(&[1], &[5]));
            assert_eq!(open_images(&path).unwrap().classes(), ["5"]);
            assert_eq!(open_images(folder.path()).unwrap().len(), 1);
        }
    }

    #[test]
    fn what_is_not_clear_is_an_error() {
        let folder = Folder::new();
        folder.write("train-images-idx3-ubyte", "");
        let packed = folder.write("t10k-images-idx3-ubyte.gz", [0x1f, 0x8b]);
        assert!(matches!(open_images(&packed), Err(Error::Idx { .. })));
        folder.write("t10k-images-idx3-ubyte", "");
        assert!(matches!(open_images(folder.path()), Err(Error::SeveralIdx { found, .. }) if found.len() == 2));
        let other = open_images(&folder.write("f.parquet", ""));
        assert!(matches!(other, Err(Error::UnsupportedFile { extension, .. }) if extension == "parquet"));
        assert!(matches!(open_images(Path::new("/nonexistent")), Err(Error::Io { .. })));
    }
}
