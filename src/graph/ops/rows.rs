//! One row for each example: the mean of its rows, the highest values among them, or one of them.

use std::rc::Rc;

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, Output, Result, Tensors, Var};
#[cfg(feature = "candle")]
use crate::gpu;
use crate::kernels::{self, Segments, Tensor};

/// Kernels of [`Graph::mean_rows`], [`Graph::max_rows`] and [`Graph::rows_at`].
pub trait Kernels: Tensors {
    /// The mean of the rows of each example after its first `skip`.
    fn mean_rows(&self, x: &Self::Tensor, segments: &Segments, skip: usize) -> Result<Self::Tensor, Self>;

    /// The gradient of the input.
    fn mean_rows_grad(&self, dy: &Self::Tensor, segments: &Segments, skip: usize) -> Result<Self::Tensor, Self>;

    /// The highest value of each column among the rows of each example.
    fn max_rows(&self, x: &Self::Tensor, segments: &Segments) -> Result<Self::Tensor, Self>;

    /// The gradient of `x`: the first highest value gets it.
    fn max_rows_grad(&self, dy: &Self::Tensor, x: &Self::Tensor, segments: &Segments) -> Result<Self::Tensor, Self>;

    /// Row `at` of each example.
    fn rows_at(&self, x: &Self::Tensor, segments: &Segments, at: usize) -> Result<Self::Tensor, Self>;

    /// The gradient of the input.
    fn rows_at_grad(&self, dy: &Self::Tensor, segments: &Segments, at: usize) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// Mean of the rows of each example after its first `skip`: `[examples, features]`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn mean_rows(&mut self, x: Var<B>, segments: &Segments, skip: usize) -> Output<B> {
        let y = self.backend.mean_rows(&x.value, segments, skip)?;
        let Some(node) = x.node else { return Ok(self.plain("mean_rows", &[], y)) };
        let segments = segments.clone();
        Ok(self.record("mean_rows", &[], y, move |dy, back| {
            back.flow(node, back.backend.mean_rows_grad(&dy, &segments, skip)?)
        }))
    }

    /// Highest value of each column among the rows of each example: `[examples, features]`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn max_rows(&mut self, x: Var<B>, segments: &Segments) -> Output<B> {
        let y = self.backend.max_rows(&x.value, segments)?;
        let Some(node) = x.node else { return Ok(self.plain("max_rows", &[], y)) };
        let (saved, segments): (Rc<B::Tensor>, _) = (x.keep(), segments.clone());
        Ok(self.record("max_rows", &[], y, move |dy, back| {
            back.flow(node, back.backend.max_rows_grad(&dy, &saved, &segments)?)
        }))
    }

    /// Row `at` of each example: `[examples, features]`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn rows_at(&mut self, x: &Var<B>, segments: &Segments, at: usize) -> Output<B> {
        let y = self.backend.rows_at(&x.value, segments, at)?;
        let Some(node) = x.node else { return Ok(self.plain("rows_at", &[], y)) };
        let segments = segments.clone();
        Ok(self
            .record("rows_at", &[], y, move |dy, back| back.flow(node, back.backend.rows_at_grad(&dy, &segments, at)?)))
    }
}

impl Kernels for Host<'_> {
    fn mean_rows(&self, x: &Tensor, segments: &Segments, skip: usize) -> Result<Tensor, Self> {
        Ok(kernels::mean_rows(self.workspace, x, segments, skip))
    }

    fn mean_rows_grad(&self, dy: &Tensor, segments: &Segments, skip: usize) -> Result<Tensor, Self> {
        Ok(kernels::mean_rows_grad(self.workspace, dy, segments, skip))
    }

    fn max_rows(&self, x: &Tensor, segments: &Segments) -> Result<Tensor, Self> {
        Ok(kernels::max_rows(self.workspace, x, segments))
    }

    fn max_rows_grad(&self, dy: &Tensor, x: &Tensor, segments: &Segments) -> Result<Tensor, Self> {
        Ok(kernels::max_rows_grad(self.workspace, dy, x, segments))
    }

    fn rows_at(&self, x: &Tensor, segments: &Segments, at: usize) -> Result<Tensor, Self> {
        Ok(kernels::rows_at(self.workspace, x, segments, at))
    }

    fn rows_at_grad(&self, dy: &Tensor, segments: &Segments, at: usize) -> Result<Tensor, Self> {
        Ok(kernels::rows_at_grad(self.workspace, dy, segments, at))
    }
}

#[cfg(feature = "candle")]
impl Gpu<'_> {
    /// The numbers of row `at` of each example.
    fn numbers_at(&self, segments: &Segments, at: usize) -> Result<candle_core::Tensor, Self> {
        let numbers: Vec<u32> = segments.ranges().map(|range| (range.start + at) as u32).collect();
        Ok(self.memory.send_rows(&numbers)?)
    }

    /// The rows of each example, filled up with its first to the length of the longest, `[examples, longest, features]`;
    /// and their numbers, `[examples, longest]`.
    fn side_by_side(&self, x: &Rows, segments: &Segments) -> Result<[candle_core::Tensor; 2], Self> {
        let x = x.whole()?;
        let longest = segments.ranges().map(|range| range.len()).max().unwrap_or(0);
        let row = |range: &std::ops::Range<usize>, at| if at < range.len() { range.start + at } else { range.start };
        let of_example = |range: std::ops::Range<usize>| (0..longest).map(move |at| row(&range, at) as u32);
        let numbers: Vec<u32> = segments.ranges().flat_map(of_example).collect();
        let numbers = self.memory.send_rows(&numbers)?;
        let rows = x.index_select(&numbers, 0)?.reshape((segments.len(), longest, x.dim(1)?))?;
        Ok([rows, numbers.reshape((segments.len(), longest))?])
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn mean_rows(&self, x: &Rows, segments: &Segments, skip: usize) -> Result<Rows, Self> {
        let x = x.whole()?;
        Ok(gpu::mean_rows(&x, &self.starts(segments, x.dim(0)?)?, skip)?.into())
    }

    fn mean_rows_grad(&self, dy: &Rows, segments: &Segments, skip: usize) -> Result<Rows, Self> {
        let starts = self.starts(segments, segments.rows())?;
        Ok(gpu::mean_rows_grad(&dy.rows, &starts, skip, segments.rows())?.into())
    }

    fn max_rows(&self, x: &Rows, segments: &Segments) -> Result<Rows, Self> {
        let [rows, _] = self.side_by_side(x, segments)?;
        Ok(rows.max(1)?.into())
    }

    fn max_rows_grad(&self, dy: &Rows, x: &Rows, segments: &Segments) -> Result<Rows, Self> {
        // Which row of all each column's highest value is of.
        let [rows, numbers] = self.side_by_side(x, segments)?;
        let places = numbers.gather(&rows.argmax(1)?, 1)?;
        Ok(dy.zeros(Self::dims(x))?.scatter_add(&places, &dy.rows, 0)?.into())
    }

    fn rows_at(&self, x: &Rows, segments: &Segments, at: usize) -> Result<Rows, Self> {
        Ok(x.whole()?.index_select(&self.numbers_at(segments, at)?, 0)?.into())
    }

    fn rows_at_grad(&self, dy: &Rows, segments: &Segments, at: usize) -> Result<Rows, Self> {
        let [_, cols] = Self::dims(dy);
        let numbers = self.numbers_at(segments, at)?;
        Ok(dy.zeros([segments.rows(), cols])?.index_add(&numbers, &dy.rows, 0)?.into())
    }
}
