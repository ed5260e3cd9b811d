//! The file of a checkpoint: magic and version, the identity of its run and the state in postcard, a checksum.
//!
//! It is read by the program that wrote it, on the device where it was written: another version refuses it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::identity::Identity;
use crate::files::{self, Output};
use crate::train::Error;

const MAGIC: [u8; 8] = *b"\x89TAPSCK\n";
const VERSION: u16 = 2;
const HEADER: usize = MAGIC.len() + size_of::<u16>();
const CHECKSUM: usize = 32;

/// Replaces the file by one with this state.
pub(super) fn write(path: &Path, identity: &Identity, state: &impl Serialize) -> Result<(), Error> {
    Output::at(path)?.write_by(|file| {
        let mut sink = Sink { file: BufWriter::new(file), hash: blake3::Hasher::new(), failed: None };
        sink.put(&MAGIC)?;
        sink.put(&VERSION.to_le_bytes())?;
        let written = postcard::serialize_with_flavor(&(identity, state), &mut sink);
        if let Some(error) = sink.failed.take() {
            return Err(error);
        }
        written.map_err(io::Error::other)?;
        let checksum = sink.hash.finalize();
        sink.put(checksum.as_bytes())?;
        sink.file.flush()
    })?;
    Ok(())
}

/// The state in the file, if there is one.
pub(super) fn read<T: DeserializeOwned>(path: &Path, identity: &Identity) -> Result<Option<T>, Error> {
    let bytes = match files::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let unusable = |reason| Error::Checkpoint { path: path.to_owned(), reason };
    let body = bytes.strip_prefix(&MAGIC).ok_or_else(|| unusable("it does not begin as one"))?;
    let (version, _) = body.split_first_chunk().ok_or_else(|| unusable("it is cut short"))?;
    if u16::from_le_bytes(*version) != VERSION {
        return Err(unusable("another version of this program wrote it"));
    }
    let (checked, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or_else(|| unusable("it is cut short"))?;
    if blake3::hash(checked).as_bytes() != checksum {
        return Err(unusable("it is damaged: its checksum does not hold"));
    }
    let payload = checked.get(HEADER..).ok_or_else(|| unusable("it is cut short"))?;
    // The identity comes first, so that a state of other settings is told from one that cannot be read.
    let unreadable = |_| unusable("another version of this program wrote it");
    let (found, state) = postcard::take_from_bytes::<Identity>(payload).map_err(unreadable)?;
    if let Some(differs) = found.difference(identity) {
        return Err(Error::OtherCheckpoint { path: path.to_owned(), differs });
    }
    postcard::from_bytes(state).map(Some).map_err(unreadable)
}

/// Where a state goes as it is encoded.
struct Sink<'a> {
    file: BufWriter<&'a mut File>,
    hash: blake3::Hasher,
    failed: Option<io::Error>,
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }
}

impl Flavor for &mut Sink<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.put(bytes).map_err(|error| {
            self.failed = Some(error);
            postcard::Error::SerializeBufferFull
        })
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Digest;

    fn identity(of: &[u8]) -> Identity {
        let digest = Digest::of(of);
        serde_json::from_value(serde_json::json!({ "base": digest, "settings": digest, "examples": digest })).unwrap()
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.checkpoint");
        let state: (Vec<f32>, String) = (vec![1.5, f32::MIN_POSITIVE, -0.0], "state".to_owned());
        let read = || read::<(Vec<f32>, String)>(&path, &identity(b"run"));
        assert!(read().unwrap().is_none());
        write(&path, &identity(b"run"), &state).unwrap();
        assert_eq!(read().unwrap().unwrap(), state);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            assert!(matches!(read(), Err(Error::Checkpoint { .. })), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(matches!(read(), Err(Error::Checkpoint { .. })), "{at} bytes");
        }
    }

    #[test]
    fn one_of_another_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.checkpoint");
        write(&path, &identity(b"run"), &1u8).unwrap();
        let error = read::<u8>(&path, &identity(b"other")).unwrap_err();
        assert!(matches!(error, Error::OtherCheckpoint { .. }), "{error}");
    }
}
