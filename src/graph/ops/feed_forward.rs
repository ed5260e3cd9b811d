//! Two linear layers with GELU between them.

#[cfg(feature = "candle")]
use super::super::Gpu;
use super::super::{Graph, Host, LayerId, Output, Var};
use super::{gelu, linear};
use crate::kernels::{self, Wanted};

/// What [`Graph::feed_forward`] is made of.
pub trait Kernels: gelu::Kernels + linear::Kernels {
    /// Records the operation: without a kernel of the backend's own, those that it consists of.
    ///
    /// # Errors
    /// If the task lacks a layer.
    fn feed_forward<'a>(graph: &mut Graph<'a, Self>, x: &Var<Self>, layers: [LayerId; 2]) -> Output<Self>
    where
        Self: 'a,
    {
        let [inner, outer] = layers;
        let middle = graph.linear(x, inner)?;
        let middle = graph.gelu(middle)?;
        graph.linear(&middle, outer)
    }
}

impl<'a, B: Kernels + 'a> Graph<'a, B> {
    /// gelu(x W₁ᵀ + b₁) W₂ᵀ + b₂.
    ///
    /// # Errors
    /// If the task lacks a layer.
    pub fn feed_forward(&mut self, x: &Var<B>, layers: [LayerId; 2]) -> Output<B> {
        B::feed_forward(self, x, layers)
    }
}

/// Some rows at a time; the backward pass forms again what lies between the layers.
impl Kernels for Host<'_> {
    fn feed_forward<'a>(graph: &mut Graph<'a, Self>, x: &Var<Self>, layers: [LayerId; 2]) -> Output<Self>
    where
        Self: 'a,
    {
        let host = graph.backend;
        let [inner, outer] = layers.map(|layer| host.linear(layer));
        let (inner, outer) = (inner?, outer?);
        let out = kernels::feed_forward(host.workspace, &x.value, [inner.get(), outer.get()]);
        let (node, wanted) = (x.node, layers.map(|layer| graph.wants(layer)));
        if node.is_none() && wanted == [false; 2] {
            return Ok(graph.plain("feed_forward", &layers, out));
        }
        let saved = x.save();
        Ok(graph.record("feed_forward", &layers, out, move |dy, back| {
            let [inner, outer] = layers.map(|layer| host.linear(layer));
            let (inner, outer) = (inner?, outer?);
            let linears = [inner.get(), outer.get()];
            let wanted = Wanted { layers: wanted, input: node.is_some(), onto: node.and_then(|node| back.take(node)) };
            let grads = host.recall(&saved, |x| kernels::feed_forward_grad(host.workspace, &dy, x, linears, wanted))?;
            back.give_layers(layers, grads, node)
        }))
    }
}

#[cfg(feature = "candle")]
impl Kernels for Gpu<'_> {}
