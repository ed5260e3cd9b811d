//! The adapter format as its users see it: golden files, and properties of random drafts and damaged files.

#[path = "format/golden.rs"]
mod golden;
#[path = "format/json.rs"]
mod json;
#[path = "format/model.rs"]
mod model;
#[path = "format/mutated.rs"]
mod mutated;
#[path = "format/properties.rs"]
mod properties;

use serde::Deserialize;
use taps::format::{Adapter, Digest, Encoding, Role, Summary};

use model::encodings;

#[test]
fn a_stranger_reads_the_manifest_with_serde() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "fields are there to be decoded")]
    struct Record<'a> {
        name: &'a str,
        role: Role,
        encoding: Encoding,
        shape: heapless::Vec<u32, 6>,
        offset: u64,
        length: u64,
        base: Option<Digest>,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "fields are there to be decoded")]
    struct Manifest<'a> {
        task: &'a str,
        architecture: &'a str,
        method: &'a str,
        base: Digest,
        content: Digest,
        summary: Summary,
        #[serde(borrow)]
        labels: heapless::Vec<&'a str, 8>,
        #[serde(borrow)]
        entries: heapless::Vec<Record<'a>, 8>,
    }
    let file = encodings().encode();
    let length = u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
    let (manifest, rest) = postcard::take_from_bytes::<Manifest>(&file[24..24 + length]).unwrap();
    assert!(rest.is_empty());
    assert_eq!((manifest.task, &manifest.labels[..]), ("pets", &["cat", "dog", "neither"][..]));
    assert_eq!(manifest.entries.len(), 6);
    let payloads = (24 + length).next_multiple_of(64);
    for (record, entry) in manifest.entries.iter().zip(Adapter::parse(&file).unwrap().entries()) {
        let start = payloads + record.offset as usize;
        assert_eq!(&file[start..start + record.length as usize], entry.payload);
        assert_eq!((record.name, &record.shape[..]), (entry.name, entry.shape.dims()));
    }
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    let file = encodings().encode();
    assert!(Adapter::parse(&file).is_ok());
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Adapter::parse(&damaged).is_err(), "bit {bit}");
    }
    for length in 0..file.len() {
        assert!(Adapter::parse(&file[..length]).is_err(), "{length} bytes");
    }
    let longer = [file.as_slice(), &[0]].concat();
    assert!(Adapter::parse(&longer).is_err());
}
