//! Signed bytes with one scale per row. A row is one index of the first dimension.

use super::Error;
use super::rows::{is_scale, largest, nearest};

const LIMIT: f32 = 127.0;

pub(super) fn check(rows: usize, payload: &[u8], entry: usize) -> Result<(), Error> {
    let (scales, bytes) = split(rows, payload);
    let width = width(rows, bytes.len());
    for (row, (scale, bytes)) in scales.iter().zip(bytes.chunks(width)).enumerate() {
        let first = row * width;
        let scale = f32::from_le_bytes(*scale);
        if !scale.is_finite() {
            return Err(Error::NotFinite { entry, element: first });
        }
        if !is_scale(scale, LIMIT) {
            return Err(Error::Scale { entry, row });
        }
        let (bits, minimum) =
            bytes.iter().fold((0, false), |(bits, minimum), &byte| (bits | byte, minimum | (byte == 0x80)));
        if minimum {
            let at = bytes.iter().position(|&byte| byte == 0x80).unwrap_or_default();
            return Err(Error::Minimum { entry, element: first + at });
        }
        if scale == 0.0 && bits != 0 {
            let at = bytes.iter().position(|&byte| byte != 0).unwrap_or_default();
            return Err(Error::ZeroScale { entry, element: first + at });
        }
    }
    Ok(())
}

pub(super) fn apply<'a>(
    [rows, width]: [usize; 2],
    payload: &[u8],
    lines: impl Iterator<Item = &'a mut [f32]>,
    each: impl Fn(&mut f32, f32),
) {
    let (scales, bytes) = split(rows, payload);
    for ((out, bytes), scale) in lines.zip(bytes.chunks(width)).zip(scales) {
        let scale = f32::from_le_bytes(*scale);
        for (out, &byte) in out.iter_mut().zip(bytes) {
            each(out, scale * f32::from(byte.cast_signed()));
        }
    }
}

pub(super) fn encode(rows: usize, values: &[f32], payload: &mut [u8], entry: usize) -> Result<(), Error> {
    let width = width(rows, values.len());
    let (scales, bytes) = payload.split_at_mut(payload.len().min(rows * 4));
    let lines = values.chunks(width).zip(bytes.chunks_mut(width));
    for (row, ((values, bytes), to)) in lines.zip(scales.as_chunks_mut().0).enumerate() {
        let largest = largest(values);
        let scale = scale_for(largest);
        if !is_scale(scale, LIMIT) {
            let at = values.iter().position(|value| value.abs() == largest).unwrap_or_default();
            return Err(Error::Overflow { entry, element: row * width + at });
        }
        *to = scale.to_le_bytes();
        for (byte, value) in bytes.iter_mut().zip(values) {
            *byte = quantise(*value, scale).cast_unsigned();
        }
    }
    Ok(())
}

fn split(rows: usize, payload: &[u8]) -> (&[[u8; 4]], &[u8]) {
    let (scales, bytes) = payload.split_at(payload.len().min(rows * 4));
    (scales.as_chunks().0, bytes)
}

fn width(rows: usize, elements: usize) -> usize {
    elements.checked_div(rows).unwrap_or_default().max(1)
}

fn scale_for(largest: f32) -> f32 {
    let scale = largest / LIMIT;
    if scale < f32::MIN_POSITIVE { 0.0 } else { scale }
}

/// `value / scale` to the nearest whole number, halves away from zero.
fn quantise(value: f32, scale: f32) -> i8 {
    if scale == 0.0 {
        return 0;
    }
    nearest(value / scale).clamp(-127, 127) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(rows: usize, values: &[f32]) -> (Vec<u8>, Vec<f32>) {
        let mut payload = vec![0; rows * 4 + values.len()];
        encode(rows, values, &mut payload, 0).unwrap();
        assert_eq!(check(rows, &payload, 0), Ok(()));
        let mut out = vec![0.0; values.len()];
        let width = width(rows, out.len());
        apply([rows, width], &payload, out.chunks_mut(width), |out, value| *out = value);
        (payload, out)
    }

    #[test]
    fn rows_have_scales_of_their_own() {
        let values = [127.0, -63.5, 0.5, 0.0, 0.0, 0.0, -254.0, 1.0, 2.9];
        let (payload, out) = round_trip(3, &values);
        assert_eq!(&payload[..12], [1.0, 0.0, 2.0].map(f32::to_le_bytes).concat());
        assert_eq!(payload[12..], [127, 192, 1, 0, 0, 0, 129, 1, 1]);
        assert_eq!(out, [127.0, -64.0, 1.0, 0.0, 0.0, 0.0, -254.0, 2.0, 2.0]);
    }

    #[test]
    fn rounds_halves_away_from_zero() {
        let cases = [(0.5, 1), (-0.5, -1), (1.5, 2), (2.5, 3), (0.49999997, 0), (126.5, 127)];
        for (value, expected) in cases {
            assert_eq!(quantise(value, 1.0), expected);
        }
        assert_eq!(quantise(500.0, 1.0), 127);
        assert_eq!(quantise(-500.0, 1.0), -127);
    }

    #[test]
    fn tiny_rows_are_zero_and_huge_ones_refused() {
        let (payload, out) = round_trip(1, &[1e-36, -0.0]);
        assert_eq!(payload, [0; 6]);
        assert_eq!(out, [0.0, 0.0]);
        let mut payload = [0; 10];
        let overflow = Err(Error::Overflow { entry: 8, element: 1 });
        assert_eq!(encode(2, &[0.0, f32::MAX], &mut payload, 8), overflow);
        round_trip(1, &[3.4e38, 0.0]);
    }

    #[test]
    fn refuses_what_the_encoder_never_writes() {
        let payload = |scale: f32, bytes: [u8; 2]| {
            let mut payload = [0; 12];
            payload[4..8].copy_from_slice(&scale.to_le_bytes());
            payload[10..].copy_from_slice(&bytes);
            payload
        };
        let check = |scale, bytes| check(2, &payload(scale, bytes), 3);
        assert_eq!(check(1.0, [1, 0x81]), Ok(()));
        assert_eq!(check(f32::NAN, [0, 0]), Err(Error::NotFinite { entry: 3, element: 2 }));
        assert_eq!(check(1.0, [1, 0x80]), Err(Error::Minimum { entry: 3, element: 3 }));
        assert_eq!(check(0.0, [0, 1]), Err(Error::ZeroScale { entry: 3, element: 3 }));
        for scale in [-0.0, -1.0, 1e-40, 3e36] {
            assert_eq!(check(scale, [0, 0]), Err(Error::Scale { entry: 3, row: 1 }), "{scale}");
        }
    }
}
