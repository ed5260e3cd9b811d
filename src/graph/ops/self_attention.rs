//! Attention of each example to itself, with the linear layers of queries, keys and values.

#[cfg(feature = "candle")]
use super::super::Gpu;
use super::super::{Graph, Host, LayerId, Output, Var};
use super::{attention, linear};
use crate::kernels::{self, Heads, Segments, Wanted};

/// What [`Graph::self_attention`] is made of.
pub trait Kernels: attention::Kernels + linear::Kernels {
    /// Records the operation: without a kernel of the backend's own, those that it consists of.
    ///
    /// # Errors
    /// If the task lacks a layer.
    fn self_attention<'a>(
        graph: &mut Graph<'a, Self>,
        x: &Var<Self>,
        layers: [LayerId; 3],
        heads: Heads,
        segments: &Segments,
    ) -> Output<Self>
    where
        Self: 'a,
    {
        let [q, k, v] = layers;
        let (q, k, v) = (graph.linear(x, q)?, graph.linear(x, k)?, graph.linear(x, v)?);
        graph.attention(q, k, v, heads, segments)
    }
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// Attention of each example to itself: of what `layers` make of `x`, queries, keys and values in this order.
    ///
    /// # Errors
    /// If the task lacks a layer.
    pub fn self_attention(&mut self, x: &Var<B>, layers: [LayerId; 3], heads: Heads, segments: &Segments) -> Output<B> {
        B::self_attention(self, x, layers, heads, segments)
    }
}

/// Some examples at a time, whose queries, keys and values the backward pass forms again.
impl Kernels for Host<'_> {
    fn self_attention<'a>(
        graph: &mut Graph<'a, Self>,
        x: &Var<Self>,
        layers: [LayerId; 3],
        heads: Heads,
        segments: &Segments,
    ) -> Output<Self>
    where
        Self: 'a,
    {
        let host = graph.backend;
        let [q, k, v] = layers.map(|layer| host.linear(layer));
        let (q, k, v) = (q?, k?, v?);
        let out = kernels::self_attention(host.workspace, &x.value, [q.get(), k.get(), v.get()], heads, segments);
        let (node, wanted) = (x.node, layers.map(|layer| graph.wants(layer)));
        if node.is_none() && wanted == [false; 3] {
            return Ok(graph.plain("self_attention", &layers, out));
        }
        let (saved, segments) = (x.save(), segments.clone());
        Ok(graph.record("self_attention", &layers, out, move |dy, back| {
            let [q, k, v] = layers.map(|layer| host.linear(layer));
            let (q, k, v) = (q?, k?, v?);
            let linears = [q.get(), k.get(), v.get()];
            let wanted = Wanted { layers: wanted, input: node.is_some(), onto: node.and_then(|node| back.take(node)) };
            let grads = host.recall(&saved, |x| {
                kernels::self_attention_grad(host.workspace, &dy, x, linears, (heads, &segments), wanted)
            })?;
            back.give_layers(layers, grads, node)
        }))
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {}
