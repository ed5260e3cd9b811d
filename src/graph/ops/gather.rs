//! Rows of a table: embeddings of tokens, of positions, of types.

use std::rc::Rc;

use super::super::{Error, Graph, Host, LayerId, Output, Result, Tensors, Var};
#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use crate::kernels::{self, Tensor};

/// Kernels of [`Graph::gather`].
pub trait Kernels: Tensors {
    /// Rows `indices` of the table, which has all of them, added to `onto` where given.
    fn gather(&self, layer: LayerId, indices: &[u32], onto: Option<Rc<Self::Tensor>>) -> Result<Self::Tensor, Self>;

    /// The gradient of the table.
    fn gather_grad(&self, dy: &Self::Tensor, layer: LayerId, indices: &[u32]) -> Result<Self::Tensor, Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// Rows `indices` of the table `layer`: `[indices, features]`, added to `onto` where given.
    ///
    /// # Errors
    /// If an index is outside the table.
    pub fn gather(&mut self, layer: LayerId, indices: &[u32], onto: Option<Var<B>>) -> Output<B> {
        let table = &self.backend.layout().layer(layer).weight;
        let entries = table.elements() / table.shape.last().copied().unwrap_or(1).max(1);
        if let Some(index) = indices.iter().find(|&&index| index as usize >= entries) {
            let message = format!("{}: entry {index} is outside the table of {entries}", table.name);
            return Err(Error::Input { message }.into());
        }
        let (onto, node) = onto.map_or((None, None), |onto| (Some(onto.value), onto.node));
        let out = self.backend.gather(layer, indices, onto)?;
        let indices = self.wants(layer).then(|| indices.to_vec());
        if indices.is_none() && node.is_none() {
            return Ok(self.plain("gather", &[], out));
        }
        Ok(self.record("gather", &[], out, move |dy, back| {
            if let Some(indices) = indices {
                back.give(layer, back.backend.gather_grad(&dy, layer, &indices)?, None)?;
            }
            node.map_or(Ok(()), |node| back.flow(node, dy))
        }))
    }
}

impl Kernels for Host<'_> {
    fn gather(&self, layer: LayerId, indices: &[u32], onto: Option<Rc<Tensor>>) -> Result<Tensor, Self> {
        let (table, onto) = (self.weight(layer)?, onto.map(|onto| self.owned(onto)));
        let features = self.layout().layer(layer).weight.shape.last().copied().unwrap_or(1);
        Ok(kernels::gather(self.workspace, table.get(), features, indices, onto))
    }

    fn gather_grad(&self, dy: &Tensor, layer: LayerId, indices: &[u32]) -> Result<Tensor, Self> {
        let mut table = self.workspace.zeros(1, self.weights.weight(layer)?.elements());
        kernels::scatter_add(dy, indices, &mut table);
        Ok(table)
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    fn gather(&self, layer: LayerId, indices: &[u32], onto: Option<Rc<Rows>>) -> Result<Rows, Self> {
        let (table, indices) = (self.weight(layer)?, self.memory.send_rows(indices)?);
        let rows = table.reshape(self.table(layer).as_slice())?.index_select(&indices, 0)?;
        match onto {
            Some(onto) => Ok((rows + onto.whole()?)?.into()),
            None => Ok(rows.into()),
        }
    }

    fn gather_grad(&self, dy: &Rows, layer: LayerId, indices: &[u32]) -> Result<Rows, Self> {
        let indices = self.memory.send_rows(indices)?;
        Ok(dy.zeros(self.table(layer))?.index_add(&indices, &dy.rows, 0)?.into())
    }
}
