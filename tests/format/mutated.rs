//! Files that were changed on their way: none is taken for another, and none makes the reader panic.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taps::format::{Adapter, Digest};

use crate::model::{encodings, extremes, settings, small};

/// Mutated files, of which half have a checksum that was made to hold.
const FILES: u32 = 1_000_000;

/// The file with one to four changes: bits, bytes, cuts, and pieces of another.
fn mutated(file: &[u8], other: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..bytes.len().max(1));
        match random.random_range(0..8) {
            _ if bytes.is_empty() => bytes.extend(&other[..other.len() / 2]),
            0..=2 => bytes[at] ^= 1 << random.random_range(0..8),
            3 => bytes[at] = *[0, 1, 0x7f, 0x80, 0xff].get(random.random_range(0..5)).unwrap(),
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..(at + random.random_range(1..9)).min(bytes.len()))),
            6 => bytes.insert(at, random.random()),
            _ => {
                let from = random.random_range(0..other.len());
                let piece = &other[from..(from + random.random_range(1..200)).min(other.len())];
                let end = (at + piece.len()).min(bytes.len());
                bytes.splice(at..end, piece.iter().copied());
            }
        }
    }
    bytes
}

/// Makes length and checksum hold.
fn seal(bytes: &mut [u8], behind: usize) {
    let total = (bytes.len() as u64).to_le_bytes();
    if let Some(end) = bytes.len().checked_sub(32 + behind).filter(|&end| end >= 24) {
        bytes[16..24].copy_from_slice(&total);
        let digest = Digest::of(&bytes[..end]);
        bytes[end..end + 32].copy_from_slice(digest.as_bytes());
    }
}

/// Reads everything there is to read.
fn read_all(adapter: &Adapter<'_>) -> usize {
    let decoded = adapter.entries().filter(|entry| {
        let elements = entry.elements().min(1 << 16);
        entry.decode_into(&mut vec![0.0; elements]).is_ok()
    });
    decoded.count() + adapter.labels().count() + adapter.settings().count()
}

#[test]
fn a_million_mutated_files_are_refused_or_say_the_same() {
    let files = [encodings().encode(), extremes().encode(), small().encode(), settings().encode()];
    let random = &mut ChaCha8Rng::seed_from_u64(5);
    let (mut same, mut others) = (0, 0);
    for number in 0..FILES {
        let file = &files[number as usize % files.len()];
        let mut bytes = mutated(file, &files[random.random_range(0..files.len())], random);
        if number % 2 == 0 {
            if Adapter::parse(&bytes).is_ok() {
                assert!(bytes == *file, "file {number} was changed and is accepted");
                same += 1;
            }
        } else {
            seal(&mut bytes, 0);
            others += usize::from(Adapter::parse(&bytes).is_ok_and(|adapter| read_all(&adapter) > 0));
        }
    }
    println!("{same} were as before, {others} forged ones are adapters");
    assert!(others > 1000, "the reader is reached beyond the checksum: {others}");
}

#[cfg(feature = "sign")]
#[test]
fn no_forged_file_is_trusted() {
    const FORGED: u32 = 20_000;
    let key = taps::format::SecretKey::from_bytes(&[7; 32]);
    let signed: Vec<Vec<u8>> = [encodings(), extremes(), small()]
        .map(|model| {
            let plain = model.encode();
            let mut file = vec![0; plain.len() + 96];
            key.sign(&plain, &mut file).unwrap();
            file
        })
        .into();
    let random = &mut ChaCha8Rng::seed_from_u64(6);
    let mut reached = 0;
    for number in 0..FORGED {
        let file = &signed[number as usize % signed.len()];
        let mut bytes = mutated(file, &signed[random.random_range(0..signed.len())], random);
        if number % 2 == 1 {
            seal(&mut bytes, 96);
        }
        let Ok(adapter) = Adapter::parse(&bytes) else { continue };
        reached += 1;
        assert!(adapter.verify(&[key.public()]).is_err() || bytes == *file, "file {number}");
    }
    assert!(reached > 100, "{reached}");
}
