//! The tensor index of a safetensors file: parsed once with checked arithmetic.

use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use super::{Dtype, Error};
use crate::files::{self, is_lfs_pointer, parse_json};
use crate::format::Digest;

/// Headers over this are refused, as by the safetensors library.
const HEADER_LIMIT: u64 = 100_000_000;

/// One tensor of the index.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Which of the base's files holds it.
    pub(super) file: usize,
    /// Its bytes in that file.
    pub(super) bytes: Range<usize>,
}

/// Parses the header of `bytes` and checks that its tensors cover the data exactly.
pub(super) fn parse(path: &Path, bytes: &[u8], file: usize) -> Result<Vec<Entry>, Error> {
    if is_lfs_pointer(bytes) {
        return Err(files::Error::LfsPointer { path: path.to_owned() }.into());
    }
    let found = bytes.len() as u64;
    let truncated = |needed| Error::Truncated { path: path.to_owned(), needed, found };
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(truncated(8))?;
    let length = u64::from_le_bytes(*length);
    if length > HEADER_LIMIT {
        return Err(Error::HeaderTooLarge { path: path.to_owned(), found: length, limit: HEADER_LIMIT });
    }
    let (header, data) = rest.split_at_checked(length as usize).ok_or(truncated(length + 8))?;
    let wrong = |message: String| Error::Header { path: path.to_owned(), message };
    let header = parse_json(header).map_err(|source| wrong(source.to_string()))?;
    let header = header.as_object().ok_or_else(|| wrong("it is no JSON object".to_owned()))?;
    let start = bytes.len() - data.len();
    let mut tensors = header
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, value)| entry(path, name, value, file, data.len() as u64))
        .collect::<Result<Vec<_>, _>>()?;
    tensors.sort_by_key(|entry| (entry.bytes.start, entry.bytes.end));
    check_coverage(path, &tensors, data.len())?;
    for entry in &mut tensors {
        entry.bytes = entry.bytes.start + start..entry.bytes.end + start;
    }
    Ok(tensors)
}

fn entry(path: &Path, name: &str, value: &Value, file: usize, available: u64) -> Result<Entry, Error> {
    let malformed = |what: &str| Error::Header { path: path.to_owned(), message: format!("tensor {name}: {what}") };
    let dtype = value.get("dtype").and_then(Value::as_str).ok_or_else(|| malformed("no dtype"))?;
    let dtype = Dtype::from_name(dtype).ok_or_else(|| Error::UnknownDtype {
        path: path.to_owned(),
        tensor: name.to_owned(),
        dtype: dtype.to_owned(),
    })?;
    let integers = |key: &str| -> Option<Vec<u64>> { value.get(key)?.as_array()?.iter().map(Value::as_u64).collect() };
    let shape = integers("shape").ok_or_else(|| malformed("shape is not a list of sizes"))?;
    let shape = shape
        .into_iter()
        .map(usize::try_from)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| malformed("a size of its shape does not fit this machine"))?;
    let offsets = integers("data_offsets").ok_or_else(|| malformed("data_offsets is not a pair of positions"))?;
    let [start, end] = offsets[..] else { return Err(malformed("data_offsets is not a pair of positions")) };
    if start > end || end > available {
        return Err(Error::OutOfBounds { path: path.to_owned(), tensor: name.to_owned(), start, end, available });
    }
    let expected = shape.iter().try_fold(dtype.size(), |product, &size| product.checked_mul(size));
    if expected.map(|bytes| bytes as u64) != Some(end - start) {
        return Err(Error::WrongLength {
            path: path.to_owned(),
            tensor: name.to_owned(),
            shape,
            dtype,
            expected: expected.map_or("more than memory can hold".to_owned(), |bytes| bytes.to_string()),
            found: end - start,
        });
    }
    Ok(Entry { name: name.to_owned(), dtype, shape, file, bytes: start as usize..end as usize })
}

/// Tensors in order of position must follow one another from the first to the last byte of the data.
fn check_coverage(path: &Path, tensors: &[Entry], available: usize) -> Result<(), Error> {
    let mut end = 0;
    let mut previous = "";
    for entry in tensors {
        if entry.bytes.start < end {
            let (tensor, other) = (entry.name.clone(), previous.to_owned());
            return Err(Error::Overlap { path: path.to_owned(), tensor, other });
        }
        if entry.bytes.start > end {
            return Err(Error::Hole { path: path.to_owned(), start: end as u64, end: entry.bytes.start as u64 });
        }
        end = entry.bytes.end;
        previous = &entry.name;
    }
    if end < available {
        return Err(Error::Hole { path: path.to_owned(), start: end as u64, end: available as u64 });
    }
    Ok(())
}

/// Digest of an index sorted by name, as the adapter format's specification defines it.
pub(super) fn fingerprint(tensors: &[Entry]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for entry in tensors {
        for text in [entry.name.as_str(), entry.dtype.name()] {
            hasher.update(&(text.len() as u32).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(&(entry.shape.len() as u32).to_le_bytes());
        for &size in &entry.shape {
            hasher.update(&(size as u64).to_le_bytes());
        }
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    fn error(header: &str, data: usize) -> Error {
        parse(Path::new("m.safetensors"), &file(header, data), 0).err().expect("refused")
    }

    #[test]
    fn reads_tensors_and_ignores_metadata() {
        let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
        let bytes = file(header, 12);
        let tensors = parse(Path::new("m"), &bytes, 0).expect("valid");
        assert_eq!(tensors.len(), 2);
        assert_eq!((tensors[0].name.as_str(), tensors[0].shape.as_slice()), ("a", [1, 2].as_slice()));
        assert_eq!(tensors[1].bytes.end, bytes.len());
    }

    #[test]
    fn refuses_each_kind_of_damage() {
        let one = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        assert!(matches!(parse(Path::new("m"), &[1, 2], 0), Err(Error::Truncated { needed: 8, found: 2, .. })));
        assert!(matches!(parse(Path::new("m"), &file(one, 0)[..30], 0), Err(Error::Truncated { .. })));
        assert!(matches!(parse(Path::new("m"), &u64::MAX.to_le_bytes(), 0), Err(Error::HeaderTooLarge { .. })));
        assert!(matches!(error("{", 0), Error::Header { .. }));
        assert!(matches!(error("[]", 0), Error::Header { .. }));
        assert!(matches!(error(one, 4), Error::OutOfBounds { available: 4, .. }));
        assert!(matches!(error(one, 12), Error::Hole { start: 8, end: 12, .. }));
        let with = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        assert!(matches!(error(&with("F31", "[2]", "[0,8]"), 8), Error::UnknownDtype { .. }));
        assert!(matches!(error(&with("F32", "[3]", "[0,8]"), 8), Error::WrongLength { .. }));
        assert!(matches!(error(&with("F32", "[4611686018427387904,4]", "[0,8]"), 8), Error::WrongLength { .. }));
        assert!(matches!(error(&with("F32", "[-1]", "[0,8]"), 8), Error::Header { .. }));
        assert!(matches!(error(&with("F32", "[2]", "[8,0]"), 8), Error::OutOfBounds { .. }));
        assert!(matches!(error(&with("F32", "[2]", "[0,8,9]"), 8), Error::Header { .. }));
        assert!(matches!(error(&with("F32", "[1]", "[4,8]"), 8), Error::Hole { start: 0, end: 4, .. }));
        let overlapping = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
        match error(overlapping, 8) {
            Error::Overlap { tensor, other, .. } => assert_eq!((tensor.as_str(), other.as_str()), ("b", "a")),
            other => panic!("{other}"),
        }
    }
}
