//! A bias added to columns and GELU of the sum, in one pass.

use candle_core::{Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads, check};
use crate::kernels::{Workspace, gelu, gelu_grad};

pub(super) static SOURCE: Source = Source::new("gelu", include_str!("gelu.metal"));

/// GELU of `x` plus `bias` in each row, one value for each column or one for all.
pub(crate) fn bias_gelu(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let host = |values: &[Vec<f32>]| {
        let [x, bias] = values else { return Vec::new() };
        let mut out: Vec<f32> = x.iter().zip(bias.iter().cycle()).map(|(x, bias)| x + bias).collect();
        gelu(&Workspace::new(1), &mut out);
        out
    };
    launch("bias_gelu", x, bias, &host)?.run(&[x, bias], x.shape(), x.dtype())
}

/// The gradient of `x`, or of the sum, from `dy`, that of the result.
pub(crate) fn bias_gelu_grad(x: &Tensor, bias: &Tensor, dy: &Tensor) -> Result<Tensor> {
    check("bias_gelu_grad", [(dy, x.elem_count())])?;
    let host = |values: &[Vec<f32>]| {
        let [x, bias, dy] = values else { return Vec::new() };
        let sum: Vec<f32> = x.iter().zip(bias.iter().cycle()).map(|(x, bias)| x + bias).collect();
        let mut out = dy.clone();
        gelu_grad(&Workspace::new(1), &mut out, &sum);
        out
    };
    launch("bias_gelu_grad", x, bias, &host)?.run(&[x, bias, dy], x.shape(), x.dtype())
}

fn launch<'a>(
    name: &'static str,
    x: &Tensor,
    bias: &Tensor,
    host: &'a dyn Fn(&[Vec<f32>]) -> Vec<f32>,
) -> Result<Launch<'a>> {
    let count = x.elem_count();
    let settings = Settings::new([count, bias.elem_count()], [])?;
    Ok(Launch { source: &SOURCE, name, number: Some(x.dtype()), threads: Threads::of_elements(count), settings, host })
}
