//! The table of sentencepiece's normalizer: a double-array trie of characters and what they become.

use std::collections::HashSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::part::Checked;

/// Bytes of the text that holds it.
const MOST: usize = 1 << 20;
/// Bytes that a value may have, by the bytes of its key: a text becomes longer by some factor and no more. Keys that are
/// longer are never looked up.
const VALUES: [usize; 6] = [0, 4, 16, 64, 64, 64];

/// A table that has been checked, as its file has it.
#[derive(Clone)]
pub(super) struct CharsMap {
    text: String,
    bytes: Vec<u8>,
}

impl CharsMap {
    /// Base64, as the file has it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn check(text: String) -> Checked<Self> {
        if text.len() > MOST {
            return Err(format!("precompiled_charsmap has {} bytes, and {MOST} are the most", text.len()));
        }
        let bytes = BASE64_STANDARD.decode(&text).map_err(|error| format!("precompiled_charsmap: {error}"))?;
        check(&bytes).map_err(|problem| format!("precompiled_charsmap: {problem}"))?;
        Ok(Self { text, bytes })
    }
}

impl<'de> Deserialize<'de> for CharsMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::check(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The number of the trie's bytes, the trie in units of 32 bits, and the values, each with a zero behind it. Every step that
/// a look-up can take stays within.
fn check(bytes: &[u8]) -> Checked<()> {
    let (size, rest) = bytes.split_first_chunk::<4>().ok_or("it is empty")?;
    let size = u32::from_le_bytes(*size) as usize;
    // Whole blocks of 256 units: a unit and a byte by exclusive or stay in one.
    if size == 0 || !size.is_multiple_of(1024) || size > rest.len() {
        return Err(format!("a trie of {size} bytes"));
    }
    let (trie, values) = rest.split_at(size);
    let units: Vec<u32> = trie.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
    let values = std::str::from_utf8(values).map_err(|error| error.to_string())?;
    let offset = |unit: u32| (unit as usize >> 10) << ((unit & 1 << 9) >> 6);
    let start = offset(units[0]);
    if start >= units.len() {
        return Err("it starts outside of itself".to_owned());
    }
    let (mut seen, mut nodes) = (HashSet::from([start]), vec![start]);
    for longest in &VALUES[1..] {
        let mut next = Vec::new();
        for (node, byte) in nodes.iter().flat_map(|node| (1..256_usize).map(move |byte| (node, byte))) {
            let at = node ^ byte;
            let unit = units[at];
            if (unit & 0x8000_00ff) as usize != byte {
                continue;
            }
            let to = at ^ offset(unit);
            let value = *units.get(to).ok_or("a step leads out of it")?;
            if unit >> 8 & 1 == 1 {
                let value =
                    values.get((value & 0x7fff_ffff) as usize..).ok_or("a value is outside, or inside a character")?;
                let length = value.find('\0').unwrap_or(value.len());
                if length > *longest {
                    return Err(format!("a value of {length} bytes, where {longest} are the most"));
                }
            }
            if seen.insert(to) {
                next.push(to);
            }
        }
        nodes = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trie that makes `value` of the byte `key`.
    fn table(key: u8, value: &[u8]) -> Vec<u8> {
        let mut units = vec![0_u32; 256];
        // The root leads to itself, and the key's unit to one that holds the place of its value.
        units[0] = 0;
        let place = usize::from(key) ^ 1;
        units[usize::from(key)] = u32::from(key) | 1 << 8 | 1 << 10;
        units[place] = 1 << 31;
        let mut bytes = 1024_u32.to_le_bytes().to_vec();
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend_from_slice(value);
        bytes
    }

    #[test]
    fn a_table_that_stays_within_itself_is_accepted() {
        assert_eq!(check(&table(b'A', b"a\0")), Ok(()));
        let text = BASE64_STANDARD.encode(table(b'A', b"a\0"));
        assert!(CharsMap::check(text).is_ok());
    }

    #[test]
    fn tables_that_would_lead_out_of_themselves_are_refused() {
        let refused = |bytes: &[u8]| assert!(check(bytes).is_err());
        refused(b"");
        refused(&u32::MAX.to_le_bytes());
        refused(&table(b'A', b"aaaaa\0"));
        refused(&table(b'A', b"\xff"));
        for (at, unit) in
            [(0, 5_000 << 10), (usize::from(b'A'), u32::from(b'A') | 1 << 8 | 9_000 << 10), (64, 1 << 31 | 9)]
        {
            let mut bytes = table(b'A', b"a\0");
            bytes[4 + 4 * at..][..4].copy_from_slice(&u32::to_le_bytes(unit));
            refused(&bytes);
        }
        assert!(CharsMap::check("!!!".to_owned()).is_err());
        assert!(CharsMap::check("A".repeat(MOST + 1)).is_err());
    }
}
