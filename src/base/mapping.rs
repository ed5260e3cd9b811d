//! One weights file in memory: mapped, or read into private pages.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::{Mmap, MmapMut};

use super::Error;

/// The bytes of one file, page-aligned.
pub(super) struct Mapping {
    path: PathBuf,
    /// `None` for an empty file, which cannot be mapped.
    pages: Option<Mmap>,
    /// A mapped file, and what it was like when it was opened; none where the bytes are in private memory.
    file: Option<(File, Stamp)>,
}

/// What tells a file that was written to from what it was.
#[derive(PartialEq, Eq)]
struct Stamp {
    length: u64,
    /// None where the system does not tell.
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { length: metadata.len(), modified: metadata.modified().ok() })
    }
}

impl Mapping {
    /// Maps the file read-only.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        let (file, length) = Self::file(path)?;
        if length == 0 {
            return Ok(Self::private(path, None));
        }
        let stamp = Stamp::of(&file).map_err(failed)?;
        // SAFETY: the pages are only ever read, as bytes or as floats, for which every bit pattern is
        // a value. That nobody truncates or writes over the file while it is mapped is the documented
        // contract of `Base::open`.
        let pages = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Self { path: path.to_owned(), pages: Some(pages), file: Some((file, stamp)) })
    }

    /// Reads the file into anonymous pages.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        let (mut file, length) = Self::file(path)?;
        if length == 0 {
            return Ok(Self::private(path, None));
        }
        let mut pages = MmapMut::map_anon(length).map_err(failed)?;
        file.read_exact(&mut pages).map_err(failed)?;
        Ok(Self::private(path, Some(pages.make_read_only().map_err(failed)?)))
    }

    /// Copies the bytes of a file into anonymous pages; `path` names them in messages.
    pub(super) fn copy(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        if bytes.is_empty() {
            return Ok(Self::private(path, None));
        }
        let mut pages = MmapMut::map_anon(bytes.len()).map_err(failed)?;
        pages.copy_from_slice(bytes);
        Ok(Self::private(path, Some(pages.make_read_only().map_err(failed)?)))
    }

    fn private(path: &Path, pages: Option<Mmap>) -> Self {
        Self { path: path.to_owned(), pages, file: None }
    }

    /// Whether the file is of the size and modification time that it was opened with. One that another has replaced by
    /// rename is: the mapping is of the file that was there.
    pub(super) fn is_unchanged(&self) -> bool {
        self.file.as_ref().is_none_or(|(file, stamp)| Stamp::of(file).is_ok_and(|found| found == *stamp))
    }

    /// Whether the file is still as long as what is mapped of it: beyond its end the pages are gone.
    pub(super) fn is_whole(&self) -> bool {
        let long_enough = |file: &File| file.metadata().is_ok_and(|found| found.len() >= self.bytes().len() as u64);
        self.file.as_ref().is_none_or(|(file, _)| long_enough(file))
    }

    fn file(path: &Path) -> Result<(File, usize), Error> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let length = usize::try_from(length).map_err(|_| failed(std::io::ErrorKind::FileTooLarge.into()))?;
        Ok((file, length))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.pages.as_deref().unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Base;

    /// A safetensors file of one f32 tensor.
    fn file(values: &[f32]) -> Vec<u8> {
        let header =
            format!(r#"{{"w":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{}]}}}}"#, values.len(), 4 * values.len());
        let header = format!("{header:<0$}", header.len().next_multiple_of(8));
        let data = values.iter().flat_map(|value| value.to_le_bytes());
        (header.len() as u64).to_le_bytes().into_iter().chain(header.into_bytes()).chain(data).collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "maps no files and protects no pages")]
    fn views_are_of_pages_that_outlive_their_file() {
        let values = [1.5, f32::MIN_POSITIVE, -0.0, 3e38];
        let bytes = file(&values);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, &bytes).unwrap();
        let bases = [Base::open(&path), Base::open_in_memory(&path), Base::from_bytes(&path, &bytes, None)];
        drop((bytes, folder));
        for base in bases.map(Result::unwrap) {
            let shared = base.clone();
            drop(base);
            let view = shared.tensor(shared.find("w").unwrap());
            assert_eq!(view.as_f32().unwrap(), values);
            assert_eq!(view.slice(1, 2).to_vec(), values[1..3]);
            assert!(shared.files().all(|file| file.as_ptr().align_offset(16) == 0));
        }
    }

    #[test]
    fn an_empty_file_has_no_pages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, "").unwrap();
        for mapping in [Mapping::open(&path), Mapping::read(&path), Mapping::copy(&path, &[])] {
            let mapping = mapping.unwrap();
            assert!(mapping.bytes().is_empty() && mapping.is_unchanged());
        }
    }
}
