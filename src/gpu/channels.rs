//! Normalization of channels, which are columns, and the activation after it.

use candle_core::{DType, Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads, check};
use super::sums::{STRIP, strip_count, strips};
use crate::kernels::Activation;

pub(super) static SOURCE: Source = Source::new("channels", include_str!("channels.metal"));

/// Mean and 1 / deviation of each channel, `[2, channels]` in f32, from its mean and variance.
pub(crate) fn channel_spread(mean: &Tensor, variance: &Tensor, eps: f32) -> Result<Tensor> {
    let cols = mean.elem_count();
    check("channel_spread", [(variance, cols)])?;
    let host = |values: &[Vec<f32>]| {
        let inverse = values[1].iter().map(|variance| 1.0 / (variance + eps).sqrt());
        values[0].iter().copied().chain(inverse).collect()
    };
    let (threads, settings) = (Threads::of_elements(cols), Settings::new([1, cols], [eps])?);
    let number = Some(mean.dtype());
    Launch { source: &SOURCE, name: "channel_spread", number, threads, settings, host: &host }.run(
        &[mean, variance],
        (2, cols),
        DType::F32,
    )
}

/// The sum of the squares of the distances of each column of `x` from its `mean`, in f32.
pub(crate) fn column_squares(x: &Tensor, mean: &Tensor) -> Result<Tensor> {
    let (rows, cols) = x.dims2()?;
    check("column_squares", [(mean, cols)])?;
    let host = |values: &[Vec<f32>]| {
        let sums = |strip: &[f32]| {
            let mut sums = vec![0.0; cols];
            for row in strip.chunks(cols) {
                let apart = row.iter().zip(&values[1]).map(|(x, mean)| f64::from(x - mean));
                sums.iter_mut().zip(apart).for_each(|(sum, apart)| *sum += apart * apart);
            }
            sums
        };
        values[0].chunks(STRIP * cols).flat_map(sums).map(|sum| sum as f32).collect()
    };
    let (threads, settings) = strips(rows, cols)?;
    let number = Some(x.dtype());
    Launch { source: &SOURCE, name: "column_squares", number, threads, settings, host: &host }
        .run(&[x, mean], (strip_count(rows), cols), DType::F32)?
        .sum(0)
}

/// Each channel of `x` normalized by `spread`, times `weight`, plus `bias` and `residual`, and its activation.
pub(crate) fn channel_norm(
    x: &Tensor,
    residual: Option<&Tensor>,
    [weight, bias, spread]: [&Tensor; 3],
    activation: Activation,
) -> Result<Tensor> {
    let (count, cols, (low, high)) = (x.elem_count(), x.dim(1)?, activation.bounds());
    let lengths = [(residual.unwrap_or(x), count), (weight, cols), (bias, cols), (spread, 2 * cols)];
    check("channel_norm", lengths)?;
    let host = |values: &[Vec<f32>]| {
        let [x, residuals, weight, bias, spread] = values else { return Vec::new() };
        let of = |(i, x): (usize, &f32)| {
            let col = i % cols;
            let value = (x - spread[col]) * spread[cols + col] * weight[col] + bias[col];
            (value + residual.map_or(0.0, |_| residuals[i])).clamp(low, high)
        };
        x.iter().enumerate().map(of).collect()
    };
    let settings = Settings::new([count, cols], [f32::from(u8::from(residual.is_some())), low, high])?;
    let (number, threads) = (Some(x.dtype()), Threads::of_elements(count));
    Launch { source: &SOURCE, name: "channel_norm", number, threads, settings, host: &host }.run(
        &[x, residual.unwrap_or(x), weight, bias, spread],
        x.shape(),
        x.dtype(),
    )
}

/// The part of a gradient `dy` that an activation with the result `y` lets through.
pub(crate) fn activation_grad(y: &Tensor, dy: &Tensor, activation: Activation) -> Result<Tensor> {
    if activation == Activation::None {
        return Ok(dy.clone());
    }
    let (count, (low, high)) = (y.elem_count(), activation.bounds());
    check("bounds_grad", [(dy, count)])?;
    let host = |values: &[Vec<f32>]| {
        let passed = |(&y, &dy): (&f32, &f32)| if y > low && y < high { dy } else { 0.0 };
        values[0].iter().zip(&values[1]).map(passed).collect()
    };
    let (threads, settings) = (Threads::of_elements(count), Settings::new([count], [0.0, low, high])?);
    let number = Some(y.dtype());
    Launch { source: &SOURCE, name: "bounds_grad", number, threads, settings, host: &host }.run(
        &[y, dy],
        y.shape(),
        y.dtype(),
    )
}

/// The gradients of weight and bias, `[2, channels]` in f32.
pub(crate) fn channel_norm_sums(x: &Tensor, dy: &Tensor, spread: &Tensor) -> Result<Tensor> {
    let (rows, cols) = x.dims2()?;
    check("channel_norm_sums", [(dy, rows * cols), (spread, 2 * cols)])?;
    let host = |values: &[Vec<f32>]| {
        let [x, dy, spread] = values else { return Vec::new() };
        let mut out = Vec::new();
        for (x, dy) in x.chunks(STRIP * cols).zip(dy.chunks(STRIP * cols)) {
            let mut sums = vec![0.0; 2 * cols];
            for (i, (x, dy)) in x.iter().zip(dy).enumerate() {
                let col = i % cols;
                sums[col] += f64::from(dy * (x - spread[col]) * spread[cols + col]);
                sums[cols + col] += f64::from(*dy);
            }
            out.extend(sums.into_iter().map(|sum| sum as f32));
        }
        out
    };
    let (threads, settings) = strips(rows, cols)?;
    let number = Some(x.dtype());
    Launch { source: &SOURCE, name: "channel_norm_sums", number, threads, settings, host: &host }
        .run(&[x, dy, spread], (strip_count(rows), 2, cols), DType::F32)?
        .sum(0)
}

/// The gradient of the input; with `sums`, the gradients of weight and bias, where the statistics are the batch's.
pub(crate) fn channel_norm_grad(
    x: &Tensor,
    dy: &Tensor,
    [weight, spread]: [&Tensor; 2],
    sums: Option<&Tensor>,
) -> Result<Tensor> {
    let (rows, cols) = x.dims2()?;
    let lengths = [(dy, rows * cols), (weight, cols), (spread, 2 * cols), (sums.unwrap_or(spread), 2 * cols)];
    check("channel_norm_grad", lengths)?;
    let share = sums.map_or(0.0, |_| 1.0 / rows as f32);
    let host = |values: &[Vec<f32>]| {
        let [x, dy, weight, spread, sums] = values else { return Vec::new() };
        let of = |(i, (x, dy)): (usize, (&f32, &f32))| {
            let col = i % cols;
            let normal = (x - spread[col]) * spread[cols + col];
            let along = if share == 0.0 { 0.0 } else { share * (sums[cols + col] + normal * sums[col]) };
            (dy - along) * weight[col] * spread[cols + col]
        };
        x.iter().zip(dy).enumerate().map(of).collect()
    };
    let count = rows * cols;
    let (threads, settings) = (Threads::of_elements(count), Settings::new([count, cols], [share])?);
    let number = Some(x.dtype());
    Launch { source: &SOURCE, name: "channel_norm_grad", number, threads, settings, host: &host }.run(
        &[x, dy, weight, spread, sums.unwrap_or(spread)],
        (rows, cols),
        x.dtype(),
    )
}
