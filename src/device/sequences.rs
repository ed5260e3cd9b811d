//! Operations on rows that belong to examples of several lengths.

use std::ops::Range;

use candle_core::Tensor;

use super::DeviceEval;
use super::kernels::{self, Division, join_heads, split_heads};
use super::ops::Rows;
use crate::kernels::{Heads, Segments};

/// Queries, keys and values of one attention, divided by example and head.
pub(super) struct Divided {
    pub(super) division: Division,
    pub(super) q: Tensor,
    pub(super) k: Tensor,
    pub(super) v: Tensor,
}

impl Divided {
    /// What the product of a query and a key is multiplied by.
    pub(super) fn scale(&self) -> f32 {
        1.0 / (self.division.each as f32).sqrt()
    }

    /// softmax(q kᵀ / √d): `[examples, heads, longest, longest]`.
    pub(super) fn weights(&self) -> candle_core::Result<Tensor> {
        kernels::softmax(&self.q.matmul(&self.k.t()?)?, &self.division.starts, self.scale())
    }
}

impl DeviceEval<'_> {
    /// One row before those of each example.
    pub(super) fn prepended(&self, x: Tensor, row: &Tensor, segments: &Segments) -> candle_core::Result<Tensor> {
        let (rows, cols) = x.dims2()?;
        let mut order = Vec::with_capacity(rows + segments.len());
        for range in segments.ranges() {
            order.push(rows as u32);
            order.extend(range.map(|row| row as u32));
        }
        let all = Tensor::cat(&[&x, &row.reshape((1, cols))?], 0)?;
        all.index_select(&self.task.base().send_rows(&order)?, 0)
    }

    /// The numbers of row `at` of each example.
    pub(super) fn numbers_at(&self, segments: &Segments, at: usize) -> candle_core::Result<Tensor> {
        let numbers: Vec<u32> = segments.ranges().map(|range| (range.start + at) as u32).collect();
        self.task.base().send_rows(&numbers)
    }

    /// The rows of each example, filled up with its first to the length of the longest, `[examples, longest, features]`;
    /// and their numbers, `[examples, longest]`.
    pub(super) fn side_by_side(&self, x: &Tensor, segments: &Segments) -> candle_core::Result<(Tensor, Tensor)> {
        let longest = segments.ranges().map(|range| range.len()).max().unwrap_or(0);
        let row = |range: Range<usize>, at| if at < range.len() { range.start + at } else { range.start };
        let numbers: Vec<u32> =
            segments.ranges().flat_map(|range| (0..longest).map(move |at| row(range.clone(), at) as u32)).collect();
        let numbers = self.task.base().send_rows(&numbers)?;
        let rows = x.index_select(&numbers, 0)?.reshape((segments.len(), longest, x.dim(1)?))?;
        Ok((rows, numbers.reshape((segments.len(), longest))?))
    }

    /// softmax(q kᵀ / √d) v within each example, for each head; and what it was divided into.
    pub(super) fn attended(
        &mut self,
        [q, k, v]: [Rows; 3],
        heads: Heads,
        segments: &Segments,
    ) -> candle_core::Result<(Tensor, Divided)> {
        let (rows, cols) = q.rows.dims2()?;
        let longest = segments.ranges().map(|range| range.len()).max().unwrap_or(0);
        let (starts, each) = (self.starts(segments, rows)?, cols / heads.count);
        let division = Division { starts, rows, longest, heads: heads.count, each };
        let [q, k, v] = [q, k, v].map(|x| split_heads(&x.rows, x.bias.as_ref(), &division));
        let divided = Divided { division, q: q?, k: k?, v: v? };
        let joined = join_heads(&divided.weights()?.matmul(&divided.v)?, &divided.division)?;
        Ok((joined, divided))
    }
}
