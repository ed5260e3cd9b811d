//! One row before those of each example: a class token.

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, LayerId, Output, Result, Tensors, Var};
use crate::kernels::{self, Segments, Tensor};

/// Kernels of [`Graph::prepend`].
pub trait Kernels: Tensors {
    /// The one row of the table before the rows of each example.
    fn prepend(&self, x: &Self::Tensor, layer: LayerId, segments: &Segments) -> Result<Self::Tensor, Self>;

    /// The gradients of the row and of `x`.
    fn prepend_grad(&self, dy: &Self::Tensor, segments: &Segments) -> Result<[Self::Tensor; 2], Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// The one row of the table `layer` before the rows of each example: `[rows + examples, features]`.
    ///
    /// # Errors
    /// If the task lacks the layer.
    pub fn prepend(&mut self, x: &Var<B>, layer: LayerId, segments: &Segments) -> Output<B> {
        let out = self.backend.prepend(&x.value, layer, segments)?;
        let (wanted, node) = (self.wants(layer), x.node);
        if !wanted && node.is_none() {
            return Ok(self.plain("prepend", &[], out));
        }
        let segments = segments.clone();
        Ok(self.record("prepend", &[], out, move |dy, back| {
            let [row, dx] = back.backend.prepend_grad(&dy, &segments)?;
            if wanted {
                back.give(layer, row, None)?;
            }
            node.map_or(Ok(()), |node| back.flow(node, dx))
        }))
    }
}

impl Kernels for Host<'_> {
    fn prepend(&self, x: &Tensor, layer: LayerId, segments: &Segments) -> Result<Tensor, Self> {
        Ok(kernels::prepend_row(self.workspace, x, &self.scale(layer)?, segments))
    }

    fn prepend_grad(&self, dy: &Tensor, segments: &Segments) -> Result<[Tensor; 2], Self> {
        let mut row = self.workspace.zeros(1, dy.cols());
        let dx = kernels::prepend_row_grad(self.workspace, dy, segments, &mut row);
        Ok([row, dx])
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn prepend(&self, x: &Rows, layer: LayerId, segments: &Segments) -> Result<Rows, Self> {
        let (x, row) = (x.whole()?, self.weight(layer)?);
        let (rows, cols) = x.dims2()?;
        let mut order = Vec::with_capacity(rows + segments.len());
        for range in segments.ranges() {
            order.push(rows as u32);
            order.extend(range.map(|row| row as u32));
        }
        let all = candle_core::Tensor::cat(&[&x, &row.reshape((1, cols))?], 0)?;
        Ok(all.index_select(&self.memory.send_rows(&order)?, 0)?.into())
    }

    fn prepend_grad(&self, dy: &Rows, segments: &Segments) -> Result<[Rows; 2], Self> {
        // Before an example's rows there is one row for it and one for each before it.
        let ranges = || segments.ranges().enumerate();
        let first: Vec<u32> = ranges().map(|(number, range)| (range.start + number) as u32).collect();
        let rest = ranges().flat_map(|(number, range)| range.map(move |row| (row + number + 1) as u32));
        let select = |rows: &[u32]| dy.rows.index_select(&self.memory.send_rows(rows)?, 0);
        Ok([select(&first)?.sum(0)?.into(), select(&rest.collect::<Vec<_>>())?.into()])
    }
}
