use serde::Serialize;

use super::super::envelope::{Header, payloads_at};
use super::super::record::Record;
use super::super::{Encoding, Role, Shape};
use super::*;

/// The manifest as one type, so that a test can write what a draft refuses to.
#[derive(Clone, Copy, Serialize)]
struct Manifest<'a> {
    head: Head<'a>,
    labels: &'a [&'a str],
    entries: &'a [Record<'a>],
}

fn manifest<'a>(entries: &'a [Record<'a>]) -> Manifest<'a> {
    let head = Head {
        task: "task",
        architecture: "architecture",
        method: "method",
        base: Digest::of(b"base"),
        content: Digest::of(b"content"),
        summary: Summary { seed: 7, ..Summary::default() },
    };
    Manifest { head, labels: &["no", "yes"], entries }
}

fn bytes_of(item: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    postcard::to_slice(item, &mut bytes).unwrap().to_vec()
}

fn seal(manifest: &[u8], payloads: &[u8]) -> Vec<u8> {
    let mut file = vec![0; payloads_at(manifest.len()).unwrap()];
    file[HEADER..HEADER + manifest.len()].copy_from_slice(manifest);
    file.extend(payloads);
    let total = file.len() as u64 + 32;
    let header = Header { version: 1, signed: false, manifest: manifest.len() as u32, total };
    file[..HEADER].copy_from_slice(&header.to_bytes());
    let digest = Digest::of(&file);
    file.extend(digest.as_bytes());
    file
}

fn replacement(name: &str, offset: u64) -> Record<'_> {
    let shape = Shape::new(&[2]).unwrap();
    let (role, encoding) = (Role::Replacement, Encoding::F16);
    Record { name, role, encoding, shape, offset, length: 4, base: None }
}

fn refusal(file: &[u8]) -> Error {
    Adapter::parse(file).unwrap_err()
}

#[test]
fn says_what_the_file_says() {
    let records = [replacement("a", 0), replacement("b", 64)];
    let mut payloads = [0; 128];
    payloads[..4].copy_from_slice(&[0, 0x3c, 0, 0xc0]);
    let file = seal(&bytes_of(&manifest(&records)), &payloads);
    let adapter = Adapter::parse(&file).unwrap();
    assert_eq!((adapter.task(), adapter.architecture(), adapter.method()), ("task", "architecture", "method"));
    assert_eq!((adapter.base(), adapter.content()), (Digest::of(b"base"), Digest::of(b"content")));
    assert_eq!(adapter.summary(), Summary { seed: 7, ..Summary::default() });
    assert!(adapter.labels().eq(["no", "yes"]));
    assert_eq!(adapter.len(), file.len());
    assert_eq!(adapter.digest().as_bytes()[..], file[file.len() - 32..]);

    let entries: Vec<_> = adapter.entries().collect();
    assert_eq!((entries.len(), adapter.entries().len()), (2, 2));
    assert_eq!(entries[0].payload, &payloads[..4]);
    assert_eq!((entries[0].payload.as_ptr() as usize - file.as_ptr() as usize) % 64, 0);
    assert_eq!(adapter.entry("b").unwrap().elements(), 2);
    assert!(adapter.entry("ab").is_none() && adapter.entry("c").is_none());
    assert!(!format!("{adapter:?} {:?}", adapter.entries()).is_empty());
}

#[test]
fn refuses_what_is_left_over_or_missing() {
    let mut bytes = bytes_of(&manifest(&[]));
    Adapter::parse(&seal(&bytes, &[])).unwrap();
    bytes.push(0);
    let offset = HEADER + bytes.len() - 1;
    assert_eq!(refusal(&seal(&bytes, &[])), Error::Trailing { offset, count: 1 });
    bytes.truncate(bytes.len() - 2);
    assert_eq!(refusal(&seal(&bytes, &[])), Error::ManifestEnd { offset: offset - 1 });
    let bytes = bytes_of(&manifest(&[]));
    assert_eq!(refusal(&seal(&bytes, &[0; 64])), Error::End { expected: 0, found: 64 });
}

#[test]
fn refuses_bad_text_everywhere() {
    let empty = manifest(&[]);
    let task = Manifest { head: Head { task: "\u{7f}", ..empty.head }, ..empty };
    let place = Place::Task;
    assert_eq!(refusal(&seal(&bytes_of(&task), &[])), Error::ControlCharacter { place, at: 0 });
    let labels = Manifest { labels: &["fine", ""], ..empty };
    let place = Place::Label(1);
    assert_eq!(refusal(&seal(&bytes_of(&labels), &[])), Error::EmptyText { place });
    let long = "x".repeat(256);
    let records = [replacement(&long, 0)];
    let place = Place::Entry(0);
    let file = seal(&bytes_of(&manifest(&records)), &[0; 64]);
    assert_eq!(refusal(&file), Error::LongText { place, found: 256 });
    let mut bytes = bytes_of(&empty);
    bytes[1] = 0xff;
    assert_eq!(refusal(&seal(&bytes, &[])), Error::Utf8 { offset: HEADER });
}

#[test]
fn refuses_a_bad_summary() {
    let empty = manifest(&[]);
    let summary = Summary { lambda: f32::NAN, ..Summary::default() };
    let bad = Manifest { head: Head { summary, ..empty.head }, ..empty };
    assert_eq!(refusal(&seal(&bytes_of(&bad), &[])), Error::Summary { field: "lambda" });
}

#[test]
#[cfg_attr(miri, ignore = "takes too long")]
fn refuses_more_than_the_limits() {
    let empty = manifest(&[]);
    let head = bytes_of(&empty.head);
    let count = bytes_of(&65_536_u32);
    let labels = [head.as_slice(), &count].concat();
    assert_eq!(refusal(&seal(&labels, &[])), Error::TooManyLabels { found: 65_536 });
    let entries = [head.as_slice(), &[0], &count].concat();
    assert_eq!(refusal(&seal(&entries, &[])), Error::TooManyEntries { found: 65_536 });
    let manifest = vec![0; super::super::MAX_MANIFEST + 1];
    let limit = super::super::MAX_MANIFEST as u64;
    let refused = Error::ManifestLength { found: limit + 1, limit };
    assert_eq!(refusal(&seal(&manifest, &[])), refused);
}

#[test]
fn refuses_entries_out_of_order_and_out_of_place() {
    let records = [replacement("b", 0), replacement("a", 64)];
    let file = seal(&bytes_of(&manifest(&records)), &[0; 128]);
    assert_eq!(refusal(&file), Error::Order { entry: 1 });
    let records = [replacement("a", 0), replacement("b", 0)];
    let file = seal(&bytes_of(&manifest(&records)), &[0; 128]);
    assert_eq!(refusal(&file), Error::Offset { entry: 1, stated: 0, expected: 64 });
}
