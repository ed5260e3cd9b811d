//! f32 and f16: the values themselves.

use half::f16;

use super::Error;

/// Elements that are gone through at a time.
pub(super) const LINE: usize = 1024;

pub(super) fn check_f32(payload: &[u8], entry: usize) -> Result<(), Error> {
    const EXPONENT: u32 = 0x7f80_0000;
    let bad = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes) & EXPONENT == EXPONENT;
    refuse(payload.as_chunks().0, bad, entry)
}

pub(super) fn check_f16(payload: &[u8], entry: usize) -> Result<(), Error> {
    const EXPONENT: u16 = 0x7c00;
    let bad = |bytes: &[u8; 2]| u16::from_le_bytes(*bytes) & EXPONENT == EXPONENT;
    refuse(payload.as_chunks().0, bad, entry)
}

fn refuse<T>(values: &[T], bad: impl Fn(&T) -> bool, entry: usize) -> Result<(), Error> {
    // The fold has no way out and so becomes vector code; where to point is looked up only if there is something.
    if values.iter().fold(false, |any, value| any | bad(value)) {
        let element = values.iter().position(bad).unwrap_or_default();
        return Err(Error::NotFinite { entry, element });
    }
    Ok(())
}

/// `lines` are of [`LINE`] elements, but for the last.
pub(super) fn apply_f32<'a>(payload: &[u8], lines: impl Iterator<Item = &'a mut [f32]>, each: impl Fn(&mut f32, f32)) {
    for (out, bytes) in lines.zip(payload.chunks(4 * LINE)) {
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
            each(out, f32::from_le_bytes(*bytes));
        }
    }
}

/// `lines` are of [`LINE`] elements, but for the last.
pub(super) fn apply_f16<'a>(payload: &[u8], lines: impl Iterator<Item = &'a mut [f32]>, each: impl Fn(&mut f32, f32)) {
    for (out, bytes) in lines.zip(payload.chunks(2 * LINE)) {
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
            each(out, widen(u16::from_le_bytes(*bytes)));
        }
    }
}

/// The value of a finite half. Without a branch, so that loops over it become vector code on every target; `half`
/// does so only where it finds the CPU's own conversion.
pub(super) fn widen(half: u16) -> f32 {
    const SUBNORMAL_UNIT: f32 = 1.0 / (1 << 24) as f32;
    const BIAS_DIFFERENCE: u32 = 127 - 15;
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = half & 0x7fff;
    let normal = (u32::from(magnitude) << 13) + (BIAS_DIFFERENCE << 23);
    let subnormal = (f32::from(magnitude) * SUBNORMAL_UNIT).to_bits();
    f32::from_bits(sign | if magnitude < 0x400 { subnormal } else { normal })
}

pub(super) fn encode_f32(values: &[f32], payload: &mut [u8]) {
    for (value, bytes) in values.iter().zip(payload.as_chunks_mut().0) {
        *bytes = value.to_le_bytes();
    }
}

pub(super) fn encode_f16(values: &[f32], payload: &mut [u8], entry: usize) -> Result<(), Error> {
    let bytes = payload.as_chunks_mut().0;
    for (element, (value, bytes)) in values.iter().zip(bytes).enumerate() {
        let half = f16::from_f32(*value);
        if half.is_infinite() {
            return Err(Error::Overflow { entry, element });
        }
        *bytes = half.to_le_bytes();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "takes too long")]
    fn every_finite_half_survives() {
        let finite: Vec<u16> = (0..=u16::MAX).filter(|&b| f16::from_bits(b).is_finite()).collect();
        let payload: Vec<u8> = finite.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        assert_eq!(check_f16(&payload, 0), Ok(()));
        let mut values = vec![0.0; finite.len()];
        apply_f16(&payload, values.chunks_mut(LINE), |out, value| *out = value);
        for (value, &bits) in values.iter().zip(&finite) {
            assert_eq!(value.to_bits(), f16::from_bits(bits).to_f32().to_bits());
        }
        let mut again = vec![0; payload.len()];
        encode_f16(&values, &mut again, 0).unwrap();
        assert_eq!(again, payload);
    }

    #[test]
    fn only_finite_values_pass() {
        for bits in [0x7c00_u16, 0xfc00, 0x7e01, 0xffff] {
            let payload = [0x3c00, bits].map(u16::to_le_bytes).concat();
            let refused = Err(Error::NotFinite { entry: 2, element: 1 });
            assert_eq!(check_f16(&payload, 2), refused);
        }
        for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let payload = [1.0, value].map(f32::to_le_bytes).concat();
            assert_eq!(check_f32(&payload, 2), Err(Error::NotFinite { entry: 2, element: 1 }));
        }
        assert_eq!(check_f32(&f32::MAX.to_le_bytes(), 2), Ok(()));
    }

    #[test]
    fn halves_round_to_even_and_do_not_overflow() {
        let mut payload = [0; 6];
        encode_f16(&[65519.0, 2049.0, -0.0], &mut payload, 0).unwrap();
        let mut values = [0.0_f32; 3];
        apply_f16(&payload, values.chunks_mut(LINE), |out, value| *out = value);
        assert_eq!(values.map(f32::to_bits), [65504.0, 2048.0, -0.0_f32].map(f32::to_bits));
        let overflow = Err(Error::Overflow { entry: 1, element: 0 });
        assert_eq!(encode_f16(&[-65520.0], &mut payload, 1), overflow);
    }
}
