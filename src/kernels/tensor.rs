//! An activation or gradient: `[rows, cols]`, row-major f32.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::math::vectorized;
use super::pool::Pool;

/// A matrix `[rows, cols]` of f32, row-major. Its values are its slice.
#[derive(Debug)]
pub struct Tensor {
    /// At least `rows * cols` long.
    data: Vec<f32>,
    rows: usize,
    cols: usize,
    pool: Option<Arc<Pool>>,
}

impl Tensor {
    /// A tensor of these values.
    ///
    /// # Panics
    /// If there are not `rows * cols` of them.
    pub fn from_vec(data: Vec<f32>, rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "values of a tensor [{rows}, {cols}]");
        Self { data, rows, cols, pool: None }
    }

    pub(super) fn pooled(data: Vec<f32>, rows: usize, cols: usize, pool: Arc<Pool>) -> Self {
        Self { data, rows, cols, pool: Some(pool) }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `index`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self[index * self.cols..(index + 1) * self.cols]
    }
}

impl Deref for Tensor {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[..self.rows * self.cols]
    }
}

impl DerefMut for Tensor {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[..self.rows * self.cols]
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.give(std::mem::take(&mut self.data));
        }
    }
}

vectorized! {
    /// Adds `other` to `values`, element by element.
    ///
    /// # Panics
    /// If they differ in length.
    pub fn add_assign(values: &mut [f32], other: &[f32]) {
        assert_eq!(values.len(), other.len());
        for (value, add) in values.iter_mut().zip(other) {
            *value += add;
        }
    }
}

vectorized! {
    /// Sum of the products of the elements, in 16 partial sums.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        dot_row(a, b)
    }
}

/// [`dot`] within a vectorized function.
#[inline(always)]
pub(super) fn dot_row(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let mut sums = [0f32; 16];
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let mut rest = 0.0;
    for (a, b) in a_rest.iter().zip(b_rest) {
        rest += a * b;
    }
    sums.iter().sum::<f32>() + rest
}

/// Sum of the squares.
pub fn squared_norm(values: &[f32]) -> f32 {
    dot(values, values)
}
