//! What operations are generic over.

use std::rc::Rc;

use super::{Error, LayerId, Layout};
use crate::kernels::{self, Purpose, Workspace};

/// What comes of an operation, or why a backend could not compute it.
pub type Result<T, B> = std::result::Result<T, <B as Tensors>::Error>;

/// Tensors in one kind of memory, with the weights of one task, and what all operations need of them. The kernels of an
/// operation stand in a trait beside it.
pub trait Tensors: Sized {
    /// An activation or a gradient, `[rows, cols]`.
    type Tensor;

    /// What an activation can be formed from again, and is kept for another reason.
    type Recipe: Clone;

    /// Why it fails.
    type Error: From<Error>;

    /// The layers whose weights it has.
    fn layout(&self) -> &Layout;

    /// Buffers and threads of the host, to make inputs ready with.
    fn workspace(&self) -> &Workspace;

    /// Whether the task has a bias in this layer.
    fn has_bias(&self, layer: LayerId) -> bool;

    /// Rows and columns.
    fn dims(tensor: &Self::Tensor) -> [usize; 2];

    /// Says what a tensor is used for from now on, where that is counted.
    fn mark(tensor: &Self::Tensor, purpose: Purpose) {
        let _ = (tensor, purpose);
    }

    /// A tensor that is saved for the backward pass.
    fn keep(tensor: &Rc<Self::Tensor>) -> Rc<Self::Tensor> {
        Self::mark(tensor, Purpose::Activation);
        tensor.clone()
    }

    /// Brings values to its memory.
    ///
    /// # Errors
    /// If that is full.
    fn send(&self, values: kernels::Tensor) -> Result<Self::Tensor, Self>;

    /// The same values once more.
    ///
    /// # Errors
    /// If the memory is full.
    fn copy(&self, tensor: &Self::Tensor) -> Result<Self::Tensor, Self>;

    /// The sum of two gradients of one shape.
    ///
    /// # Errors
    /// If the memory is full.
    fn sum(&self, a: Self::Tensor, b: Self::Tensor) -> Result<Self::Tensor, Self>;

    /// The sum over the rows of each column, `[1, cols]`: the gradient of a bias.
    ///
    /// # Errors
    /// If the memory is full.
    fn column_sums(&self, dy: &Self::Tensor) -> Result<Self::Tensor, Self>;
}
