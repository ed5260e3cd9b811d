//! Operations on rows that belong to examples of several lengths.

use candle_core::{D, Tensor};

use super::DeviceEval;
use crate::kernels::{Heads, Segments};

/// Sequences of several lengths as ones of the longest: which rows go where, and back.
pub(super) struct Ragged {
    segments: Segments,
    /// For each place of the padded batch its row; for padding, one after the last.
    places: Tensor,
    /// For each row its place.
    rows: Tensor,
    /// 0 where there is a row, and low enough to leave nothing of it in a softmax where there is none:
    /// `[examples, 1, 1, longest]`.
    mask: Tensor,
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
        inputs: [Tensor; 3],
        heads: Heads,
        segments: &Segments,
    ) -> candle_core::Result<Tensor> {
        let (rows, cols) = inputs[0].dims2()?;
        if rows == 0 {
            return Ok(inputs[0].clone());
        }
        let (count, longest) = (segments.len(), segments.ranges().map(|range| range.len()).max().unwrap_or(0));
        let is_uniform = count * longest == rows;
        if !is_uniform && self.ragged.as_ref().is_none_or(|ragged| ragged.segments != *segments) {
            self.ragged = Some(self.padding(segments, longest)?);
        }
        let ragged = self.ragged.as_ref().filter(|_| !is_uniform);
        let mut by_head = inputs.into_iter().map(|x| {
            let x = match ragged {
                Some(ragged) => x.pad_with_zeros(0, 0, 1)?.index_select(&ragged.places, 0)?,
                None => x,
            };
            x.reshape((count, longest, heads.count, cols / heads.count))?.transpose(1, 2)?.contiguous()
        });
        let mut next = || by_head.next().ok_or_else(|| candle_core::Error::Msg("three inputs".to_owned()))?;
        let (q, k, v) = (next()?, next()?, next()?);
        let scale = 1.0 / ((cols / heads.count) as f64).sqrt();
        let mut scores = (q.matmul(&k.t()?)? * scale)?;
        if let Some(ragged) = ragged {
            scores = scores.broadcast_add(&ragged.mask)?;
        }
        let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        let out = weights.matmul(&v)?.transpose(1, 2)?.contiguous()?.reshape((count * longest, cols))?;
        match ragged {
            Some(ragged) => out.index_select(&ragged.rows, 0),
            None => Ok(out),
        }
    }

    fn padding(&self, segments: &Segments, longest: usize) -> candle_core::Result<Ragged> {
        const NOTHING: f32 = -1e9;
        let (mut places, mut rows, mut mask) = (Vec::new(), Vec::new(), Vec::new());
        for range in segments.ranges() {
            let padded = longest - range.len();
            rows.extend((0..range.len()).map(|row| (places.len() + row) as u32));
            mask.extend(std::iter::repeat_n(0.0, range.len()).chain(std::iter::repeat_n(NOTHING, padded)));
            places.extend(range.map(|row| row as u32).chain(std::iter::repeat_n(segments.rows() as u32, padded)));
        }
        let base = self.task.base();
        Ok(Ragged {
            segments: segments.clone(),
            places: base.send_rows(&places)?,
            rows: base.send_rows(&rows)?,
            mask: base.send(&mask, &[segments.len(), 1, 1, longest])?,
        })
    }

    /// The mean of the rows of each example after its first `skip`.
    pub(super) fn means(&self, x: &Tensor, segments: &Segments, skip: usize) -> candle_core::Result<Tensor> {
        let rows = x.dim(0)?;
        let mut shares = vec![0.0; segments.len() * rows];
        for (number, range) in segments.ranges().enumerate() {
            let range = (range.start + skip).min(range.end)..range.end;
            let share = 1.0 / range.len().max(1) as f32;
            shares[number * rows..][range].fill(share);
        }
        self.task.base().send(&shares, &[segments.len(), rows])?.matmul(x)
    }
}
