//! Truncated singular value decomposition of a delta.

use faer::MatRef;

use super::kind::Rank;

/// The rank, and the factors of a matrix of `rows`: `U S^½` of `[rows, rank]`, then `S^½ Vᵀ` of `[rank, width]`. None
/// where the decomposition does not converge.
pub(super) fn factors(values: &[f32], rows: usize, rank: Rank) -> Option<(u32, Vec<f32>)> {
    let width = values.len() / rows;
    let matrix = MatRef::from_row_major_slice(values, rows, width);
    let svd = matrix.thin_svd().ok()?;
    let sizes: Vec<f32> = svd.S().column_vector().iter().copied().collect();
    let rank = match rank {
        Rank::Of(rank) => (rank as usize).min(sizes.len()),
        Rank::Energy(share) => {
            let energy = |sizes: &[f32]| sizes.iter().map(|&size| f64::from(size).powi(2)).sum::<f64>();
            let wanted = energy(&sizes) * f64::from(share);
            (1..sizes.len()).find(|&rank| energy(&sizes[..rank]) >= wanted).unwrap_or(sizes.len())
        }
    };
    let roots: Vec<f32> = sizes[..rank].iter().map(|size| size.sqrt()).collect();
    let mut factors = Vec::with_capacity(rank * (rows + width));
    for row in 0..rows {
        factors.extend((0..rank).map(|k| svd.U()[(row, k)] * roots[k]));
    }
    for (k, root) in roots.iter().enumerate() {
        factors.extend((0..width).map(|column| svd.V()[(column, k)] * root));
    }
    Some((rank as u32, factors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_of_what_has_a_rank_multiply_to_it() {
        let (rows, width) = (7, 12);
        let value = |row: usize, column: usize| {
            (row as f32 * 0.7).sin() * (column as f32 * 0.3).cos() + 0.1 * (row * 5 % 7) as f32 * (column % 3) as f32
        };
        let values: Vec<f32> = (0..rows * width).map(|at| value(at / width, at % width)).collect();
        for wanted in [Rank::Of(2), Rank::Energy(0.999_999)] {
            let (rank, factors) = factors(&values, rows, wanted).unwrap();
            assert_eq!(rank, 2);
            let (left, right) = factors.split_at(rows * 2);
            for (at, value) in values.iter().enumerate() {
                let (row, column) = (at / width, at % width);
                let sum: f32 = (0..2).map(|k| left[row * 2 + k] * right[k * width + column]).sum();
                assert!((sum - value).abs() < 1e-5, "{at}: {sum} {value}");
            }
        }
        assert_eq!(factors(&values, rows, Rank::Of(50)).unwrap().0, 7);
        assert_eq!(factors(&values, rows, Rank::Energy(0.3)).unwrap().0, 1);
    }
}
