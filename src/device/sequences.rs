//! Operations on rows that belong to examples of several lengths.

use candle_core::Tensor;

use super::ops::Value;
use super::{DeviceEval, kernels};
use crate::kernels::{Heads, Segments};

/// Sequences of several lengths as ones of the longest: which rows go where, and back.
#[derive(Clone)]
pub(super) struct Ragged {
    /// For each place of the padded batch its row; for padding, one after the last.
    places: Tensor,
    /// For each row its place.
    rows: Tensor,
}

/// The lengths of sequences, and how those of several are padded.
#[derive(Clone)]
pub(super) struct Padding {
    /// `[examples]`, of u32.
    lengths: Tensor,
    ragged: Option<Ragged>,
}

/// Rows divided by example and head: `[examples, heads, longest, features of a head]`.
pub(super) struct ByHead {
    count: usize,
    longest: usize,
    heads: usize,
    cols: usize,
    padding: Padding,
}

impl ByHead {
    /// What the product of a query and a key is multiplied by.
    pub(super) fn scale(&self) -> f32 {
        1.0 / ((self.cols / self.heads) as f32).sqrt()
    }

    /// Divides rows.
    pub(super) fn split(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let x = match &self.padding.ragged {
            Some(ragged) => x.pad_with_zeros(0, 0, 1)?.index_select(&ragged.places, 0)?,
            None => x.clone(),
        };
        let shape = (self.count, self.longest, self.heads, self.cols / self.heads);
        x.reshape(shape)?.transpose(1, 2)?.contiguous()
    }

    /// Rows again.
    pub(super) fn join(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let x = x.transpose(1, 2)?.contiguous()?.reshape((self.count * self.longest, self.cols))?;
        match &self.padding.ragged {
            Some(ragged) => x.index_select(&ragged.rows, 0),
            None => Ok(x),
        }
    }

    /// softmax(q kᵀ / √d): `[examples, heads, longest, longest]`.
    pub(super) fn weights(&self, q: &Tensor, k: &Tensor) -> candle_core::Result<Tensor> {
        kernels::softmax(&q.matmul(&k.t()?)?, &self.padding.lengths, self.scale())
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

    /// softmax(q kᵀ / √d) v within each example, for each head.
    pub(super) fn attended(
        &mut self,
        [q, k, v]: [Tensor; 3],
        heads: Heads,
        segments: &Segments,
    ) -> candle_core::Result<Tensor> {
        if q.dim(0)? == 0 {
            return Ok(q);
        }
        let by_head = self.by_head(q.dims2()?.into(), heads, segments)?;
        let (q, k, v) = (by_head.split(&q)?, by_head.split(&k)?, by_head.split(&v)?);
        by_head.join(&by_head.weights(&q, &k)?.matmul(&v)?)
    }

    /// How rows are divided by head, and padded where sequences are of several lengths.
    pub(super) fn by_head(
        &mut self,
        [rows, cols]: [usize; 2],
        heads: Heads,
        segments: &Segments,
    ) -> candle_core::Result<ByHead> {
        let (count, longest) = (segments.len(), segments.ranges().map(|range| range.len()).max().unwrap_or(0));
        let padding = match self.padding.take_if(|(of, _)| of == segments) {
            Some((_, padding)) => padding,
            None => self.padding_of(segments, longest)?,
        };
        self.padding = Some((segments.clone(), padding.clone()));
        debug_assert_eq!(padding.ragged.is_none(), count * longest == rows);
        Ok(ByHead { count, longest, heads: heads.count, cols, padding })
    }

    fn padding_of(&self, segments: &Segments, longest: usize) -> candle_core::Result<Padding> {
        let base = self.task.base();
        let lengths: Vec<u32> = segments.ranges().map(|range| range.len() as u32).collect();
        let lengths = base.send_rows(&lengths)?;
        if segments.len() * longest == segments.rows() {
            return Ok(Padding { lengths, ragged: None });
        }
        let (mut places, mut rows) = (Vec::new(), Vec::new());
        for range in segments.ranges() {
            let padded = longest - range.len();
            rows.extend((0..range.len()).map(|row| (places.len() + row) as u32));
            places.extend(range.map(|row| row as u32).chain(std::iter::repeat_n(segments.rows() as u32, padded)));
        }
        let ragged = Ragged { places: base.send_rows(&places)?, rows: base.send_rows(&rows)? };
        Ok(Padding { lengths, ragged: Some(ragged) })
    }

    /// The share of each row in the mean of its example, `[examples, rows]`; the first `skip` of each have none.
    pub(super) fn shares(&mut self, segments: &Segments, skip: usize) -> Value {
        let rows = segments.rows();
        let mut shares = vec![0.0; segments.len() * rows];
        for (number, range) in segments.ranges().enumerate() {
            let range = (range.start + skip).min(range.end)..range.end;
            let share = 1.0 / range.len().max(1) as f32;
            shares[number * rows..][range].fill(share);
        }
        self.run(|this| this.task.base().send(&shares, &[segments.len(), rows]))
    }
}
