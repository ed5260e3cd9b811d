//! Buffers that are used again, and the number of threads kernels may use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Tensor;

/// What kernels work with: a pool of buffers and a number of threads. Clones share the pool.
///
/// A dropped [`Tensor`] returns its buffer, so that repeated passes over a network touch the same
/// pages instead of faulting in fresh ones.
#[derive(Clone, Debug)]
pub struct Workspace {
    pool: Arc<Pool>,
    threads: usize,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Mutex<BTreeMap<usize, Vec<Vec<f32>>>>,
}

impl Workspace {
    /// A workspace whose kernels use up to `threads` threads of rayon's pool; at least one.
    pub fn new(threads: usize) -> Self {
        Self { pool: Arc::default(), threads: threads.max(1) }
    }

    /// Threads that kernels may use.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The same pool for kernels that are called by one of several threads.
    pub(super) fn with_one_thread(&self) -> Self {
        Self { pool: self.pool.clone(), threads: 1 }
    }

    /// A tensor `[rows, cols]` with unspecified values: those of an earlier one, or zeros.
    pub fn tensor(&self, rows: usize, cols: usize) -> Tensor {
        let data = self.pool.take(rows * cols);
        Tensor::pooled(data, rows, cols, self.pool.clone())
    }

    /// A tensor `[rows, cols]` of zeros.
    pub fn zeros(&self, rows: usize, cols: usize) -> Tensor {
        let mut tensor = self.tensor(rows, cols);
        tensor.fill(0.0);
        tensor
    }

    /// A tensor `[1, values]` of these values.
    pub fn row(&self, values: &[f32]) -> Tensor {
        let mut row = self.tensor(1, values.len());
        row.copy_from_slice(values);
        row
    }

    /// A copy of `tensor` in a buffer of this pool.
    pub fn copy(&self, tensor: &Tensor) -> Tensor {
        let mut copy = self.tensor(tensor.rows(), tensor.cols());
        copy.copy_from_slice(tensor);
        copy
    }

    /// Whether `products` multiplications are worth more than one thread.
    pub(super) fn splits(&self, products: usize) -> bool {
        const SMALL: usize = 4 << 20;
        self.threads > 1 && products > SMALL
    }

    /// How a matrix product of `products` multiplications is computed.
    pub(super) fn par(&self, products: usize) -> faer::Par {
        if self.splits(products) { faer::Par::rayon(self.threads) } else { faer::Par::Seq }
    }
}

impl Default for Workspace {
    /// A workspace with as many threads as rayon's pool.
    fn default() -> Self {
        Self::new(rayon::current_num_threads())
    }
}

impl Pool {
    /// The smallest free buffer of at least `length` elements that wastes less than half of itself.
    ///
    /// Where there is none, a somewhat smaller free one is given up for the new one: the pool never holds
    /// more buffers of about one size than were in use at one time, whatever lengths come.
    fn take(&self, length: usize) -> Vec<f32> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = free.range(length..=length.saturating_mul(2)).next().map(|(&size, _)| size);
        if let Some(buffer) = fitting.and_then(|size| pop(&mut free, size)) {
            return buffer;
        }
        let smaller = free.range(length / 2..length).next_back().map(|(&size, _)| size);
        let given_up = smaller.and_then(|size| pop(&mut free, size));
        drop(free);
        drop(given_up);
        // Some room above what is asked for, so that slightly longer ones fit later.
        vec![0.0; length + length / 16]
    }

    pub(super) fn give(&self, buffer: Vec<f32>) {
        if !buffer.is_empty() {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).entry(buffer.len()).or_default().push(buffer);
        }
    }
}

/// Takes one buffer of `size` elements.
fn pop(free: &mut BTreeMap<usize, Vec<Vec<f32>>>, size: usize) -> Option<Vec<f32>> {
    let buffers = free.get_mut(&size)?;
    let buffer = buffers.pop();
    if buffers.is_empty() {
        free.remove(&size);
    }
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let workspace = Workspace::new(1);
        let first = workspace.tensor(10, 10);
        let address = first.as_ptr();
        drop(first);
        let again = workspace.tensor(8, 8);
        assert_eq!(again.as_ptr(), address);
        assert_eq!((again.rows(), again.cols(), again.len()), (8, 8, 64));
        assert_ne!(workspace.tensor(10, 10).as_ptr(), address, "still in use");
        drop(again);
        assert_ne!(workspace.tensor(7, 7).as_ptr(), address, "too wasteful");
    }

    #[test]
    fn lengths_that_grow_do_not_pile_up() {
        let workspace = Workspace::new(1);
        for rows in 100..1000 {
            let (first, second) = (workspace.tensor(rows, 10), workspace.tensor(rows, 10));
            drop((first, second));
        }
        let held: usize = workspace.pool.free.lock().unwrap().values().map(Vec::len).sum();
        assert_eq!(held, 2);
    }
}
