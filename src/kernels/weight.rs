//! A weight as kernels read it.

use super::Tensor;

/// The values of a weight, row-major, in an order and a number of rows that the kernel knows by its other arguments.
#[derive(Clone, Copy, Debug)]
pub struct Weight<'a> {
    elements: usize,
    values: &'a [f32],
}

impl<'a> Weight<'a> {
    /// f32 values.
    pub const fn f32(values: &'a [f32]) -> Self {
        Self { elements: values.len(), values }
    }

    /// A weight of which only the size is known: for a dry [`Workspace`](super::Workspace).
    pub fn absent(elements: usize) -> Self {
        Self { elements, values: &[] }
    }

    /// Number of values.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Rows of a matrix of `cols` columns.
    ///
    /// # Panics
    /// If there are not so many values.
    pub(super) fn rows(&self, cols: usize) -> usize {
        let rows = self.elements / cols.max(1);
        assert_eq!(self.elements, rows * cols, "weight of {cols} columns");
        rows
    }

    /// The values, of which there are none in a dry workspace.
    pub(super) fn floats(&self) -> &'a [f32] {
        self.values
    }
}

impl<'a> From<&'a [f32]> for Weight<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::f32(values)
    }
}

/// The values of a tensor, also where they are not there.
impl<'a> From<&'a Tensor> for Weight<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Self { elements: tensor.elements(), values: tensor }
    }
}

impl<'a> From<&'a Vec<f32>> for Weight<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        values.as_slice().into()
    }
}
