//! Rows of a table of positions that is read at another resolution.

use std::rc::Rc;
use std::sync::Arc;

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, LayerId, Output, Result, Tensors, Var};
use crate::kernels::{self, Interpolation, Tensor};

/// Kernels of [`Graph::gather_interpolated`].
pub trait Kernels: Tensors {
    /// Rows `indices` of the interpolated table, added to `onto`.
    fn gather_interpolated(
        &self,
        layer: LayerId,
        map: &Interpolation,
        indices: &[u32],
        onto: Rc<Self::Tensor>,
    ) -> Result<Self::Tensor, Self>;

    /// The gradient of the table.
    fn gather_interpolated_grad(
        &self,
        dy: &Self::Tensor,
        layer: LayerId,
        map: &Interpolation,
        indices: &[u32],
    ) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// Rows `indices` of the table `layer` after it was interpolated as `map` says, added to `onto`.
    ///
    /// # Errors
    /// If the task lacks the layer.
    pub fn gather_interpolated(
        &mut self,
        layer: LayerId,
        map: &Arc<Interpolation>,
        indices: &[u32],
        onto: Var<B>,
    ) -> Output<B> {
        let node = onto.node;
        let out = self.backend.gather_interpolated(layer, map, indices, onto.value)?;
        let saved = self.wants(layer).then(|| (map.clone(), indices.to_vec()));
        if saved.is_none() && node.is_none() {
            return Ok(self.plain("gather_interpolated", &[], out));
        }
        Ok(self.record("gather_interpolated", &[], out, move |dy, back| {
            if let Some((map, indices)) = saved {
                back.give(layer, back.backend.gather_interpolated_grad(&dy, layer, &map, &indices)?, None)?;
            }
            node.map_or(Ok(()), |node| back.flow(node, dy))
        }))
    }
}

impl Kernels for Host<'_> {
    fn gather_interpolated(
        &self,
        layer: LayerId,
        map: &Interpolation,
        indices: &[u32],
        onto: Rc<Tensor>,
    ) -> Result<Tensor, Self> {
        let (onto, table) = (self.owned(onto), self.weight(layer)?);
        let features = onto.cols();
        let rows = kernels::interpolate(self.workspace, table.get(), features, map);
        Ok(kernels::gather(self.workspace, (&rows).into(), features, indices, Some(onto)))
    }

    fn gather_interpolated_grad(
        &self,
        dy: &Tensor,
        layer: LayerId,
        map: &Interpolation,
        indices: &[u32],
    ) -> Result<Tensor, Self> {
        let mut rows = self.workspace.zeros(map.rows(), dy.cols());
        kernels::scatter_add(dy, indices, &mut rows);
        let mut table = self.workspace.zeros(1, self.weights.weight(layer)?.elements());
        kernels::interpolate_grad(&rows, map, &mut table);
        Ok(table)
    }
}

#[cfg(feature = "candle")]
impl Gpu<'_> {
    /// An interpolation of a table as a matrix: what it makes of the unit vectors.
    fn matrix(&self, layer: LayerId, map: &Interpolation) -> Result<candle_core::Tensor, Self> {
        let [entries, _] = self.table(layer);
        let mut unit = vec![0.0; entries * entries];
        unit.iter_mut().step_by(entries + 1).for_each(|value| *value = 1.0);
        let matrix = kernels::interpolate(self.workspace, (&unit).into(), entries, map);
        Ok(self.memory.send(&matrix, &[map.rows(), entries])?)
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn gather_interpolated(
        &self,
        layer: LayerId,
        map: &Interpolation,
        indices: &[u32],
        onto: Rc<Rows>,
    ) -> Result<Rows, Self> {
        let table = self.weight(layer)?.reshape(self.table(layer).as_slice())?;
        let rows = self.matrix(layer, map)?.matmul(&table)?;
        let rows = rows.index_select(&self.memory.send_rows(indices)?, 0)?;
        Ok((onto.whole()? + rows)?.into())
    }

    fn gather_interpolated_grad(
        &self,
        dy: &Rows,
        layer: LayerId,
        map: &Interpolation,
        indices: &[u32],
    ) -> Result<Rows, Self> {
        let [_, features] = Self::dims(dy);
        let rows = dy.zeros([map.rows(), features])?.index_add(&self.memory.send_rows(indices)?, &dy.rows, 0)?;
        Ok(self.matrix(layer, map)?.t()?.matmul(&rows)?.into())
    }
}
