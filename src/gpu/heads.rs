//! Rows of several examples divided by head, and rows again.

use candle_core::{Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads, check};

pub(super) static SOURCE: Source = Source::new("heads", include_str!("heads.metal"));

/// How rows are divided: `[examples, heads, longest, features of a head]`.
#[derive(Clone)]
pub(crate) struct Division {
    /// The first row of each example, and the end of the last: `[examples + 1]`, of u32.
    pub(crate) starts: Tensor,
    pub(crate) rows: usize,
    pub(crate) longest: usize,
    pub(crate) heads: usize,
    /// Features of a head.
    pub(crate) each: usize,
}

impl Division {
    fn shape(&self) -> [usize; 4] {
        [self.starts.elem_count().saturating_sub(1), self.heads, self.longest, self.each]
    }

    /// Calls `body` for each element of the divided rows: its number, and its row and column where its example has the row.
    fn each(&self, starts: &[f32], mut body: impl FnMut(usize, Option<[usize; 2]>)) {
        let [examples, heads, longest, each] = self.shape();
        let mut i = 0;
        for example in 0..examples {
            let [first, end] = [0, 1].map(|next| starts[example + next] as usize);
            for head in 0..heads {
                for row in first..first + longest {
                    for col in head * each..(head + 1) * each {
                        body(i, Some([row, col]).filter(|_| row < end));
                        i += 1;
                    }
                }
            }
        }
    }

    fn settings(&self, has_bias: bool) -> Result<(Threads, Settings)> {
        let count = self.shape().iter().product();
        let numbers = [f32::from(u8::from(has_bias))];
        Ok((Threads::of_elements(count), Settings::new([count, self.longest, self.heads, self.each], numbers)?))
    }
}

/// Divides the rows of `x` plus `bias`; rows that an example lacks are 0.
pub(crate) fn split_heads(x: &Tensor, bias: Option<&Tensor>, division: &Division) -> Result<Tensor> {
    let cols = division.heads * division.each;
    check("split_heads", [(x, division.rows * cols), (bias.unwrap_or(x), bias.map_or(x.elem_count(), |_| cols))])?;
    let host = |values: &[Vec<f32>]| {
        let [x, biases, starts] = values else { return Vec::new() };
        let mut out = vec![0.0; division.shape().iter().product()];
        division.each(starts, |i, place| {
            if let Some([row, col]) = place {
                out[i] = x[row * cols + col] + bias.map_or(0.0, |_| biases[col]);
            }
        });
        out
    };
    let (threads, settings) = division.settings(bias.is_some())?;
    let launch =
        Launch { source: &SOURCE, name: "split_heads", number: Some(x.dtype()), threads, settings, host: &host };
    let shape = division.shape();
    launch.run(&[x, bias.unwrap_or(x), &division.starts], &shape[..], x.dtype())
}

/// Divided rows as they were.
pub(crate) fn join_heads(x: &Tensor, division: &Division) -> Result<Tensor> {
    let cols = division.heads * division.each;
    check("join_heads", [(x, division.shape().iter().product())])?;
    let host = |values: &[Vec<f32>]| {
        let [x, starts] = values else { return Vec::new() };
        let mut out = vec![0.0; division.rows * cols];
        division.each(starts, |i, place| place.into_iter().for_each(|[row, col]| out[row * cols + col] = x[i]));
        out
    };
    let (threads, settings) = division.settings(false)?;
    let launch =
        Launch { source: &SOURCE, name: "join_heads", number: Some(x.dtype()), threads, settings, host: &host };
    launch.run(&[x, &division.starts], (division.rows, cols), x.dtype())
}
