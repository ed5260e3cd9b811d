//! Rows: one for each index of the first dimension.

use super::Shape;

/// A shape of one dimension as one row, and any other as [`of`].
pub(super) fn or_one(shape: &Shape) -> Option<[u64; 2]> {
    match shape.dims() {
        [width] => Some([1, (*width).into()]),
        _ => of(shape),
    }
}

/// The rows of a shape of two dimensions and more, and how many elements each has.
pub(super) fn of(shape: &Shape) -> Option<[u64; 2]> {
    match shape.dims() {
        [rows, rest @ ..] if !rest.is_empty() => {
            let width = rest.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim.into()))?;
            Some([(*rows).into(), width])
        }
        _ => None,
    }
}

/// The same of a shape whose payload is in memory.
pub(super) fn in_memory(shape: &Shape) -> [usize; 2] {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
    or_one(shape).map_or([1, 1], |sizes| sizes.map(size))
}

/// The lines of `out`, `width` elements each, given to `before` with the number of its first element before it is handed
/// out.
pub(super) fn lines(
    out: &mut [f32],
    width: usize,
    mut before: impl FnMut(usize, &mut [f32]),
) -> impl Iterator<Item = &mut [f32]> {
    out.chunks_mut(width).enumerate().map(move |(row, line)| {
        before(row * width, line);
        line
    })
}

/// Whether this can be the scale of whole numbers up to `limit`: zero, or positive and normal with every product
/// finite. Products then are the same on machines that flush subnormal numbers to zero.
pub(super) fn is_scale(scale: f32, limit: f32) -> bool {
    scale.to_bits() == 0 || (scale.is_normal() && scale.is_sign_positive() && (scale * limit).is_finite())
}

/// To the nearest whole number, halves away from zero. `value` is within the range of an `i32`.
pub(super) fn nearest(value: f32) -> i32 {
    let whole = value as i32;
    let fraction = value - whole as f32;
    whole + i32::from(fraction >= 0.5) - i32::from(fraction <= -0.5)
}

/// The largest size of some values.
pub(super) fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()))
}
