//! Windows that slide over images: convolutions as products of columns, convolutions of each channel, and pooling.

use candle_core::{DType, Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads, check};
use super::sums::{STRIP, groups_of_strips, strip_count};
use crate::kernels::{Grid, Window};

pub(super) static SOURCE: Source = Source::new("window", include_str!("window.metal"));

type Host<'a> = &'a dyn Fn(&[Vec<f32>]) -> Vec<f32>;

/// What is under each offset of the window, 0 outside: `[output pixels, offsets * channels]`, for a product with a weight
/// `[outputs, offsets * channels]`.
pub(crate) fn window_columns(x: &Tensor, grid: Grid, window: Window) -> Result<Tensor> {
    let (channels, offsets, rows) = (x.dim(1)?, offsets(window), window.output(grid).rows());
    check("window_columns", [(x, grid.rows() * channels)])?;
    let host = |values: &[Vec<f32>]| {
        let mut out = vec![0.0; rows * offsets * channels];
        under(grid, window, |output, offset, input| {
            let to = (output * offsets + offset) * channels;
            out[to..to + channels].copy_from_slice(&values[0][input * channels..][..channels]);
        });
        out
    };
    let launch = launch("window_columns", x, [rows * offsets * channels, channels], (grid, window), &host)?;
    launch.run(&[x], (rows, offsets * channels), x.dtype())
}

/// The gradient of the input from that of its columns.
pub(crate) fn window_columns_grad(dy: &Tensor, grid: Grid, window: Window) -> Result<Tensor> {
    let (rows, offsets) = (grid.rows(), offsets(window));
    let channels = dy.dim(1)? / offsets;
    check("window_columns_grad", [(dy, window.output(grid).rows() * offsets * channels)])?;
    let host = |values: &[Vec<f32>]| {
        let mut out = vec![0.0; rows * channels];
        under(grid, window, |output, offset, input| {
            let dy = &values[0][(output * offsets + offset) * channels..][..channels];
            out[input * channels..][..channels].iter_mut().zip(dy).for_each(|(out, dy)| *out += dy);
        });
        out
    };
    launch("window_columns_grad", dy, [rows * channels, channels], (grid, window), &host)?.run(
        &[dy],
        (rows, channels),
        dy.dtype(),
    )
}

/// The convolution of each channel by itself, by a weight `[channels, offsets]`.
pub(crate) fn depthwise(x: &Tensor, weight: &Tensor, grid: Grid, window: Window) -> Result<Tensor> {
    by_channel("depthwise", [x, weight], (grid, window), [grid.rows(), window.output(grid).rows()], |pair| pair)
}

/// The gradient of its input.
pub(crate) fn depthwise_grad(dy: &Tensor, weight: &Tensor, grid: Grid, window: Window) -> Result<Tensor> {
    let rows = [window.output(grid).rows(), grid.rows()];
    by_channel("depthwise_grad", [dy, weight], (grid, window), rows, |[from, to]| [to, from])
}

/// Products of each channel with its weight, from and to as many rows; `turn` brings an input and an output pixel into
/// the order of where a value comes from and where it goes.
fn by_channel(
    name: &'static str,
    [x, weight]: [&Tensor; 2],
    (grid, window): (Grid, Window),
    [from, to]: [usize; 2],
    turn: impl Fn([usize; 2]) -> [usize; 2],
) -> Result<Tensor> {
    let (channels, offsets) = (x.dim(1)?, offsets(window));
    check(name, [(x, from * channels), (weight, channels * offsets)])?;
    let host = |values: &[Vec<f32>]| {
        let mut out = vec![0.0; to * channels];
        under(grid, window, |output, offset, input| {
            let [from, to] = turn([input, output]);
            for channel in 0..channels {
                out[to * channels + channel] +=
                    values[0][from * channels + channel] * values[1][channel * offsets + offset];
            }
        });
        out
    };
    launch(name, x, [to * channels, channels], (grid, window), &host)?.run(&[x, weight], (to, channels), x.dtype())
}

/// The gradient of its weight, `[channels, offsets]` in f32.
pub(crate) fn depthwise_sums(x: &Tensor, dy: &Tensor, grid: Grid, window: Window) -> Result<Tensor> {
    let (channels, offsets, rows) = (x.dim(1)?, offsets(window), window.output(grid).rows());
    check("depthwise_sums", [(x, grid.rows() * channels), (dy, rows * channels)])?;
    let strips = strip_count(rows);
    let host = |values: &[Vec<f32>]| {
        let mut out = vec![0.0; strips * offsets * channels];
        under(grid, window, |output, offset, input| {
            for channel in 0..channels {
                out[(output / STRIP * offsets + offset) * channels + channel] +=
                    values[0][input * channels + channel] * values[1][output * channels + channel];
            }
        });
        out
    };
    let mut launch = launch("depthwise_sums", x, [rows * channels, channels], (grid, window), &host)?;
    launch.settings.counts[11] = STRIP as u32;
    launch.threads = groups_of_strips(rows, channels);
    launch.run(&[x, dy], (strips, offsets, channels), DType::F32)?.sum(0)?.t()?.contiguous()
}

/// The highest value of each channel under each position of the window.
pub(crate) fn max_pool(x: &Tensor, grid: Grid, window: Window) -> Result<Tensor> {
    let (channels, rows) = (x.dim(1)?, window.output(grid).rows());
    check("max_pool", [(x, grid.rows() * channels)])?;
    let host = |values: &[Vec<f32>]| {
        let chosen = highest(&values[0], channels, grid, window);
        chosen
            .iter()
            .enumerate()
            .map(|(at, chosen)| chosen.map_or(0.0, |row| values[0][row * channels + at % channels]))
            .collect()
    };
    launch("max_pool", x, [rows * channels, channels], (grid, window), &host)?.run(&[x], (rows, channels), x.dtype())
}

/// The gradient of its input: the first highest value of each window, by lines, gets it.
pub(crate) fn max_pool_grad(x: &Tensor, dy: &Tensor, grid: Grid, window: Window) -> Result<Tensor> {
    let (channels, rows) = (x.dim(1)?, grid.rows());
    check("max_pool_grad", [(x, rows * channels), (dy, window.output(grid).rows() * channels)])?;
    let host = |values: &[Vec<f32>]| {
        let mut out = vec![0.0; rows * channels];
        for (at, chosen) in highest(&values[0], channels, grid, window).into_iter().enumerate() {
            if let Some(row) = chosen {
                out[row * channels + at % channels] += values[1][at];
            }
        }
        out
    };
    launch("max_pool_grad", x, [rows * channels, channels], (grid, window), &host)?.run(
        &[x, dy],
        (rows, channels),
        x.dtype(),
    )
}

/// Offsets within a window.
fn offsets(window: Window) -> usize {
    window.size[0] * window.size[1]
}

/// Calls `body` for each output pixel, offset of the window and input pixel that is under it there.
fn under(grid: Grid, window: Window, mut body: impl FnMut(usize, usize, usize)) {
    let output = window.output(grid);
    for row in 0..output.rows() {
        let (image, place) = (row / (output.height * output.width), row % (output.height * output.width));
        let (top, left) = (place / output.width * window.stride, place % output.width * window.stride);
        for offset in 0..offsets(window) {
            let line = (top + offset / window.size[1]).checked_sub(window.rows[0]).filter(|&line| line < grid.height);
            let column =
                (left + offset % window.size[1]).checked_sub(window.cols[0]).filter(|&column| column < grid.width);
            if let (Some(line), Some(column)) = (line, column) {
                body(row, offset, (image * grid.height + line) * grid.width + column);
            }
        }
    }
}

/// For each element of the output the row of the input that has the first highest value under the window.
fn highest(x: &[f32], channels: usize, grid: Grid, window: Window) -> Vec<Option<usize>> {
    let mut chosen: Vec<Option<usize>> = vec![None; window.output(grid).rows() * channels];
    under(grid, window, |output, _, input| {
        for channel in 0..channels {
            let value = |row: usize| x[row * channels + channel];
            let chosen = &mut chosen[output * channels + channel];
            if chosen.is_none_or(|row| value(input) > value(row) || value(input).is_nan()) {
                *chosen = Some(input);
            }
        }
    });
    chosen
}

fn launch<'a>(
    name: &'static str,
    x: &Tensor,
    [elements, channels]: [usize; 2],
    (grid, window): (Grid, Window),
    host: Host<'a>,
) -> Result<Launch<'a>> {
    let (output, [height, width]) = (window.output(grid), window.size);
    let sizes = [grid.height, grid.width, output.height, output.width, height, width];
    let [a, b, c, d, e, f] = sizes;
    let counts = [elements, channels, a, b, c, d, e, f, window.stride, window.rows[0], window.cols[0]];
    let settings = Settings::new(counts, [])?;
    Ok(Launch {
        source: &SOURCE,
        name,
        number: Some(x.dtype()),
        threads: Threads::of_elements(elements),
        settings,
        host,
    })
}
