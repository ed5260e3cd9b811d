//! What is wrong with an IDX file.

use std::path::PathBuf;

/// What is wrong with an IDX file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdxError {
    /// It is compressed.
    #[error("gzip is not read; unpack it with `gunzip` first")]
    Gzip,
    /// It starts with other bytes than a file of its kind does.
    #[error("starts with {found:02x?}, but IDX bytes in {} dimensions start with {expected:02x?}", expected[3])]
    Magic {
        /// First bytes of a file of this kind.
        expected: [u8; 4],
        /// First bytes of this one, fewer than four if it is shorter.
        found: Vec<u8>,
    },
    /// It is longer or shorter than its header says.
    #[error("{found} bytes, but {expected} by its header; fetch the file again")]
    Length {
        /// Bytes by the header.
        expected: u128,
        /// Bytes of the file.
        found: usize,
    },
    /// It has another number of examples than the file beside it.
    #[error("{images} images, but {count} labels in {}; the two must be of one split", labels.display())]
    Mismatch {
        /// Number of images.
        images: usize,
        /// The labels.
        labels: PathBuf,
        /// Number of labels.
        count: usize,
    },
}
