//! What kernels work with: a pool of reusable buffers, and a number of threads.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use super::pool::Pool;
use super::tensor::{Pooled, Tensor};
use super::usage::{Purpose, Usage};

/// What kernels work with: a pool of buffers and a number of threads. Clones share the pool.
///
/// A dropped [`Tensor`] returns its buffer, so that repeated passes over a network touch the same
/// pages instead of faulting in fresh ones.
///
/// In a dry workspace buffers have no memory and kernels compute nothing: they take and drop their buffers as they always do,
/// and the workspace counts what that comes to.
#[derive(Clone, Debug)]
pub struct Workspace {
    pool: Arc<Pool>,
    threads: usize,
}

impl Workspace {
    /// A workspace whose kernels use up to `threads` threads of rayon's pool; at least one.
    pub fn new(threads: usize) -> Self {
        Self { pool: Arc::default(), threads: threads.max(1) }
    }

    /// A dry workspace for as many threads.
    pub fn dry(threads: usize) -> Self {
        Self { pool: Arc::new(Pool::dry()), threads: threads.max(1) }
    }

    /// Whether nothing is computed, and only buffers are counted.
    pub fn is_dry(&self) -> bool {
        self.pool.is_dry()
    }

    /// Counts what the caller holds beside the pool from now on, in a dry workspace.
    pub fn set_beside(&self, bytes: usize) {
        self.pool.trace(|trace| trace.set_beside(bytes));
    }

    /// What a dry workspace has held at its highest.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        self.pool.trace(|trace| usage = trace.peak());
        usage
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
        let (data, buffer) = self.pool.take(rows * cols);
        let pooled = Pooled { pool: self.pool.clone(), buffer, purpose: AtomicU8::new(Purpose::Scratch as u8) };
        Tensor::pooled(data, rows, cols, pooled)
    }

    /// A tensor `[rows, cols]` of zeros.
    pub fn zeros(&self, rows: usize, cols: usize) -> Tensor {
        let mut tensor = self.tensor(rows, cols);
        tensor.fill(0.0);
        tensor
    }

    /// A copy of `tensor` in a buffer of this pool.
    pub fn copy(&self, tensor: &Tensor) -> Tensor {
        let mut copy = self.tensor(tensor.rows(), tensor.cols());
        copy.copy_from_slice(tensor);
        copy
    }

    /// Bytes of all buffers of the pool: those in use and the free ones it keeps.
    pub fn held_bytes(&self) -> usize {
        size_of::<f32>() * self.pool.held()
    }

    /// The most that [`Workspace::held_bytes`] has been since it was last released.
    pub fn peak_bytes(&self) -> usize {
        size_of::<f32>() * self.pool.peak()
    }

    /// Frees the buffers that are not in use, for a phase whose buffers have other lengths, and begins
    /// [`Workspace::peak_bytes`] anew.
    pub fn release(&self) {
        self.pool.release();
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
    fn a_dry_workspace_counts_what_another_holds() {
        let (wet, dry) = (Workspace::new(1), Workspace::dry(1));
        let work = |workspace: &Workspace| {
            let first = workspace.zeros(16, 4);
            let second = workspace.copy(&first);
            second.mark(Purpose::Gradient);
            workspace.set_beside(1000);
            drop(first);
            drop(workspace.tensor(100, 1));
        };
        [&wet, &dry].into_iter().for_each(work);
        assert_eq!(wet.peak_bytes(), dry.peak_bytes());
        let Usage { pool, beside, said } = dry.usage();
        assert_eq!((pool.iter().sum::<usize>(), pool[2], beside, said), (dry.peak_bytes(), 4 * 68, 1000, 1));
        assert!(dry.is_dry() && !wet.is_dry() && dry.tensor(3, 3).is_empty());
        assert_eq!(wet.usage(), Usage::default());
    }

    #[test]
    fn lengths_that_grow_do_not_pile_up() {
        let workspace = Workspace::new(1);
        for rows in 100..1000 {
            let (first, second) = (workspace.tensor(rows, 10), workspace.tensor(rows, 10));
            drop((first, second));
        }
        let (buffers, elements) = workspace.pool.free_buffers();
        assert_eq!((buffers, workspace.held_bytes()), (2, 4 * elements));
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
