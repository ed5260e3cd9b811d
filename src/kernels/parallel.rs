//! Splitting rows over threads.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::{Segments, Tensor, Workspace, add_assign};

/// Values under which a second thread costs more than it gains.
const SMALL: usize = 64 * 1024;

/// Calls `body(first_row, rows)` on parts of `values` that together are all of it, each a whole number
/// of rows of `cols` values, on as many threads as pay off.
pub(super) fn for_rows<T: Send>(
    workspace: &Workspace,
    values: &mut [T],
    cols: usize,
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    if values.is_empty() {
        return;
    }
    let rows = values.len() / cols;
    let parts = parts(workspace, values.len(), rows);
    if parts <= 1 {
        return body(0, values);
    }
    let rows_each = rows.div_ceil(parts);
    values.par_chunks_mut(rows_each * cols).enumerate().for_each(|(part, values)| body(part * rows_each, values));
}

/// Parts that pay off for `length` values in `rows`.
pub(super) fn parts(workspace: &Workspace, length: usize, rows: usize) -> usize {
    workspace.threads().min(length / SMALL).min(rows)
}

/// As [`for_rows`], with the same rows of several slices, each of its own number of `cols`.
pub(super) fn for_rows_of<const N: usize>(
    workspace: &Workspace,
    values: [&mut [f32]; N],
    cols: [usize; N],
    body: impl Fn(usize, [&mut [f32]; N]) + Sync,
) {
    let rows = values[0].len() / cols[0].max(1);
    let parts = workspace.threads().min(values[0].len() / SMALL).min(rows);
    if parts <= 1 {
        return body(0, values);
    }
    let rows_each = rows.div_ceil(parts);
    let mut rest = values;
    let jobs: Vec<(usize, [&mut [f32]; N])> = (0..rows)
        .step_by(rows_each)
        .map(|first| {
            let rows = rows_each.min(rows - first);
            let part = std::array::from_fn(|index| {
                let (part, tail) = std::mem::take(&mut rest[index]).split_at_mut(rows * cols[index]);
                rest[index] = tail;
                part
            });
            (first, part)
        })
        .collect();
    jobs.into_par_iter().for_each(|(first, part)| body(first, part));
}

/// Values that a thread holds between products that it passes in turn: so few that they stay in the cache.
const HELD: usize = 192 * 1024;

/// Rows of a thread under which threads do better to share each product.
const FEW: usize = 128;

/// `rows` divided evenly among the threads, each thread's into ranges for which it holds `held` values a row between
/// products, and what to compute with within a range. Few rows are one range.
pub(super) fn even_ranges(workspace: &Workspace, rows: usize, held: usize) -> (Vec<Range<usize>>, Workspace) {
    let threads = workspace.threads();
    if rows < threads * FEW {
        return (std::iter::once(0..rows).collect(), workspace.clone());
    }
    let each = (HELD / held.max(1)).clamp(FEW, 4 * FEW);
    let count = threads * rows.div_ceil(threads * each);
    let ranges = (0..count).map(|index| index * rows / count..(index + 1) * rows / count);
    (ranges.collect(), workspace.with_one_thread())
}

/// As [`even_ranges`], with whole examples in each range.
pub(super) fn example_ranges(
    workspace: &Workspace,
    segments: &Segments,
    held: usize,
) -> (Vec<Range<usize>>, Workspace) {
    let rows = segments.rows();
    let (even, within) = even_ranges(workspace, rows, held);
    let mut ranges: Vec<Range<usize>> = Vec::with_capacity(even.len());
    let mut start = 0;
    for (index, even) in even.iter().enumerate() {
        // An example is with those in whose even range its middle lies.
        let end = segments.ranges().take_while(|example| (example.start + example.end) / 2 < even.end);
        let end = if index + 1 == even.len() { rows } else { end.last().map_or(start, |example| example.end) };
        if end > start {
            ranges.push(start..end);
            start = end;
        }
    }
    if ranges.len() < workspace.threads() {
        return (std::iter::once(0..rows).collect(), workspace.clone());
    }
    (ranges, within)
}

/// Calls `body` for each of `ranges`, which together are all rows, with these rows of the outputs, each of a number of
/// columns. A thread has ranges that follow each other, and something of its own that `start` makes for them, before any of
/// them is gone through; all of these in order.
pub(super) fn for_ranges<const N: usize, S: Send>(
    workspace: &Workspace,
    ranges: &[Range<usize>],
    outputs: [(&mut [f32], usize); N],
    start: impl Fn(&[Range<usize>]) -> S,
    body: impl Fn(&mut S, Range<usize>, [&mut [f32]; N]) + Sync,
) -> Vec<S> {
    let rows = ranges.last().map_or(0, |range| range.end).max(1);
    let threads = if ranges.len() < 2 { 1 } else { workspace.threads() };
    let thread = |range: &Range<usize>| (range.start + range.end) / 2 * threads / rows;
    let lists: Vec<&[Range<usize>]> = ranges.chunk_by(|a, b| thread(a) == thread(b)).collect();
    let mut own: Vec<S> = lists.iter().map(|list| start(list)).collect();
    if workspace.is_dry() {
        return own;
    }
    let cols: [usize; N] = std::array::from_fn(|index| outputs[index].1);
    let mut rest = outputs.map(|(values, _)| values);
    let mut part = |range: &Range<usize>| {
        let parts: [&mut [f32]; N] = std::array::from_fn(|index| {
            let (part, tail) = std::mem::take(&mut rest[index]).split_at_mut(range.len() * cols[index]);
            rest[index] = tail;
            part
        });
        (range.clone(), parts)
    };
    let jobs: Vec<Vec<_>> = lists.iter().map(|list| list.iter().map(&mut part).collect()).collect();
    let run = |own: &mut S, jobs: Vec<_>| jobs.into_iter().for_each(|(range, parts)| body(own, range, parts));
    match own.len() {
        0 | 1 => own.iter_mut().zip(jobs).for_each(|(own, jobs)| run(own, jobs)),
        _ => own.par_iter_mut().zip(jobs).for_each(|(own, jobs)| run(own, jobs)),
    }
    own
}

/// Calls `body` for every job with something of a thread's own; each thread takes the next job when it is done with one.
pub(super) fn in_turn<S: Send, J: Send>(threads: &mut [S], jobs: Vec<J>, body: impl Fn(&mut S, J) + Sync) {
    if let [own] = threads {
        return jobs.into_iter().for_each(|job| body(own, job));
    }
    let jobs = Mutex::new(jobs.into_iter());
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    threads.par_iter_mut().for_each(|own| {
        while let Some(job) = next() {
            body(own, job);
        }
    });
}

/// As [`for_rows`], with as many parts as there are `threads`, each with something of its own.
pub(super) fn for_rows_with<S: Send>(
    values: &mut [f32],
    cols: usize,
    threads: &mut [S],
    body: impl Fn(&mut S, usize, &mut [f32]) + Sync,
) {
    if values.is_empty() {
        return;
    }
    if let [own] = threads {
        return body(own, 0, values);
    }
    let each = (values.len() / cols).div_ceil(threads.len().max(1));
    let parts = values.par_chunks_mut(each * cols).zip(threads);
    parts.enumerate().for_each(|(part, (values, own))| body(own, part * each, values));
}

/// Adds `other` to `values`, on several threads where they are long.
///
/// # Panics
/// If they differ in length.
pub fn add(workspace: &Workspace, values: &mut [f32], other: &[f32]) {
    assert_eq!(values.len(), other.len());
    for_rows(workspace, values, 1, |first, part| add_assign(part, &other[first..first + part.len()]));
}

/// What `body(own, range, sums)` adds to `sums [rows, cols]` for ranges that together are `0..count`: each thread has sums
/// and something of its own, and the sums are added in order.
pub(super) fn sum_parts<S: Send>(
    workspace: &Workspace,
    count: usize,
    [rows, cols]: [usize; 2],
    threads: &mut [S],
    body: impl Fn(&mut S, Range<usize>, &mut [f32]) + Sync,
) -> Tensor {
    let mut sums = workspace.zeros(rows, cols);
    let mut partial = (threads.len() > 1).then(|| workspace.zeros(threads.len(), rows * cols));
    if workspace.is_dry() {
        return sums;
    }
    match (&mut partial, &mut *threads) {
        (Some(partial), threads) => {
            let each = count.div_ceil(threads.len());
            let parts = partial.par_chunks_mut(rows * cols).zip(threads);
            parts.enumerate().for_each(|(part, (sums, own))| {
                body(own, (part * each).min(count)..((part + 1) * each).min(count), sums);
            });
            partial.chunks_exact(rows * cols).for_each(|part| add_assign(&mut sums, part));
        }
        (None, threads) => threads.iter_mut().for_each(|own| body(own, 0..count, &mut sums)),
    }
    sums
}

/// Threads that pay off for `products` multiplications in `count` parts: at least one.
pub(super) fn threads(workspace: &Workspace, products: usize, count: usize) -> usize {
    if workspace.splits(products) { workspace.threads().min(count).max(1) } else { 1 }
}
