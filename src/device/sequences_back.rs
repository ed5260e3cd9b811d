//! The way back through attention.

use super::kernels;
use super::ops::present;
use super::tape::{DeviceTape, Traced};
use crate::kernels::{Heads, Segments};
use crate::runtime::Ops;

impl DeviceTape<'_> {
    pub(super) fn record_attention(&mut self, inputs: [Traced; 3], heads: Heads, segments: &Segments) -> Traced {
        let nodes = inputs.each_ref().map(|input| input.node);
        let [q, k, v] = inputs.map(|input| input.value);
        let value = self.eval.attention(q.clone(), k.clone(), v.clone(), heads, segments);
        let flows = nodes.iter().any(Option::is_some);
        // The result is there, and with it what it was divided by.
        let shape = value.as_ref().and_then(|value| value.dims2().ok()).unwrap_or_default();
        let by_head = self.eval.by_head(shape.into(), heads, segments);
        self.record(value, flows, move |dy, back| {
            let by_head = by_head?;
            let [q, k, v] = [by_head.split(&present(q)?)?, by_head.split(&present(k)?)?, by_head.split(&present(v)?)?];
            let (weights, dy) = (by_head.weights(&q, &k)?, by_head.split(dy)?);
            let dscores = kernels::softmax_grad(&weights, &dy.matmul(&v.t()?)?, by_head.scale())?;
            let [to_q, to_k, to_v] = nodes;
            back.flow(to_q, by_head.join(&dscores.matmul(&k)?)?)?;
            back.flow(to_k, by_head.join(&dscores.t()?.matmul(&q)?)?)?;
            back.flow(to_v, by_head.join(&weights.t()?.matmul(&dy)?)?)
        })
    }
}
