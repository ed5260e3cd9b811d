//! The way back through attention and the highest of rows.

use super::kernels::{self, join_heads, split_heads};
use super::ops::{present, there};
use super::tape::{DeviceTape, Traced, Zeros};
use crate::kernels::{Heads, Segments};

impl DeviceTape<'_> {
    pub(super) fn record_max_rows(&mut self, x: Traced, segments: &Segments) -> Traced {
        let rows = x.rows();
        let mut places = None;
        let value = self.eval.run(|eval| {
            let (side_by_side, numbers) = eval.side_by_side(&present(x.value)?, segments)?;
            // Which row of all each column's highest value is of.
            places = Some(numbers.gather(&side_by_side.argmax(1)?, 1)?);
            side_by_side.max(1)
        });
        self.record(value, x.node.is_some(), move |dy, back| {
            // With the result there is where it came from.
            let Some(places) = places else { return Ok(()) };
            back.flow(x.node, dy.zeros_of([rows, dy.dim(1)?])?.scatter_add(&places, dy, 0)?)
        })
    }

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
