//! Running means in 16 and in 8 bits, a block at a time.
//!
//! A mean moves by a small share of itself in a step, which is less than a few bits can tell apart. So means are rounded
//! up or down by chance, with the probabilities that leave their expectation as it is. The chance is a hash of the step
//! and of the value's place: the same however many threads there are.

use super::math::vectorized;

/// Values that are unpacked together; in 8 bits they share a scale.
pub(super) const BLOCK: usize = 256;

vectorized! {
    /// Equally distributed bits for each value of the block that begins at `from` (the finalizer of lowbias32).
    pub(super) fn chances(step: u32, from: usize, out: &mut [u32; BLOCK]) {
        let start = (from as u32).wrapping_add(step.wrapping_mul(0x9e37_79b9));
        for (index, out) in out.iter_mut().enumerate() {
            let mut bits = start.wrapping_add(index as u32);
            bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d);
            bits = (bits ^ (bits >> 15)).wrapping_mul(0x846c_a68b);
            *out = bits ^ (bits >> 16);
        }
    }
}

vectorized! {
    pub(super) fn unpack_bf16(kept: &[u16], out: &mut [f32]) {
        for (out, &kept) in out.iter_mut().zip(kept) {
            *out = f32::from_bits(u32::from(kept) << 16);
        }
    }
}

vectorized! {
    pub(super) fn pack_bf16(values: &[f32], chance: &[u32; BLOCK], kept: &mut [u16]) {
        for ((kept, value), chance) in kept.iter_mut().zip(values).zip(chance) {
            *kept = (value.to_bits().wrapping_add(chance & 0xffff) >> 16) as u16;
        }
    }
}

/// Code 128 + c stands for sign(c) (c / 127)² of the scale, −127 ≤ c ≤ 127; a code of 0 for zero.
const STEPS: f32 = 127.0;

/// Code c stands for (c / 255)⁴ of the scale.
const ROOTS: f32 = 255.0;

/// From 0 up to 1.
#[inline(always)]
fn unit(chance: u32) -> f32 {
    (chance >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// The largest size, and its inverse, which is zero where there is none.
#[inline(always)]
fn largest(values: &[f32]) -> [f32; 2] {
    let largest =
        values.iter().fold(0.0_f32, |largest, value| if value.abs() > largest { value.abs() } else { largest });
    [largest, if largest > f32::MIN_POSITIVE { 1.0 / largest } else { 0.0 }]
}

vectorized! {
    pub(super) fn unpack_any(codes: &[u8], scale: f32, out: &mut [f32]) {
        let scale = scale / (STEPS * STEPS);
        for (out, &code) in out.iter_mut().zip(codes) {
            let c = if code == 0 { 0.0 } else { f32::from(code) - 128.0 };
            *out = scale * c * c.abs();
        }
    }
}

vectorized! {
    pub(super) fn pack_any(values: &[f32], chance: &[u32; BLOCK], codes: &mut [u8], scale: &mut f32) {
        let [largest, inverse] = largest(values);
        *scale = if inverse > 0.0 { largest } else { 0.0 };
        for ((code, value), &chance) in codes.iter_mut().zip(values).zip(chance) {
            let size = value.abs() * inverse * (STEPS * STEPS);
            let low = size.sqrt().floor().min(STEPS - 1.0);
            let up = (size - low * low) / (2.0 * low + 1.0) > unit(chance);
            let c = low + if up { 1.0 } else { 0.0 };
            *code = (128.0 + if *value < 0.0 { -c } else { c }) as u8;
        }
    }
}

vectorized! {
    pub(super) fn unpack_positive(codes: &[u8], scale: f32, out: &mut [f32]) {
        for (out, &code) in out.iter_mut().zip(codes) {
            let root = f32::from(code) * (1.0 / ROOTS);
            let square = root * root;
            *out = scale * (square * square);
        }
    }
}

vectorized! {
    pub(super) fn pack_positive(values: &[f32], chance: &[u32; BLOCK], codes: &mut [u8], scale: &mut f32) {
        let [largest, inverse] = largest(values);
        *scale = if inverse > 0.0 { largest } else { 0.0 };
        let fourth = |x: f32| {
            let x = x * (1.0 / ROOTS);
            (x * x) * (x * x)
        };
        for ((code, value), &chance) in codes.iter_mut().zip(values).zip(chance) {
            let share = value * inverse;
            let low = (share.sqrt().sqrt() * ROOTS).floor().min(ROOTS - 1.0);
            let (below, above) = (fourth(low), fourth(low + 1.0));
            let up = (share - below) / (above - below) > unit(chance);
            let c = low + if up { 1.0 } else { 0.0 };
            // Of a square that is not zero nothing is divided by zero.
            *code = if share > 0.0 && c < 1.0 { 1 } else { c as u8 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chance(step: u32) -> [u32; BLOCK] {
        let mut out = [0; BLOCK];
        chances(step, 0, &mut out);
        out
    }

    fn halves(values: &[f32; BLOCK], step: u32) -> [f32; BLOCK] {
        let (mut kept, mut out) = ([0; BLOCK], [f32::NAN; BLOCK]);
        pack_bf16(values, &chance(step), &mut kept);
        unpack_bf16(&kept, &mut out);
        out
    }

    fn any(values: &[f32; BLOCK], step: u32) -> [f32; BLOCK] {
        let (mut codes, mut scale, mut out) = ([0; BLOCK], 0.0, [f32::NAN; BLOCK]);
        pack_any(values, &chance(step), &mut codes, &mut scale);
        unpack_any(&codes, scale, &mut out);
        out
    }

    fn positive(values: &[f32; BLOCK], step: u32) -> [f32; BLOCK] {
        let (mut codes, mut scale, mut out) = ([0; BLOCK], 0.0, [f32::NAN; BLOCK]);
        pack_positive(values, &chance(step), &mut codes, &mut scale);
        unpack_positive(&codes, scale, &mut out);
        out
    }

    type Way = fn(&[f32; BLOCK], u32) -> [f32; BLOCK];

    const ALL: [Way; 3] = [halves, any, positive];

    #[test]
    fn what_is_packed_is_kept_on_average() {
        const STEPS: u32 = 4000;
        let cubes: [f32; BLOCK] = std::array::from_fn(|at| (at as f32 - 100.0).powi(3) * 1e-6);
        for (way, values) in ALL.into_iter().zip([cubes, cubes, cubes.map(|value| value.abs().max(1e-6))]) {
            let (mut sums, mut far) = ([0.0; BLOCK], [0.0_f64; BLOCK]);
            for step in 0..STEPS {
                for ((sum, far), (found, value)) in
                    sums.iter_mut().zip(&mut far).zip(way(&values, step).iter().zip(&values))
                {
                    let off = f64::from(*found) - f64::from(*value);
                    (*sum, *far) = (*sum + off, far.max(off.abs()));
                }
            }
            for ((sum, far), value) in sums.iter().zip(far).zip(values) {
                // A mean of what is never further off than `far`, within five deviations.
                assert!((sum / f64::from(STEPS)).abs() <= 5.0 * far / f64::from(STEPS).sqrt(), "{value}: {sum}, {far}");
                assert!(far <= 0.02 * 3.8 + 1e-9, "{value} becomes another by {far}");
            }
        }
    }

    #[test]
    fn nothing_is_kept_as_nothing_and_small_squares_as_something() {
        for way in ALL {
            assert_eq!(way(&[0.0; BLOCK], 7), [0.0; BLOCK]);
        }
        let mut values = [1e-12; BLOCK];
        values[0] = 1.0;
        assert!(positive(&values, 7).iter().all(|&value| value > 0.0));
    }

    #[test]
    fn what_an_f32_can_be_is_packed_without_nonsense() {
        for size in [f32::MIN_POSITIVE / 4.0, f32::MIN_POSITIVE, 1e-30, 1e30] {
            let values: [f32; BLOCK] = std::array::from_fn(|at| size * at as f32);
            for way in ALL {
                let most = size * 255.0 * 1.01;
                assert!(way(&values, 3).iter().all(|found| (0.0..=most).contains(found)), "{size}");
            }
        }
    }
}
