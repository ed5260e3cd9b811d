//! Tables of positions on a grid, read at another resolution.

use super::{Tensor, Weight, Workspace};

/// How the rows of a table are mixed to those of another: row i is the sum of some rows with weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Interpolation {
    ends: Vec<usize>,
    terms: Vec<(usize, f32)>,
}

impl Interpolation {
    /// Bicubic interpolation (a = −0.75, pixel centres, edges repeated) of a table whose first `skip` rows stay and
    /// whose others lie on a grid of `from` lines and columns, to a grid of `to`: what PyTorch's `interpolate` does.
    pub fn bicubic(skip: usize, from: [usize; 2], to: [usize; 2]) -> Self {
        Self::separable(skip, from, to, cubic)
    }

    /// The same with antialiasing (a = −0.5, edges cut off): what PyTorch's `interpolate` does with `antialias=True`, and
    /// PIL.
    pub fn antialiased(skip: usize, from: [usize; 2], to: [usize; 2]) -> Self {
        Self::separable(skip, from, to, wide_cubic)
    }

    fn separable<L: AsRef<[(usize, f32)]>>(
        skip: usize,
        from: [usize; 2],
        to: [usize; 2],
        neighbours: fn(usize, usize, usize) -> L,
    ) -> Self {
        let mut map = Self { ends: (1..=skip).collect(), terms: (0..skip).map(|row| (row, 1.0)).collect() };
        let [lines, columns] =
            [0, 1].map(|axis| (0..to[axis]).map(|at| neighbours(at, from[axis], to[axis])).collect::<Vec<_>>());
        for line in &lines {
            for column in &columns {
                let (line, column) = (line.as_ref(), column.as_ref());
                for &(y, across) in line {
                    map.terms.extend(column.iter().map(|&(x, weight)| (skip + y * from[1] + x, across * weight)));
                }
                map.ends.push(map.terms.len());
            }
        }
        map
    }

    /// Rows of the result.
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    fn terms(&self) -> impl Iterator<Item = &[(usize, f32)]> {
        self.ends.iter().scan(0, |start, &end| Some(&self.terms[std::mem::replace(start, end)..end]))
    }
}

/// The four neighbours of position `at` of `to` among `from`, and their weights.
fn cubic(at: usize, from: usize, to: usize) -> [(usize, f32); 4] {
    const A: f32 = -0.75;
    let place = (at as f32 + 0.5) * (from as f32 / to as f32) - 0.5;
    let floor = place.floor();
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let t = place - floor;
    let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
    let neighbour = |offset: usize| ((floor as isize - 1 + offset as isize).max(0) as usize).min(from - 1);
    std::array::from_fn(|offset| (neighbour(offset), weights[offset]))
}

/// The neighbours of position `at` of `to` among `from`, more of them where `to` is the fewer, and their weights.
fn wide_cubic(at: usize, from: usize, to: usize) -> Vec<(usize, f32)> {
    const A: f64 = -0.5;
    let scale = from as f64 / to as f64;
    let (wide, centre) = (scale.max(1.0), (at as f64 + 0.5) * scale);
    let first = (centre - 2.0 * wide + 0.5).max(0.0) as usize;
    let last = ((centre + 2.0 * wide + 0.5).max(0.0) as usize).min(from);
    let weight = |place: usize| {
        let x = ((place as f64 - centre + 0.5) / wide).abs();
        match x {
            x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            x if x < 2.0 => ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A,
            _ => 0.0,
        }
    };
    let sum: f64 = (first..last).map(weight).sum();
    (first..last).map(|place| (place, (weight(place) / sum) as f32)).collect()
}

/// The rows of `table [rows, features]` mixed as `map` says: `[map.rows(), features]`.
///
/// # Panics
/// If the map is of a longer table.
pub fn interpolate(workspace: &Workspace, table: Weight<'_>, features: usize, map: &Interpolation) -> Tensor {
    let mut out = workspace.zeros(map.rows(), features);
    let mut scratch = vec![0.0; if table.is_converted() { features } else { 0 }];
    for (out, terms) in out.chunks_exact_mut(features).zip(map.terms()) {
        for &(row, weight) in terms {
            let row = table.read(row * features..(row + 1) * features, &mut scratch);
            out.iter_mut().zip(row).for_each(|(out, value)| *out += value * weight);
        }
    }
    out
}

/// Gradient of the table: adds that of the rows, `dy [map.rows(), features]`, to `table [rows, features]`.
///
/// # Panics
/// If the map is of a longer table or `dy` is of another map.
pub fn interpolate_grad(dy: &Tensor, map: &Interpolation, table: &mut [f32]) {
    assert_eq!(dy.rows(), map.rows());
    let features = dy.cols();
    for (dy, terms) in dy.chunks_exact(features).zip(map.terms()) {
        for &(row, weight) in terms {
            let row = &mut table[row * features..][..features];
            row.iter_mut().zip(dy).for_each(|(sum, value)| *sum += value * weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_grid_is_the_same_table() {
        let workspace = Workspace::new(1);
        let table: Vec<f32> = (0..14).map(|value| value as f32).collect();
        for map in [Interpolation::bicubic, Interpolation::antialiased] {
            let map = map(1, [2, 3], [2, 3]);
            assert_eq!(interpolate(&workspace, (&table).into(), 2, &map).to_vec(), table);
        }
    }

    #[test]
    fn a_flat_table_stays_flat_and_the_gradient_is_the_transpose() {
        let workspace = Workspace::new(1);
        for sizes in [[[2, 3], [5, 4]], [[5, 4], [2, 3]]] {
            for map in [Interpolation::bicubic, Interpolation::antialiased] {
                let [from, to] = sizes;
                check_transpose(&workspace, &map(2, from, to), from[0] * from[1] + 2);
            }
        }
    }

    fn check_transpose(workspace: &Workspace, map: &Interpolation, rows: usize) {
        let out = interpolate(workspace, (&vec![1.0; rows]).into(), 1, map);
        assert_eq!(out.rows(), map.rows());
        assert!(out.iter().all(|value| (value - 1.0).abs() < 1e-6));
        let mut random = 1u32;
        let mut draw = |count| -> Vec<f32> {
            let mut next = || {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 8) as f32 / (1 << 24) as f32
            };
            (0..count).map(|_| next()).collect()
        };
        let (table, dy) = (draw(rows), Tensor::from_vec(draw(map.rows()), map.rows(), 1));
        let mut grad = vec![0.0; rows];
        interpolate_grad(&dy, map, &mut grad);
        let forward = crate::kernels::dot(&interpolate(workspace, (&table).into(), 1, map), &dy);
        assert!((forward - crate::kernels::dot(&grad, &table)).abs() < 1e-5);
    }
}
