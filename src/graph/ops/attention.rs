//! Multi-head attention (Vaswani et al. 2017) within each example of a packed batch.

use std::rc::Rc;

#[cfg(feature = "candle")]
use super::super::{Gpu, Rows};
use super::super::{Graph, Host, Output, Result, Tensors, Var};
#[cfg(feature = "candle")]
use crate::gpu::{self, Division, join_heads, split_heads};
use crate::kernels::{self, Heads, Purpose, Segments, Tensor};

/// Kernels of [`Graph::attention`].
pub trait Kernels: Tensors {
    /// What the backward pass needs of the forward pass.
    type Attended: 'static;

    /// softmax(q kᵀ / √d) v within each example, for each head; and what the backward pass needs.
    fn attention(
        &self,
        qkv: [Rc<Self::Tensor>; 3],
        heads: Heads,
        segments: &Segments,
    ) -> Result<(Self::Tensor, Self::Attended), Self>;

    /// The gradients of queries, keys and values.
    fn attention_grad(
        &self,
        dy: &Self::Tensor,
        saved: &Self::Attended,
        heads: Heads,
        segments: &Segments,
    ) -> Result<[Self::Tensor; 3], Self>;
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// softmax(q kᵀ / √d) v within each example, for each head: queries, keys, values and the result `[rows, features]`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn attention(&mut self, q: Var<B>, k: Var<B>, v: Var<B>, heads: Heads, segments: &Segments) -> Output<B> {
        let nodes = [q.node, k.node, v.node];
        let (out, saved) = self.backend.attention([q.value, k.value, v.value], heads, segments)?;
        if nodes.iter().all(Option::is_none) {
            return Ok(self.plain("attention", &[], out));
        }
        let segments = segments.clone();
        Ok(self.record("attention", &[], out, move |dy, back| {
            let grads = back.backend.attention_grad(&dy, &saved, heads, &segments)?;
            for (node, grad) in nodes.into_iter().zip(grads) {
                if let Some(node) = node {
                    back.flow(node, grad)?;
                }
            }
            Ok(())
        }))
    }
}

impl Kernels for Host<'_> {
    type Attended = [Rc<Tensor>; 3];

    fn attention(
        &self,
        qkv: [Rc<Tensor>; 3],
        heads: Heads,
        segments: &Segments,
    ) -> Result<(Tensor, [Rc<Tensor>; 3]), Self> {
        let [q, k, v] = &qkv;
        let out = kernels::attention(self.workspace, q, k, v, heads, segments);
        qkv.iter().for_each(|saved| saved.mark(Purpose::Activation));
        Ok((out, qkv))
    }

    fn attention_grad(
        &self,
        dy: &Tensor,
        [q, k, v]: &[Rc<Tensor>; 3],
        heads: Heads,
        segments: &Segments,
    ) -> Result<[Tensor; 3], Self> {
        Ok(kernels::attention_grad(self.workspace, dy, [q, k, v], heads, segments))
    }
}

/// Queries, keys and values of one attention, divided by example and head.
#[cfg(feature = "candle")]
pub struct Divided {
    division: Division,
    q: candle_core::Tensor,
    k: candle_core::Tensor,
    v: candle_core::Tensor,
}

#[cfg(feature = "candle")]
impl Divided {
    /// What the product of a query and a key is multiplied by.
    fn scale(&self) -> f32 {
        1.0 / (self.division.each as f32).sqrt()
    }

    /// softmax(q kᵀ / √d): `[examples, heads, longest, longest]`.
    fn weights(&self) -> candle_core::Result<candle_core::Tensor> {
        gpu::softmax(&self.q.matmul(&self.k.t()?)?, &self.division.starts, self.scale())
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {
    type Attended = Divided;

    fn attention(&self, qkv: [Rc<Rows>; 3], heads: Heads, segments: &Segments) -> Result<(Rows, Divided), Self> {
        let [rows, cols] = Self::dims(&qkv[0]);
        let longest = segments.ranges().map(|range| range.len()).max().unwrap_or(0);
        let (starts, each) = (self.starts(segments, rows)?, cols / heads.count);
        let division = Division { starts, rows, longest, heads: heads.count, each };
        let [q, k, v] = qkv.map(|x| split_heads(&x.rows, x.bias.as_ref(), &division));
        let divided = Divided { division, q: q?, k: k?, v: v? };
        let joined = join_heads(&divided.weights()?.matmul(&divided.v)?, &divided.division)?;
        Ok((joined.into(), divided))
    }

    fn attention_grad(&self, dy: &Rows, saved: &Divided, _: Heads, _: &Segments) -> Result<[Rows; 3], Self> {
        let (division, weights) = (&saved.division, saved.weights()?);
        let dy = split_heads(&dy.rows, None, division)?;
        let dscores = gpu::softmax_grad(&weights, &dy.matmul(&saved.v.t()?)?, saved.scale())?;
        let q = join_heads(&dscores.matmul(&saved.k)?, division)?;
        let k = join_heads(&dscores.t()?.matmul(&saved.q)?, division)?;
        Ok([q.into(), k.into(), join_heads(&weights.t()?.matmul(&dy)?, division)?.into()])
    }
}
