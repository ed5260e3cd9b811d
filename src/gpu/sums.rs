//! Sums of columns.

use candle_core::{DType, Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads};

pub(super) static SOURCE: Source = Source::new("sums", include_str!("sums.metal"));

/// Columns of a group, `COLUMNS` of the kernels.
const COLUMNS: usize = 32;
/// Rows of a strip, whose sums are formed by themselves.
pub(super) const STRIP: usize = 64;

/// The sum of each column of `x`, in f32.
pub(crate) fn column_sums(x: &Tensor) -> Result<Tensor> {
    let (rows, cols) = x.dims2()?;
    let host = |values: &[Vec<f32>]| {
        let sums = |strip: &[f32]| {
            let mut sums = vec![0.0; cols];
            strip.chunks(cols).for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
            sums
        };
        values[0].chunks(STRIP * cols).flat_map(sums).map(|sum| sum as f32).collect()
    };
    let (threads, settings) = strips(rows, cols)?;
    let launch =
        Launch { source: &SOURCE, name: "column_sums", number: Some(x.dtype()), threads, settings, host: &host };
    launch.run(&[x], (strip_count(rows), cols), DType::F32)?.sum(0)
}

/// How many strips there are.
pub(super) fn strip_count(rows: usize) -> usize {
    rows.div_ceil(STRIP)
}

/// A group for some columns of each strip of rows.
pub(super) fn groups_of_strips(rows: usize, cols: usize) -> Threads {
    Threads::of_groups(strip_count(rows) * cols.div_ceil(COLUMNS))
}

/// The same, and what states it.
pub(super) fn strips(rows: usize, cols: usize) -> Result<(Threads, Settings)> {
    Ok((groups_of_strips(rows, cols), Settings::new([rows, cols, STRIP], [])?))
}
