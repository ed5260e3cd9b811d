//! IDX files, the format of MNIST: `00 00 08 N`, the N sides as big-endian `u32`, and that many bytes.

use super::idx_error::IdxError;
use super::{Error, Result};
use crate::files;
use std::path::Path;

/// Grey images of an IDX file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdxImages {
    /// Number of images.
    pub count: usize,
    /// Rows of pixels of each.
    pub height: usize,
    /// Columns of pixels of each.
    pub width: usize,
    /// Pixels, `[count, height, width]`, row-major.
    pub pixels: Vec<u8>,
}

/// Reads the images of an IDX file.
///
/// # Errors
/// [`Error::Io`], and [`Error::Idx`] if it is compressed, of another kind, or not as long as its header says.
pub fn read_idx_images(path: impl AsRef<Path>) -> Result<IdxImages> {
    let path = path.as_ref();
    parse_idx_images(&files::read(path)?, path)
}

/// Reads the labels of an IDX file.
///
/// # Errors
/// Those of [`read_idx_images`].
pub fn read_idx_labels(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let path = path.as_ref();
    parse_idx_labels(&files::read(path)?, path)
}

/// Images of an IDX file in memory, which errors call `path`.
///
/// # Errors
/// [`Error::Idx`], as [`read_idx_images`].
pub fn parse_idx_images(bytes: &[u8], path: impl AsRef<Path>) -> Result<IdxImages> {
    let ([count, height, width], body) = parse(bytes).map_err(at(path.as_ref()))?;
    Ok(IdxImages { count, height, width, pixels: body.to_vec() })
}

/// Labels of an IDX file in memory, which errors call `path`.
///
/// # Errors
/// [`Error::Idx`], as [`read_idx_images`].
pub fn parse_idx_labels(bytes: &[u8], path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let ([_], body) = parse(bytes).map_err(at(path.as_ref()))?;
    Ok(body.to_vec())
}

fn at(path: &Path) -> impl FnOnce(IdxError) -> Error + '_ {
    |problem| Error::Idx { path: path.to_path_buf(), problem }
}

/// The `N` sides, and the bytes after them.
fn parse<const N: usize>(bytes: &[u8]) -> std::result::Result<([usize; N], &[u8]), IdxError> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(IdxError::Gzip);
    }
    let expected = [0, 0, 8, N as u8];
    let Some(rest) = bytes.strip_prefix(&expected) else {
        return Err(IdxError::Magic { expected, found: bytes.iter().take(4).copied().collect() });
    };
    let header = 4 * N;
    let Some((sides, body)) = rest.split_at_checked(header) else {
        return Err(IdxError::Length { expected: 4 + header as u128, found: bytes.len() });
    };
    let mut numbers = [0; N];
    for (number, side) in numbers.iter_mut().zip(sides.as_chunks::<4>().0) {
        *number = u32::from_be_bytes(*side) as usize;
    }
    // Three sides of 32 bits: the product always fits.
    let size: u128 = numbers.iter().map(|&number| number as u128).product();
    if size != body.len() as u128 {
        return Err(IdxError::Length { expected: 4 + header as u128 + size, found: bytes.len() });
    }
    Ok((numbers, body))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, idx};
    use super::*;

    fn problem(bytes: &[u8]) -> IdxError {
        match parse_idx_images(bytes, "m").unwrap_err() {
            Error::Idx { problem, .. } => problem,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn images_and_labels_are_read() {
        let folder = Folder::new();
        let images = read_idx_images(folder.write("i", idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]))).unwrap();
        assert_eq!(images, IdxImages { count: 2, height: 1, width: 3, pixels: vec![1, 2, 3, 4, 5, 6] });
        assert_eq!(read_idx_labels(folder.write("l", idx(&[2], &[7, 9]))).unwrap(), [7, 9]);
    }

    #[test]
    fn other_kinds_are_errors() {
        assert_eq!(problem(&[0x1f, 0x8b, 8, 0]), IdxError::Gzip);
        let labels = idx(&[1], &[1]);
        assert_eq!(problem(&labels), IdxError::Magic { expected: [0, 0, 8, 3], found: vec![0, 0, 8, 1] });
        assert_eq!(problem(&[9]), IdxError::Magic { expected: [0, 0, 8, 3], found: vec![9] });
        assert!(matches!(read_idx_labels("/nonexistent/l"), Err(Error::Io { .. })));
    }

    #[test]
    fn the_length_is_exact() {
        let whole = idx(&[2, 1, 2], &[1, 2, 3, 4]);
        for length in 4..whole.len() {
            assert!(matches!(problem(&whole[..length]), IdxError::Length { found, .. } if found == length));
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert_eq!(problem(&longer), IdxError::Length { expected: 20, found: 21 });
        assert!(matches!(problem(&idx(&[u32::MAX; 3], &[])), IdxError::Length { expected, .. } if expected > 1 << 95));
    }
}
