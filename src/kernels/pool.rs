//! Buffers that are used again, and the number of threads kernels may use.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Tensor;
use super::shelf::{Served, Shelf};

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
    free: Mutex<Shelf<Vec<f32>>>,
    /// Elements of all buffers, in use and free, and the most there have been.
    held: AtomicUsize,
    peak: AtomicUsize,
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

    /// Bytes of all buffers of the pool: those in use and the free ones it keeps.
    pub fn held_bytes(&self) -> usize {
        size_of::<f32>() * self.pool.held.load(Relaxed)
    }

    /// The most that [`Workspace::held_bytes`] has been since it was last released.
    pub fn peak_bytes(&self) -> usize {
        size_of::<f32>() * self.pool.peak.load(Relaxed)
    }

    /// Frees the buffers that are not in use, for a phase whose buffers have other lengths, and begins
    /// [`Workspace::peak_bytes`] anew.
    pub fn release(&self) {
        let free = std::mem::take(&mut *self.pool.free());
        let held = self.pool.held.fetch_sub(free.elements(), Relaxed);
        self.pool.peak.store(held - free.elements(), Relaxed);
    }

    /// Whether `products` multiplications are worth more than one thread.
    pub(crate) fn splits(&self, products: usize) -> bool {
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
    fn free(&self) -> MutexGuard<'_, Shelf<Vec<f32>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, length: usize) -> Vec<f32> {
        let served = self.free().take(length);
        match served {
            Served::Free(buffer) => buffer,
            Served::New { length, given_up } => {
                let given_up = given_up.map_or(0, |(length, _)| length);
                let before = self.held.fetch_add(length, Relaxed);
                self.held.fetch_sub(given_up, Relaxed);
                self.peak.fetch_max((before + length).saturating_sub(given_up), Relaxed);
                vec![0.0; length]
            }
        }
    }

    pub(super) fn give(&self, buffer: Vec<f32>) {
        if !buffer.is_empty() {
            self.free().give(buffer.len(), buffer);
        }
    }
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
        assert_eq!(workspace.pool.free().len(), 2);
        assert_eq!(workspace.held_bytes(), 4 * workspace.pool.free().elements());
    }

    #[test]
    fn what_is_held_is_counted() {
        let workspace = Workspace::new(1);
        let (first, second) = (workspace.tensor(16, 1), workspace.tensor(160, 1));
        assert_eq!((workspace.held_bytes(), workspace.peak_bytes()), (4 * 187, 4 * 187));
        drop(first);
        workspace.release();
        assert_eq!((workspace.held_bytes(), workspace.peak_bytes()), (4 * 170, 4 * 170));
        drop((second, workspace.tensor(160, 2)));
        workspace.release();
        assert_eq!((workspace.held_bytes(), workspace.peak_bytes()), (0, 0));
    }
}
