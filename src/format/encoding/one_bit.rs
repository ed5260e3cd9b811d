//! The sign of each element and one scale per row (BitDelta, arXiv 2402.10193).
//!
//! First the f32 scales of all rows, then the rows, each in whole bytes: a bit for each element, the lowest first, set
//! for minus.

use super::Error;
use super::rows::is_scale;

/// The length of a payload.
pub(super) fn length([rows, width]: [u64; 2]) -> Option<u64> {
    rows.checked_mul(width.div_ceil(8).checked_add(4)?)
}

pub(super) fn check([rows, width]: [usize; 2], payload: &[u8], entry: usize) -> Result<(), Error> {
    let (scales, bytes) = payload.split_at(payload.len().min(rows * 4));
    let lines = scales.as_chunks().0.iter().zip(bytes.chunks(width.div_ceil(8)));
    for (row, (scale, bytes)) in lines.enumerate() {
        let scale = f32::from_le_bytes(*scale);
        if !scale.is_finite() {
            return Err(Error::NotFinite { entry, element: row * width });
        }
        if !is_scale(scale, 1.0) {
            return Err(Error::Scale { entry, row });
        }
        if let (true, Some(byte)) = (scale == 0.0, bytes.iter().position(|&byte| byte != 0)) {
            return Err(Error::ZeroScale { entry, element: row * width + (8 * byte).min(width - 1) });
        }
        if bytes.last().is_some_and(|last| !width.is_multiple_of(8) && last >> (width % 8) != 0) {
            return Err(Error::UnusedBits { entry, row });
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
    let (scales, bytes) = payload.split_at(payload.len().min(rows * 4));
    let lines = lines.zip(bytes.chunks(width.div_ceil(8))).zip(scales.as_chunks().0);
    for ((out, bytes), scale) in lines {
        let scale = u32::from_le_bytes(*scale);
        for (out, &byte) in out.chunks_mut(8).zip(bytes) {
            for (bit, out) in out.iter_mut().enumerate() {
                each(out, f32::from_bits(scale | u32::from(byte >> bit & 1) << 31));
            }
        }
    }
}

/// The scale of a row is its mean size, which is nearest to it; a row that is one size already keeps that.
pub(super) fn encode([rows, width]: [usize; 2], values: &[f32], payload: &mut [u8]) {
    let (scales, bytes) = payload.split_at_mut(payload.len().min(rows * 4));
    let lines = values.chunks(width).zip(bytes.chunks_mut(width.div_ceil(8))).zip(scales.as_chunks_mut().0);
    for ((values, bytes), to) in lines {
        bytes.fill(0);
        let sizes: f64 = values.iter().map(|&value| f64::from(value.abs())).sum();
        let scale = (sizes / width as f64) as f32;
        let scale = if scale < f32::MIN_POSITIVE { 0.0 } else { scale };
        *to = scale.to_le_bytes();
        if scale > 0.0 {
            for (values, byte) in values.chunks(8).zip(bytes) {
                *byte = values.iter().enumerate().map(|(bit, value)| u8::from(*value < 0.0) << bit).sum();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_signs_and_mean_size() {
        let values = [1.0, -3.0, 2.0, -2.0, 2.0, 2.0, 2.0, 2.0, -2.0, 0.0, 0.0, 0.0, 0.0, -0.0, 0.0, 0.0, 0.0, 0.0];
        let mut payload = [0xff; 12];
        encode([2, 9], &values, &mut payload);
        assert_eq!(check([2, 9], &payload, 0), Ok(()));
        assert_eq!(payload[8..], [0b1010, 1, 0, 0]);
        let mut out = [f32::NAN; 18];
        apply([2, 9], &payload, out.chunks_mut(9), |out, value| *out = value);
        assert_eq!(out[..9], [2.0, -2.0, 2.0, -2.0, 2.0, 2.0, 2.0, 2.0, -2.0]);
        assert_eq!(out[9..], [0.0; 9]);
        let mut again = [0; 12];
        encode([2, 9], &out, &mut again);
        assert_eq!(again, payload);
    }

    #[test]
    fn refuses_what_the_encoder_never_writes() {
        let check = |scale: f32, bits: u8| {
            let [a, b, c, d] = scale.to_le_bytes();
            check([1, 3], &[a, b, c, d, bits], 3)
        };
        assert_eq!(check(1.0, 0b111), Ok(()));
        assert_eq!(check(f32::NAN, 0), Err(Error::NotFinite { entry: 3, element: 0 }));
        assert_eq!(check(-1.0, 0), Err(Error::Scale { entry: 3, row: 0 }));
        assert_eq!(check(1e-40, 0), Err(Error::Scale { entry: 3, row: 0 }));
        assert_eq!(check(0.0, 1), Err(Error::ZeroScale { entry: 3, element: 0 }));
        assert_eq!(check(1.0, 0b1000), Err(Error::UnusedBits { entry: 3, row: 0 }));
    }
}
