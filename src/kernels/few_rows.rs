//! Products of a few rows with a weight, which is read once and where it lies: to bring it into another order, as products
//! of many rows do, would take longer than the product.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::lines::store;
use super::prefetch::prefetch;
use super::{Tensor, Weight, Workspace};

/// Multiplications that are not worth a second thread.
const SMALL: usize = 1 << 20;

/// Whether a weight that was brought into another order would not be used often enough.
pub(super) fn are_few(rows: usize) -> bool {
    rows < MANY
}

/// Rows that are many.
pub(super) const MANY: usize = 33;

/// Rows of a weight that are converted together.
const CONVERTED: usize = 16;

/// Values that each thread converts in.
pub(super) fn scratch_len(inputs: usize) -> usize {
    CONVERTED * inputs
}

/// Threads that a product of so many values and outputs is worth.
pub(super) fn threads(workspace: &Workspace, values: usize, outputs: usize) -> usize {
    if values * outputs > SMALL { workspace.threads() } else { 1 }
}

/// `x [rows, inputs]` times the transpose of `weight [outputs, inputs]`: `y [rows, outputs]`. One that is to be converted is
/// in `scratch`, one for each thread.
///
/// # Panics
/// If the sizes do not agree.
pub(super) fn product(
    workspace: &Workspace,
    y: &mut [f32],
    x: &[f32],
    weight: Weight<'_>,
    inputs: usize,
    scratch: &mut [Tensor],
) {
    if y.is_empty() {
        return;
    }
    let outputs = weight.rows(inputs);
    assert_eq!(y.len() / outputs * inputs, x.len());
    let threads =
        threads(workspace, x.len(), outputs).min(if weight.is_converted() { scratch.len() } else { usize::MAX });
    // Each thread has some columns of all rows.
    let each = outputs.div_ceil(threads).next_multiple_of(COLS);
    let mut parts: Vec<(usize, Vec<&mut [f32]>)> =
        (0..outputs).step_by(each).map(|first| (first, Vec::new())).collect();
    for row in y.chunks_exact_mut(outputs) {
        parts.iter_mut().zip(row.chunks_mut(each)).for_each(|((_, part), columns)| part.push(columns));
    }
    if let Some(values) = weight.in_place() {
        let run = |(first, y): (usize, Vec<&mut [f32]>)| {
            let columns = y.first().map_or(0, |columns| columns.len());
            let weight = &values[first * inputs..][..columns * inputs];
            Arch::new().dispatch(Part { x, weight, inputs, y });
        };
        return match parts.len() {
            1 => parts.into_iter().for_each(run),
            _ => parts.into_par_iter().for_each(run),
        };
    }
    let run = |((first, mut y), scratch): ((usize, Vec<&mut [f32]>), &mut Tensor)| {
        let columns = y.first().map_or(0, |columns| columns.len());
        for at in (0..columns).step_by(CONVERTED) {
            let end = columns.min(at + CONVERTED);
            let weight = weight.read((first + at) * inputs..(first + end) * inputs, scratch);
            let y = y.iter_mut().map(|columns| &mut columns[at..end]).collect();
            Arch::new().dispatch(Part { x, weight, inputs, y });
        }
    };
    match parts.len() {
        1 => parts.into_iter().zip(scratch).for_each(run),
        _ => parts.into_par_iter().zip(scratch).for_each(run),
    }
}

/// Values of a cache line.
const LINE: usize = 16;

/// Rows of the weight that are gone through together.
const COLS: usize = 4;

/// The product with some rows of the weight.
struct Part<'a, 'y> {
    x: &'a [f32],
    weight: &'a [f32],
    inputs: usize,
    /// Of each row the columns that these are.
    y: Vec<&'y mut [f32]>,
}

impl WithSimd for Part<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The sums of a tile, a vector of each of its weights and one of a row fill the registers.
        match S::F32_LANES {
            16 | 4 => self.tiles::<S, 4>(simd),
            _ => self.tiles::<S, 2>(simd),
        }
    }
}

impl Part<'_, '_> {
    #[inline(always)]
    fn tiles<S: Simd, const ROWS: usize>(mut self, simd: S) {
        let columns = self.weight.len() / self.inputs;
        let across = Across::new(simd);
        for column in (0..columns).step_by(COLS) {
            let mut row = 0;
            while row + ROWS <= self.y.len() {
                self.ask(row..row + ROWS, column + COLS);
                self.tile::<S, ROWS>(simd, &across, row, column, columns);
                row += ROWS;
            }
            self.ask(row..self.y.len(), column + COLS);
            match self.y.len() - row {
                1 => self.tile::<S, 1>(simd, &across, row, column, columns),
                2 => self.tile::<S, 2>(simd, &across, row, column, columns),
                3 => self.tile::<S, 3>(simd, &across, row, column, columns),
                _ => {}
            }
        }
    }

    /// Asks for the rows of the weight from `column` on that are next, as much as these `rows` are of all: they are too short
    /// for the CPU to see that they follow each other.
    #[inline(always)]
    fn ask(&self, rows: std::ops::Range<usize>, column: usize) {
        let (values, all) = (COLS * self.inputs, self.y.len());
        let next = self.weight.get(column * self.inputs..).unwrap_or_default();
        for at in (values * rows.start / all..values * rows.end / all).step_by(LINE) {
            prefetch(next, at);
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        across: &Across<S>,
        row: usize,
        column: usize,
        columns: usize,
    ) {
        let inputs = self.inputs;
        let x: [&[f32]; ROWS] = std::array::from_fn(|r| &self.x[(row + r) * inputs..][..inputs]);
        let weights: [&[f32]; COLS] =
            std::array::from_fn(|c| &self.weight[(column + c).min(columns - 1) * inputs..][..inputs]);
        let count = inputs / S::F32_LANES;
        let of = |values| &S::as_simd_f32s(values).0[..count];
        let (vectors, weight_vectors) = (x.map(of), weights.map(of));
        let mut sums = [[simd.splat_f32s(0.0); COLS]; ROWS];
        for k in 0..count {
            let weights: [S::f32s; COLS] = std::array::from_fn(|c| weight_vectors[c][k]);
            for r in 0..ROWS {
                for c in 0..COLS {
                    sums[r][c] = simd.mul_add_e_f32s(vectors[r][k], weights[c], sums[r][c]);
                }
            }
        }
        let rest = count * S::F32_LANES;
        if rest < inputs {
            let mut ends = [simd.splat_f32s(0.0); COLS];
            for c in 0..COLS {
                ends[c] = simd.partial_load_f32s(&weights[c][rest..]);
            }
            for r in 0..ROWS {
                let x = simd.partial_load_f32s(&x[r][rest..]);
                for c in 0..COLS {
                    sums[r][c] = simd.mul_add_e_f32s(x, ends[c], sums[r][c]);
                }
            }
        }
        for (sums, y) in across.sums(simd, sums).iter().zip(&mut self.y[row..]) {
            let y = &mut y[column..];
            match y.first_chunk_mut() {
                Some(whole) => *whole = *sums,
                None => y.iter_mut().zip(sums).for_each(|(y, sum)| *y = *sum),
            }
        }
    }
}

/// Sums across the lanes of many vectors at once: halves of two are added into one, and so on.
struct Across<S: Simd> {
    /// For halves, quarters and so on of a vector: the lanes of the first of two.
    firsts: [S::m32s; 4],
}

impl<S: Simd> Across<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let half = simd.splat_f32s(0.5);
        let mut firsts = [simd.less_than_f32s(half, half); 4];
        for (stage, mask) in firsts.iter_mut().enumerate() {
            let reach = (S::F32_LANES >> (stage + 1)).max(1);
            let lanes: [f32; 16] = std::array::from_fn(|lane| if lane & reach == 0 { 0.0 } else { 1.0 });
            *mask = simd.less_than_f32s(simd.partial_load_f32s(&lanes[..S::F32_LANES.min(16)]), half);
        }
        Self { firsts }
    }

    /// The sum of the lanes of each vector.
    #[inline(always)]
    fn sums<const ROWS: usize>(&self, simd: S, vectors: [[S::f32s; COLS]; ROWS]) -> [[f32; COLS]; ROWS] {
        let mut out = [[0.0; COLS]; ROWS];
        let flat = out.as_flattened_mut();
        let all = vectors.as_flattened();
        match (S::F32_LANES, all.len()) {
            (16, 16) => {
                let halves = self.halves::<8>(simd, all, 0);
                let quarters = self.halves::<4>(simd, &halves, 1);
                let eighths = self.halves::<2>(simd, &quarters, 2);
                store(simd, flat, self.halves::<1>(simd, &eighths, 3)[0]);
            }
            (8, 8) => {
                let halves = self.halves::<4>(simd, all, 0);
                let quarters = self.halves::<2>(simd, &halves, 1);
                store(simd, flat, self.halves::<1>(simd, &quarters, 2)[0]);
            }
            (4, _) => {
                for (out, row) in flat.chunks_exact_mut(4).zip(all.chunks_exact(4)) {
                    let halves = self.halves::<2>(simd, row, 0);
                    store(simd, out, self.halves::<1>(simd, &halves, 1)[0]);
                }
            }
            _ => flat.iter_mut().zip(all).for_each(|(out, vector)| *out = simd.reduce_sum_f32s(*vector)),
        }
        out
    }

    /// Vectors by twos: of each the lanes at a distance, which the stage has, added; those of the first where the stage has
    /// its lanes, and else those of the second.
    #[inline(always)]
    fn halves<const COUNT: usize>(&self, simd: S, vectors: &[S::f32s], stage: usize) -> [S::f32s; COUNT] {
        let (mask, reach) = (self.firsts[stage], S::F32_LANES >> (stage + 1));
        let mut out = [simd.splat_f32s(0.0); COUNT];
        for at in 0..COUNT {
            let (first, second) = (vectors[at], vectors[at + COUNT]);
            let (left, right) = (simd.rotate_left_f32s(first, reach), simd.rotate_right_f32s(second, reach));
            out[at] = simd.add_f32s(simd.select_f32s(mask, first, second), simd.select_f32s(mask, left, right));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [[usize; 3]; 9] = [
        [0, 4, 3],
        [1, 1, 1],
        [1, 17, 3],
        [2, 16, 4],
        [3, 33, 5],
        [5, 40, 7],
        [9, 384, 50],
        [16, 100, 1201],
        [32, 64, 300],
    ];

    /// Fails where `product(y, x, weight, inputs)` does not write the sums of products.
    fn check(case: &str, product: impl Fn(&mut [f32], &[f32], &[f32], usize)) {
        let value = |at: usize| ((at * 37 + 11) % 101) as f32 / 50.0 - 1.0;
        for [rows, inputs, outputs] in SIZES {
            let x: Vec<f32> = (0..rows * inputs).map(value).collect();
            let weight: Vec<f32> = (0..outputs * inputs).map(|at| value(at + 5)).collect();
            let mut y = vec![f32::NAN; rows * outputs];
            product(&mut y, &x, &weight, inputs);
            for (at, found) in y.iter().enumerate() {
                let pairs = x[at / outputs * inputs..][..inputs].iter().zip(&weight[at % outputs * inputs..]);
                let expected: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                let off = (f64::from(*found) - expected).abs();
                assert!(
                    off < 1e-5 * inputs as f64,
                    "{case}, {rows} x {inputs} x {outputs}, at {at}: {found}, {expected}"
                );
            }
        }
    }

    #[test]
    fn sums_are_those_of_a_plain_product() {
        for threads in [1, 3] {
            let workspace = Workspace::new(threads);
            check(&format!("{threads} threads"), |y, x, weight, inputs| {
                product(&workspace, y, x, weight.into(), inputs, &mut []);
            });
            check(&format!("{threads} threads, converted"), |y, x, weight, inputs| {
                let bytes: Vec<u8> = weight.iter().flat_map(|value| value.to_le_bytes()).collect();
                let mut scratch = [(); 3].map(|()| workspace.tensor(1, scratch_len(inputs)));
                product(&workspace, y, x, Weight::f32_bytes(&bytes), inputs, &mut scratch);
            });
        }
    }

    #[test]
    fn so_they_are_with_other_vector_instructions() {
        fn by<S: Simd>(simd: S, y: &mut [f32], x: &[f32], weight: &[f32], inputs: usize) {
            let y: Vec<&mut [f32]> = y.chunks_exact_mut(weight.len() / inputs).collect();
            if !y.is_empty() {
                simd.vectorize(Part { x, weight, inputs, y });
            }
        }
        check("scalar", |y, x, weight, inputs| by(pulp::Scalar::new(), y, x, weight, inputs));
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            check("of 256 bits", |y, x, weight, inputs| by(simd, y, x, weight, inputs));
        }
    }
}
