//! An activation or gradient: `[rows, cols]`, row-major f32.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

use super::math::vectorized;
use super::pool::Pool;
use super::usage::Purpose;

/// A matrix `[rows, cols]` of f32, row-major. Its values are its slice, which is empty in a dry [`Workspace`](super::Workspace).
#[derive(Debug)]
pub struct Tensor {
    /// At least `length` long.
    data: Vec<f32>,
    /// Values that are there: all, or none in a dry workspace.
    length: usize,
    rows: usize,
    cols: usize,
    pool: Option<Pooled>,
}

/// Where a buffer comes from, and is given back to.
#[derive(Debug)]
pub(super) struct Pooled {
    pub(super) pool: Arc<Pool>,
    /// Elements of the whole buffer.
    pub(super) buffer: usize,
    /// What it is used for, as a number.
    pub(super) purpose: AtomicU8,
}

impl Tensor {
    /// A tensor of these values.
    ///
    /// # Panics
    /// If there are not `rows * cols` of them.
    pub fn from_vec(data: Vec<f32>, rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "values of a tensor [{rows}, {cols}]");
        Self { length: data.len(), data, rows, cols, pool: None }
    }

    /// A tensor whose values are the first of a buffer, if that has any.
    pub(super) fn pooled(data: Vec<f32>, rows: usize, cols: usize, pool: Pooled) -> Self {
        Self { length: data.len().min(rows * cols), data, rows, cols, pool: Some(pool) }
    }

    /// Number of values, also where they are not there.
    pub(super) fn elements(&self) -> usize {
        self.rows * self.cols
    }

    /// Says what it is used for from now on, where a dry workspace counts that.
    pub fn mark(&self, purpose: Purpose) {
        if let Some(pooled) = &self.pool {
            let before = pooled.purpose.swap(purpose as u8, Relaxed);
            pooled.pool.reuse(pooled.buffer, before, purpose as u8);
        }
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
        &self.data[..self.length]
    }
}

impl DerefMut for Tensor {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[..self.length]
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        if let Some(Pooled { pool, buffer, purpose }) = self.pool.take() {
            pool.give(std::mem::take(&mut self.data), buffer, purpose.into_inner());
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
