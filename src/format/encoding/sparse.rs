//! The largest elements, and zero for all others.
//!
//! A scale, then where the elements are: for each the number of elements between it and the one before it, as a varint.
//! Then a signed byte for each.

use super::Error;
use super::rows::{is_scale, largest, nearest};

const LIMIT: f32 = 127.0;

/// The length of a payload.
pub(super) fn length(count: u32, places: u32) -> u64 {
    4 + u64::from(places) + u64::from(count)
}

/// How many of the `count` largest values there are that are not zero, and the bytes that their places take.
pub(super) fn measure(values: &[f32], count: u32) -> [u32; 2] {
    let mut found = [0, 0];
    let mut next = 0;
    for at in Largest::new(values, count) {
        found[0] += 1;
        found[1] += varint_len(at - next);
        next = at + 1;
    }
    found
}

pub(super) fn check(elements: usize, count: usize, places: usize, payload: &[u8], entry: usize) -> Result<(), Error> {
    let (scale, gaps, bytes) = split(places, payload);
    if !scale.is_finite() {
        return Err(Error::NotFinite { entry, element: 0 });
    }
    if !is_scale(scale, LIMIT) || (scale == 0.0) != (count == 0) {
        return Err(Error::Scale { entry, row: 0 });
    }
    let mut walk = Places { bytes: gaps, next: 0 };
    for &byte in bytes {
        let element = walk.next().filter(|&at| at < elements).ok_or(Error::Places { entry })?;
        match byte {
            0x80 => return Err(Error::Minimum { entry, element }),
            0 => return Err(Error::Places { entry }),
            _ => {}
        }
    }
    if walk.bytes.is_empty() { Ok(()) } else { Err(Error::Places { entry }) }
}

pub(super) fn apply(places: usize, payload: &[u8], out: &mut [f32], each: impl Fn(&mut f32, f32)) {
    let (scale, gaps, bytes) = split(places, payload);
    let (mut rest, mut from) = (out, 0);
    for (at, byte) in (Places { bytes: gaps, next: 0 }).zip(bytes) {
        let Some((before, after)) = core::mem::take(&mut rest).split_at_mut_checked(at - from) else { return };
        before.iter_mut().for_each(|out| each(out, 0.0));
        let Some((out, after)) = after.split_first_mut() else { return };
        each(out, scale * f32::from(byte.cast_signed()));
        (rest, from) = (after, at + 1);
    }
    rest.iter_mut().for_each(|out| each(out, 0.0));
}

/// The values that are not zero.
pub(super) fn nonzeros(places: usize, payload: &[u8]) -> impl Iterator<Item = f32> {
    let (scale, _, bytes) = split(places, payload);
    bytes.iter().map(move |byte| scale * f32::from(byte.cast_signed()))
}

/// Writes the `count` largest of `values`.
pub(super) fn encode(values: &[f32], count: u32, places: u32, payload: &mut [u8], entry: usize) -> Result<(), Error> {
    if measure(values, count) != [count, places] {
        return Err(Error::Places { entry });
    }
    let largest = largest(values);
    let scale = if count == 0 { 0.0 } else { (largest / LIMIT).max(f32::MIN_POSITIVE) };
    if !is_scale(scale, LIMIT) {
        let element = values.iter().position(|value| value.abs() == largest).unwrap_or_default();
        return Err(Error::Overflow { entry, element });
    }
    let Some((to, rest)) = payload.split_first_chunk_mut() else { return Ok(()) };
    *to = scale.to_le_bytes();
    let (gaps, bytes) = rest.split_at_mut(rest.len().min(places as usize));
    let (mut gaps, mut next) = (gaps.iter_mut(), 0);
    for (at, byte) in Largest::new(values, count).zip(bytes) {
        let mut gap = at - next;
        for to in gaps.by_ref() {
            *to = (gap & 0x7f) as u8 | if gap > 0x7f { 0x80 } else { 0 };
            gap >>= 7;
            if gap == 0 {
                break;
            }
        }
        let value = values.get(at as usize).copied().unwrap_or_default();
        // What is kept is not zero.
        let whole = nearest((value / scale).clamp(-LIMIT, LIMIT));
        let whole = if whole == 0 { if value < 0.0 { -1 } else { 1 } } else { whole };
        *byte = (whole as i8).cast_unsigned();
        next = at + 1;
    }
    Ok(())
}

/// Where the largest values are, in ascending order; of equal ones the first.
struct Largest<'a> {
    values: &'a [f32],
    /// Bits of the size that is the smallest among them.
    least: u32,
    /// How many of that size are among them.
    of_least: u32,
    at: u32,
}

impl<'a> Largest<'a> {
    fn new(values: &'a [f32], count: u32) -> Self {
        let at_least = |least: u32| values.iter().filter(|value| value.abs().to_bits() >= least).count() as u64;
        // The highest size that `count` values have, or the lowest there is but zero.
        let (mut least, mut above) = (1_u32, 0x7f80_0000_u32);
        while above - least > 1 {
            let middle = least + (above - least) / 2;
            if at_least(middle) >= u64::from(count) { least = middle } else { above = middle }
        }
        let of_least = u64::from(count).saturating_sub(at_least(least + 1));
        Self { values, least, of_least: of_least.try_into().unwrap_or(u32::MAX), at: 0 }
    }
}

impl Iterator for Largest<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let bits = self.values.get(self.at as usize)?.abs().to_bits();
            let at = self.at;
            self.at += 1;
            if bits > self.least {
                return Some(at);
            }
            if bits == self.least && self.of_least > 0 {
                self.of_least -= 1;
                return Some(at);
            }
        }
    }
}

/// Reads places from gaps; ends where there is none in canonical form.
struct Places<'a> {
    bytes: &'a [u8],
    next: usize,
}

impl Iterator for Places<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let (mut gap, mut shift) = (0_u64, 0);
        loop {
            let (&byte, rest) = self.bytes.split_first()?;
            if shift > 28 || (byte == 0 && shift > 0) {
                return None;
            }
            self.bytes = rest;
            gap |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        let at = self.next.checked_add(usize::try_from(gap).ok()?)?;
        self.next = at.checked_add(1)?;
        Some(at)
    }
}

fn varint_len(gap: u32) -> u32 {
    (32 - (gap | 1).leading_zeros()).div_ceil(7)
}

fn split(places: usize, payload: &[u8]) -> (f32, &[u8], &[u8]) {
    let (scale, rest) = payload.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let (gaps, bytes) = rest.split_at(rest.len().min(places));
    (f32::from_le_bytes(*scale), gaps, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(values: &[f32], asked: u32) -> (Vec<u8>, Vec<f32>) {
        let [count, places] = measure(values, asked);
        let mut payload = vec![0xff; length(count, places) as usize];
        encode(values, count, places, &mut payload, 0).unwrap();
        assert_eq!(check(values.len(), count as usize, places as usize, &payload, 0), Ok(()));
        let mut out = vec![f32::NAN; values.len()];
        apply(places as usize, &payload, &mut out, |out, value| *out = value);
        (payload, out)
    }

    #[test]
    fn the_largest_are_kept_and_the_others_zero() {
        let mut values = vec![0.0; 300];
        (values[1], values[2], values[200], values[299]) = (127.0, -1.0, -64.0, 1.0);
        let (payload, out) = round_trip(&values, 3);
        assert_eq!(payload[..4], 1.0_f32.to_le_bytes());
        assert_eq!(payload[4..], [1, 0, 0xc5, 0x01, 127, 0xff, 0xc0]);
        let mut expected = values.clone();
        expected[299] = 0.0;
        assert_eq!(out, expected);
        assert_eq!(round_trip(&values, 300).1, values, "no more than there are");
        assert_eq!(round_trip(&values, 0).1, [0.0; 300]);
        assert_eq!(round_trip(&[0.0, -0.0], 2).0, [0; 4]);
    }

    #[test]
    fn refuses_what_the_encoder_never_writes() {
        let check = |scale: f32, rest: [u8; 4]| {
            let payload = [scale.to_le_bytes(), rest].concat();
            check(10, 2, 2, &payload, 3)
        };
        assert_eq!(check(1.0, [0, 8, 1, 1]), Ok(()));
        assert_eq!(check(1.0, [0, 9, 1, 1]), Err(Error::Places { entry: 3 }), "beyond the last");
        assert_eq!(check(1.0, [0x80, 0, 1, 1]), Err(Error::Places { entry: 3 }), "a long zero");
        assert_eq!(check(1.0, [0x81, 1, 1, 1]), Err(Error::Places { entry: 3 }), "one place for two");
        assert_eq!(check(1.0, [0, 0, 0, 1]), Err(Error::Places { entry: 3 }), "a zero");
        assert_eq!(check(1.0, [0, 0, 1, 0x80]), Err(Error::Minimum { entry: 3, element: 1 }));
        assert_eq!(check(0.0, [0, 0, 1, 1]), Err(Error::Scale { entry: 3, row: 0 }));
        assert_eq!(check(f32::NAN, [0, 0, 1, 1]), Err(Error::NotFinite { entry: 3, element: 0 }));
        let other = encode(&[1.0, 2.0], 1, 2, &mut [0; 7], 3);
        assert_eq!(other, Err(Error::Places { entry: 3 }));
    }
}
