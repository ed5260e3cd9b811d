//! Layer normalization of rows, and its gradients.

use candle_core::{DType, Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads, check};
use super::sums::{STRIP, strip_count, strips};

pub(super) static SOURCE: Source = Source::new("norm", include_str!("norm.metal"));

/// Each row of `x` at mean 0 and deviation 1, times `scale`, plus `bias`.
pub(crate) fn layer_norm(x: &Tensor, scale: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    let (rows, cols) = x.dims2()?;
    check("layer_norm", [(scale, cols), (bias, cols)])?;
    let host = |values: &[Vec<f32>]| {
        let [x, scale, bias] = values else { return Vec::new() };
        let mut out = Vec::with_capacity(x.len());
        for row in x.chunks(cols) {
            let [mean, inverse] = spread(row, eps);
            out.extend(row.iter().zip(scale).zip(bias).map(|((x, scale), bias)| (x - mean) * inverse * scale + bias));
        }
        out
    };
    launch("layer_norm", x, eps, &host)?.run(&[x, scale, bias], (rows, cols), x.dtype())
}

/// The gradient of `x` from `dy`, that of the result.
pub(crate) fn layer_norm_grad(x: &Tensor, scale: &Tensor, dy: &Tensor, eps: f32) -> Result<Tensor> {
    let (rows, cols) = x.dims2()?;
    check("layer_norm_grad", [(scale, cols), (dy, rows * cols)])?;
    let host = |values: &[Vec<f32>]| {
        let [x, scale, dy] = values else { return Vec::new() };
        let mut out = Vec::with_capacity(x.len());
        for (row, dy) in x.chunks(cols).zip(dy.chunks(cols)) {
            let [mean, inverse] = spread(row, eps);
            let normal: Vec<f32> = row.iter().map(|x| (x - mean) * inverse).collect();
            let scaled: Vec<f32> = dy.iter().zip(scale).map(|(dy, scale)| dy * scale).collect();
            let along = average(scaled.iter().zip(&normal).map(|(scaled, normal)| scaled * normal));
            let mean = average(scaled.iter().copied());
            out.extend(scaled.iter().zip(normal).map(|(scaled, normal)| (scaled - mean - normal * along) * inverse));
        }
        out
    };
    launch("layer_norm_grad", x, eps, &host)?.run(&[x, scale, dy], (rows, cols), x.dtype())
}

/// The gradients of scale and bias, in f32.
pub(crate) fn layer_norm_sums(x: &Tensor, dy: &Tensor, eps: f32) -> Result<[Tensor; 2]> {
    let (rows, cols) = x.dims2()?;
    check("layer_norm_sums", [(dy, rows * cols)])?;
    let host = |values: &[Vec<f32>]| values[0].chunks(cols).flat_map(|row| spread(row, eps)).collect();
    let spreads = launch("layer_norm_spread", x, eps, &host)?.run(&[x], (rows, 2), DType::F32)?;
    let host = |values: &[Vec<f32>]| {
        let [x, dy, spreads] = values else { return Vec::new() };
        let mut out = Vec::new();
        let strips = x.chunks(STRIP * cols).zip(dy.chunks(STRIP * cols)).zip(spreads.chunks(STRIP * 2));
        for ((x, dy), spreads) in strips {
            let mut sums = vec![0.0; 2 * cols];
            for ((x, dy), spread) in x.chunks(cols).zip(dy.chunks(cols)).zip(spreads.chunks(2)) {
                for (col, (x, dy)) in x.iter().zip(dy).enumerate() {
                    sums[col] += f64::from(dy * (x - spread[0]) * spread[1]);
                    sums[cols + col] += f64::from(*dy);
                }
            }
            out.extend(sums.into_iter().map(|sum| sum as f32));
        }
        out
    };
    let (threads, settings) = strips(rows, cols)?;
    let launch =
        Launch { source: &SOURCE, name: "layer_norm_sums", number: Some(x.dtype()), threads, settings, host: &host };
    let sums = launch.run(&[x, dy, &spreads], (strip_count(rows), 2, cols), DType::F32)?.sum(0)?;
    Ok([sums.get(0)?, sums.get(1)?])
}

fn launch<'a>(
    name: &'static str,
    x: &Tensor,
    eps: f32,
    host: &'a dyn Fn(&[Vec<f32>]) -> Vec<f32>,
) -> Result<Launch<'a>> {
    let (rows, cols) = x.dims2()?;
    let settings = Settings::new([rows, cols], [eps])?;
    Ok(Launch { source: &SOURCE, name, number: Some(x.dtype()), threads: Threads::of_rows(rows, cols), settings, host })
}

/// Mean and 1 / deviation.
fn spread(row: &[f32], eps: f32) -> [f32; 2] {
    let mean = average(row.iter().copied());
    let variance = average(row.iter().map(|x| (x - mean) * (x - mean)));
    [mean, 1.0 / (variance + eps).sqrt()]
}

fn average(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = values.len() as f64;
    (values.map(f64::from).sum::<f64>() / count) as f32
}
