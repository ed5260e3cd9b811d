//! Four bits an element, with one scale for each group of a row.
//!
//! First the scales of all rows as the upper halves of f32 numbers, then the rows, each in whole bytes: two elements a
//! byte, the lower half first.

use super::Error;
use super::rows::{is_scale, largest, nearest};

const LIMIT: f32 = 7.0;

/// Scales that are tried for a group, as shares of the one that just holds its largest value.
const SHARES: [f32; 5] = [1.0, 0.93, 0.86, 0.79, 1.07];

/// The length of a payload.
pub(super) fn length([rows, width]: [u64; 2], group: u32) -> Option<u64> {
    let each = width.div_ceil(group.into()).checked_mul(2)?.checked_add(width.div_ceil(2))?;
    rows.checked_mul(each)
}

pub(super) fn check([rows, width]: [usize; 2], group: usize, payload: &[u8], entry: usize) -> Result<(), Error> {
    let (scales, bytes) = split(rows, width, group, payload);
    for (row, bytes) in bytes.chunks(width.div_ceil(2)).enumerate() {
        let scales = scales.iter().skip(row * width.div_ceil(group));
        for (number, scale) in scales.take(width.div_ceil(group)).enumerate() {
            let (first, scale) = (number * group, widen(*scale));
            if !scale.is_finite() {
                return Err(Error::NotFinite { entry, element: row * width + first });
            }
            if !is_scale(scale, LIMIT) {
                return Err(Error::Scale { entry, row });
            }
            for at in first..width.min(first + group) {
                let value = half_of(bytes, at);
                let element = row * width + at;
                if value == -8 {
                    return Err(Error::Minimum { entry, element });
                }
                if value != 0 && scale == 0.0 {
                    return Err(Error::ZeroScale { entry, element });
                }
            }
        }
        if width % 2 == 1 && bytes.last().is_some_and(|last| last >> 4 != 0) {
            return Err(Error::UnusedBits { entry, row });
        }
    }
    Ok(())
}

pub(super) fn apply<'a>(
    [rows, width]: [usize; 2],
    group: usize,
    payload: &[u8],
    lines: impl Iterator<Item = &'a mut [f32]>,
    each: impl Fn(&mut f32, f32),
) {
    let (scales, bytes) = split(rows, width, group, payload);
    let lines = lines.zip(bytes.chunks(width.div_ceil(2))).zip(scales.chunks(width.div_ceil(group)));
    for ((out, bytes), scales) in lines {
        // A group is even, and so begins with a byte.
        for ((out, bytes), scale) in out.chunks_mut(group).zip(bytes.chunks(group / 2)).zip(scales) {
            let scale = widen(*scale);
            let (pairs, rest) = out.as_chunks_mut::<2>();
            for (pair, &byte) in pairs.iter_mut().zip(bytes) {
                let [low, high] = pair;
                each(low, scale * f32::from(lower(byte)));
                each(high, scale * f32::from(upper(byte)));
            }
            if let ([last], Some(&byte)) = (rest, bytes.last()) {
                each(last, scale * f32::from(lower(byte)));
            }
        }
    }
}

pub(super) fn encode([rows, width]: [usize; 2], group: usize, values: &[f32], payload: &mut [u8]) {
    let groups = width.div_ceil(group);
    let (scales, bytes) = payload.split_at_mut(payload.len().min(rows * groups * 2));
    let scales = scales.as_chunks_mut().0;
    let lines = values.chunks(width).zip(bytes.chunks_mut(width.div_ceil(2))).zip(scales.chunks_mut(groups));
    for ((values, bytes), scales) in lines {
        bytes.fill(0);
        let parts = values.chunks(group).zip(bytes.chunks_mut(group / 2)).zip(scales);
        for ((values, bytes), to) in parts {
            let scale = best_scale(values);
            *to = narrow(scale).to_le_bytes();
            for (pair, byte) in values.chunks(2).zip(bytes) {
                for (place, &value) in pair.iter().enumerate() {
                    *byte |= (quantise(value, scale).cast_unsigned() & 15) << (4 * place);
                }
            }
        }
    }
}

/// Of several scales the one that comes nearest to the values, the first of equal ones.
fn best_scale(values: &[f32]) -> f32 {
    let largest = largest(values) / LIMIT;
    let mut best = (f64::INFINITY, 0.0);
    for share in SHARES {
        let scale = widen(narrow(largest * share).to_le_bytes());
        let scale = if scale < f32::MIN_POSITIVE { 0.0 } else { scale };
        let off = |value: f32| {
            let off = f64::from(value) - f64::from(scale) * f64::from(quantise(value, scale));
            off * off
        };
        let error = values.iter().map(|&value| off(value)).sum::<f64>();
        if error < best.0 && is_scale(scale, LIMIT) {
            best = (error, scale);
        }
    }
    best.1
}

fn quantise(value: f32, scale: f32) -> i8 {
    if scale == 0.0 { 0 } else { nearest((value / scale).clamp(-LIMIT, LIMIT)) as i8 }
}

fn split(rows: usize, width: usize, group: usize, payload: &[u8]) -> (&[[u8; 2]], &[u8]) {
    let (scales, bytes) = payload.split_at(payload.len().min(rows * width.div_ceil(group) * 2));
    (scales.as_chunks().0, bytes)
}

fn half_of(bytes: &[u8], at: usize) -> i8 {
    let byte = bytes.get(at / 2).copied().unwrap_or_default();
    if at.is_multiple_of(2) { lower(byte) } else { upper(byte) }
}

fn lower(byte: u8) -> i8 {
    (byte << 4).cast_signed() >> 4
}

fn upper(byte: u8) -> i8 {
    byte.cast_signed() >> 4
}

fn widen(half: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(half)) << 16)
}

/// The upper half of the nearest number that has only that, ties to even.
fn narrow(value: f32) -> u16 {
    let bits = value.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(sizes: [usize; 2], group: usize, values: &[f32]) -> (Vec<u8>, Vec<f32>) {
        let length = length(sizes.map(|size| size as u64), group as u32).unwrap() as usize;
        let mut payload = vec![0xff; length];
        encode(sizes, group, values, &mut payload);
        assert_eq!(check(sizes, group, &payload, 0), Ok(()));
        let mut out = vec![f32::NAN; values.len()];
        apply(sizes, group, &payload, out.chunks_mut(sizes[1]), |out, value| *out = value);
        (payload, out)
    }

    #[test]
    fn groups_have_scales_of_their_own() {
        let values = [7.0, -7.0, 1.0, 0.0, -14.0, 7.0, 0.0, 0.0, 0.0, 3.5];
        let (payload, out) = round_trip([2, 5], 4, &values);
        assert_eq!(payload[..8], [0x80, 0x3f, 0, 0x40, 0x80, 0x3f, 0, 0x3f]);
        assert_eq!(payload[8..], [0x97, 0x01, 0x09, 0x07, 0x00, 0x07]);
        assert_eq!(out, values);
    }

    #[test]
    fn refuses_what_the_encoder_never_writes() {
        let payload = |scale: u16, byte: u8, last: u8| {
            let mut payload = [0; 4];
            payload[..2].copy_from_slice(&scale.to_le_bytes());
            (payload[2], payload[3]) = (byte, last);
            payload
        };
        let check = |scale, byte, last| check([1, 3], 4, &payload(scale, byte, last), 3);
        assert_eq!(check(0x3f80, 0x71, 0x07), Ok(()));
        assert_eq!(check(0x7f80, 0, 0), Err(Error::NotFinite { entry: 3, element: 0 }));
        assert_eq!(check(0x3f80, 0x81, 0), Err(Error::Minimum { entry: 3, element: 1 }));
        assert_eq!(check(0, 0x10, 0), Err(Error::ZeroScale { entry: 3, element: 1 }));
        assert_eq!(check(0x3f80, 0, 0x10), Err(Error::UnusedBits { entry: 3, row: 0 }));
        for scale in [0x8000, 0xbf80, 0x0001, 0x7f00] {
            assert_eq!(check(scale, 0, 0), Err(Error::Scale { entry: 3, row: 0 }), "{scale}");
        }
    }

    #[test]
    fn tiny_groups_are_zero_and_huge_ones_finite() {
        assert_eq!(round_trip([1, 2], 2, &[1e-38, -0.0]).1, [0.0, 0.0]);
        for huge in [f32::MAX, 3.39e38, 3.35e38, 3.3e38] {
            let out = round_trip([1, 2], 2, &[0.0, huge]).1;
            assert!(out[1].is_finite() && out[1] > 0.9 * huge, "{huge}: {out:?}");
        }
    }
}
