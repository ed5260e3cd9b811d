//! Labelled texts and images from disk, and the batches made of them.
//!
//! A [`TextSet`] holds token sequences, an [`ImageSet`] bytes of pixels. Both are read whole when they are opened;
//! only images beyond [`FolderOptions::cache`] are read again, and only for these can
//! [`Examples::batch`](crate::runtime::Examples::batch) fail. [`open`] chooses the reader by what lies at a path:
//!
//! | path | read as |
//! |---|---|
//! | `.csv`, `.tsv`, `.jsonl`, `.ndjson` | one text and one label a record, see [`Columns`] |
//! | a folder with one subfolder a class | JPEG and PNG files, see [`ImageSet::from_folder`] |
//! | `…images-idx3-ubyte`, `…images….idx`, a folder of them | IDX (MNIST), with its labels file beside it |
//!
//! Nothing is left out in silence: what lies in the data and is not used is an error, or counted in a [`Note`].
//!
//! Class names are the sorted distinct labels of a file, or the list of the adapter that is evaluated: a label
//! outside that list is an error, never a new class.

mod augment;
mod classes;
mod columns;
mod dataset;
mod decode;
mod error;
mod idx;
mod idx_error;
mod idx_pair;
mod image_folder;
mod images;
mod json_lines;
mod note;
mod open;
mod record;
mod records;
mod separated;
#[cfg(test)]
mod testing;
mod text;
mod tokenizer;

pub use augment::Augment;
pub use columns::Columns;
pub use dataset::Dataset;
pub use error::Error;
pub use idx::{IdxImages, parse_idx_images, parse_idx_labels, read_idx_images, read_idx_labels};
pub use idx_error::IdxError;
pub use image_folder::{FolderOptions, MAX_SKIPPED_SHARE};
pub use images::{ImageSet, read_images};
pub use note::Note;
pub use open::{Options, beside, open};
pub use text::{TextSet, Texts, read_texts};
pub use tokenizer::{Encoded, Tokenizer};

/// Outcome of reading data.
pub type Result<T> = std::result::Result<T, Error>;
