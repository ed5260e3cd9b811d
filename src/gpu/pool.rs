//! The mean of the rows of each example, and the way back.

use candle_core::{Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads, check};

pub(super) static SOURCE: Source = Source::new("pool", include_str!("pool.metal"));

/// The mean of the rows of each example after its first `skip`; 0 where there are none. Example `e` has the rows from
/// `starts[e]` on and before `starts[e + 1]`.
pub(crate) fn mean_rows(x: &Tensor, starts: &Tensor, skip: usize) -> Result<Tensor> {
    let cols = x.dim(1)?;
    let host = |values: &[Vec<f32>]| {
        let [x, starts] = values else { return Vec::new() };
        let mut out = Vec::new();
        for (first, end) in examples(starts) {
            let first = (first + skip).min(end);
            let mut sums = vec![0.0; cols];
            for row in x[first * cols..end * cols].chunks(cols) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
            }
            out.extend(sums.into_iter().map(|sum| (sum / (end - first).max(1) as f64) as f32));
        }
        out
    };
    let launch = launch("mean_rows", x, starts, skip, &host)?;
    launch.run(&[x, starts], (starts.elem_count().saturating_sub(1), cols), x.dtype())
}

/// The gradient of `rows` rows from `dy`, that of the means.
pub(crate) fn mean_rows_grad(dy: &Tensor, starts: &Tensor, skip: usize, rows: usize) -> Result<Tensor> {
    let cols = dy.dim(1)?;
    check("mean_rows_grad", [(dy, starts.elem_count().saturating_sub(1) * cols)])?;
    let host = |values: &[Vec<f32>]| {
        let [dy, starts] = values else { return Vec::new() };
        let mut out = vec![0.0; rows * cols];
        for ((first, end), dy) in examples(starts).zip(dy.chunks(cols)) {
            let first = (first + skip).min(end);
            for row in out[first * cols..end * cols].chunks_mut(cols) {
                row.iter_mut().zip(dy).for_each(|(out, dy)| *out = dy / (end - first) as f32);
            }
        }
        out
    };
    launch("mean_rows_grad", dy, starts, skip, &host)?.run(&[dy, starts], (rows, cols), dy.dtype())
}

/// First row and end of each example.
fn examples(starts: &[f32]) -> impl Iterator<Item = (usize, usize)> {
    starts.windows(2).map(|pair| (pair[0] as usize, pair[1] as usize))
}

fn launch<'a>(
    name: &'static str,
    x: &Tensor,
    starts: &Tensor,
    skip: usize,
    host: &'a dyn Fn(&[Vec<f32>]) -> Vec<f32>,
) -> Result<Launch<'a>> {
    let (examples, cols) = (starts.elem_count().saturating_sub(1), x.dim(1)?);
    let settings = Settings::new([examples, cols, skip], [])?;
    Ok(Launch {
        source: &SOURCE,
        name,
        number: Some(x.dtype()),
        threads: Threads::of_rows(examples, cols),
        settings,
        host,
    })
}
