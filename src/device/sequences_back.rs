//! The way back through attention.

use super::kernels::{self, join_heads, split_heads};
use super::ops::there;
use super::tape::{DeviceTape, Traced};
use crate::kernels::{Heads, Segments};

impl DeviceTape<'_> {
    pub(super) fn record_attention(&mut self, inputs: [Traced; 3], heads: Heads, segments: &Segments) -> Traced {
        let nodes = inputs.each_ref().map(|input| input.node);
        let [q, k, v] = inputs.map(|input| input.value);
        let mut divided = None;
        let value = self.eval.run(|eval| {
            let (joined, parts) = eval.attended([there(q)?, there(k)?, there(v)?], heads, segments)?;
            divided = Some(parts);
            Ok(joined)
        });
        let flows = nodes.iter().any(Option::is_some);
        self.record(value, flows, move |dy, back| {
            // With the result there is what it came from.
            let Some(divided) = divided else { return Ok(()) };
            let (division, weights) = (&divided.division, divided.weights()?);
            let dy = split_heads(dy, None, division)?;
            let dscores = kernels::softmax_grad(&weights, &dy.matmul(&divided.v.t()?)?, divided.scale())?;
            let [to_q, to_k, to_v] = nodes;
            back.flow(to_q, join_heads(&dscores.matmul(&divided.k)?, division)?)?;
            back.flow(to_k, join_heads(&dscores.t()?.matmul(&divided.q)?, division)?)?;
            back.flow(to_v, join_heads(&weights.t()?.matmul(&dy)?, division)?)
        })
    }
}
