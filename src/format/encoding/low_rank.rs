//! Two factors: `rows × rank` numbers and then `rank × width`, whose product is the tensor.

use super::Error;
use super::plain;
use super::rows::largest;

/// Elements of a row that are summed up together.
const BLOCK: usize = 64;

/// Numbers of both factors.
pub(super) fn numbers([rows, width]: [u64; 2], rank: u32) -> Option<u64> {
    rows.checked_add(width)?.checked_mul(rank.into())
}

/// The length of a payload.
pub(super) fn length(sizes: [u64; 2], rank: u32, half: bool) -> Option<u64> {
    numbers(sizes, rank)?.checked_mul(if half { 2 } else { 4 })
}

pub(super) fn check([rows, _]: [usize; 2], rank: usize, half: bool, payload: &[u8], entry: usize) -> Result<(), Error> {
    if half {
        plain::check_f16(payload, entry)?
    } else {
        plain::check_f32(payload, entry)?
    }
    let (left, right) = payload.split_at(payload.len().min(rows * rank * bytes(half)));
    let most = |factor: &[u8]| {
        let mut most = 0.0_f32;
        factor.chunks(bytes(half)).for_each(|number| most = most.max(read(number, half).abs()));
        f64::from(most)
    };
    match most(left) * most(right) * (rank as f64) < f64::from(f32::MAX) {
        true => Ok(()),
        false => Err(Error::NotFinite { entry, element: 0 }),
    }
}

pub(super) fn apply<'a>(
    [rows, width]: [usize; 2],
    rank: usize,
    half: bool,
    payload: &[u8],
    lines: impl Iterator<Item = &'a mut [f32]>,
    each: impl Fn(&mut f32, f32),
) {
    let size = bytes(half);
    let (left, right) = payload.split_at(payload.len().min(rows * rank * size));
    for (out, left) in lines.zip(left.chunks(rank * size)) {
        for (number, out) in out.chunks_mut(BLOCK).enumerate() {
            let mut sums = [0.0_f32; BLOCK];
            for (left, right) in left.chunks(size).zip(right.chunks(width * size)) {
                let left = read(left, half);
                let right = right.get(number * BLOCK * size..).unwrap_or_default();
                for (sum, right) in sums.iter_mut().zip(right.chunks(size)) {
                    *sum += left * read(right, half);
                }
            }
            out.iter_mut().zip(sums).for_each(|(out, sum)| each(out, sum));
        }
    }
}

/// Writes `factors`: the left one, then the right one.
pub(super) fn encode(
    [rows, _]: [usize; 2],
    rank: usize,
    half: bool,
    factors: &[f32],
    payload: &mut [u8],
    entry: usize,
) -> Result<(), Error> {
    let (left, right) = factors.split_at(factors.len().min(rows * rank));
    if f64::from(largest(left)) * f64::from(largest(right)) * rank as f64 >= f64::from(f32::MAX) {
        return Err(Error::Overflow { entry, element: 0 });
    }
    match half {
        true => plain::encode_f16(factors, payload, entry)?,
        false => plain::encode_f32(factors, payload),
    }
    Ok(())
}

/// The numbers of both factors.
pub(super) fn factors(half: bool, payload: &[u8]) -> impl Iterator<Item = f32> {
    payload.chunks(bytes(half)).map(move |number| read(number, half))
}

fn bytes(half: bool) -> usize {
    if half { 2 } else { 4 }
}

fn read(number: &[u8], half: bool) -> f32 {
    match (number, half) {
        (&[a, b], true) => plain::widen(u16::from_le_bytes([a, b])),
        (&[a, b, c, d], false) => f32::from_le_bytes([a, b, c, d]),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_product_of_the_factors() {
        let factors = [1.0, 2.0, -1.0, 0.5, /* right */ 1.0, 0.0, 3.0, 4.0, 2.0, -2.0];
        for half in [false, true] {
            let mut payload = vec![0; 10 * bytes(half)];
            encode([2, 3], 2, half, &factors, &mut payload, 0).unwrap();
            assert_eq!(check([2, 3], 2, half, &payload, 0), Ok(()));
            let mut out = [1.0; 6];
            apply([2, 3], 2, half, &payload, out.chunks_mut(3), |out, value| *out += value);
            assert_eq!(out, [10.0, 5.0, 0.0, 2.0, 2.0, -3.0]);
        }
    }

    #[test]
    fn rows_longer_than_a_block_are_whole() {
        let factors: Vec<f32> = (0..2 + 150).map(|at| at as f32).collect();
        let mut payload = vec![0; 4 * factors.len()];
        encode([2, 150], 1, false, &factors, &mut payload, 0).unwrap();
        let mut out = [f32::NAN; 300];
        apply([2, 150], 1, false, &payload, out.chunks_mut(150), |out, value| *out = value);
        assert!(out[..150].iter().all(|&value| value == 0.0));
        assert!(out[150..].iter().enumerate().all(|(at, &value)| value == (at + 2) as f32));
    }

    #[test]
    fn products_are_finite() {
        let mut payload = [0; 8];
        assert_eq!(
            encode([1, 1], 1, false, &[1e30, 1e30], &mut payload, 4),
            Err(Error::Overflow { entry: 4, element: 0 })
        );
        payload = [1e30_f32.to_le_bytes(), 1e30_f32.to_le_bytes()].concat().try_into().unwrap();
        assert_eq!(check([1, 1], 1, false, &payload, 4), Err(Error::NotFinite { entry: 4, element: 0 }));
    }
}
