//! Kernels that move rows: embeddings, pooling and patches, and the gradients of the first two.

use proptest::prelude::*;
use taps::kernels::{
    Segments, Weight, gather, max_rows, max_rows_grad, mean_rows, mean_rows_grad, patches, prepend_row,
    prepend_row_grad, rows_at, rows_at_grad, scatter_add,
};

use crate::check::{BOUND, Values, assert_close, assert_gradient, config, copy, lengths, matrix, run, side, wide};
use crate::naive;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn gather_is_the_oracle((rows, features) in matrix(), entries in 1..10_usize, seed: u64) {
        let mut values = Values(seed);
        let (table, onto) = (values.take(entries * features), values.tensor(rows, features));
        let indices: Vec<u32> = (0..rows).map(|_| values.below(entries) as u32).collect();
        let [alone, added] = run(0.0, |workspace| {
            let alone = gather(workspace, Weight::f32(&table), features, &indices, None);
            assert_eq!((alone.rows(), alone.cols()), (rows, features));
            let added = gather(workspace, Weight::f32(&table), features, &indices, Some(copy(&onto)));
            [alone.to_vec(), added.to_vec()]
        });
        let expected = naive::gather(&wide(&table), features, &indices);
        assert_close(&alone, &expected, 0.0);
        assert_close(&added, &naive::add(&wide(&onto), &expected), BOUND);
    }

    /// With few entries the indices repeat.
    #[test]
    fn scatter_add_is_the_slope((rows, features) in matrix(), entries in 1..10_usize, seed: u64) {
        let mut values = Values(seed);
        let (table, before) = (values.take(entries * features), values.take(entries * features));
        let dy = values.tensor(rows, features);
        let indices: Vec<u32> = (0..rows).map(|_| values.below(entries) as u32).collect();
        let mut found = before.clone();
        scatter_add(&dy, &indices, &mut found);
        let (table, before, dy) = (wide(&table), wide(&before), wide(&dy));
        assert_gradient(&found, &table, BOUND * (rows + 1) as f64, |table| {
            naive::dot(&naive::gather(table, features, &indices), &dy) + naive::dot(table, &before)
        });
    }

    #[test]
    fn mean_rows_is_the_oracle(lengths in lengths(0), cols in side(), skip in 0..4_usize, seed: u64) {
        let mut values = Values(seed);
        let segments = Segments::from_lengths(lengths.iter().copied());
        let (x, dy) = (values.tensor(segments.rows(), cols), values.tensor(segments.len(), cols));
        let [y, dx] = run(0.0, |workspace| {
            let (y, dx) = (mean_rows(workspace, &x, &segments, skip), mean_rows_grad(workspace, &dy, &segments, skip));
            assert_eq!((y.rows(), y.cols(), dx.rows(), dx.cols()), (segments.len(), cols, segments.rows(), cols));
            [y.to_vec(), dx.to_vec()]
        });
        let (x, dy) = (wide(&x), wide(&dy));
        assert_close(&y, &naive::mean_rows(&x, cols, &lengths, skip), BOUND);
        assert_gradient(&dx, &x, BOUND, |x| naive::dot(&naive::mean_rows(x, cols, &lengths, skip), &dy));
    }

    #[test]
    fn max_rows_is_the_oracle(lengths in lengths(1), cols in side(), seed: u64) {
        let mut values = Values(seed);
        let segments = Segments::from_lengths(lengths.iter().copied());
        let (x, dy) = (values.tensor(segments.rows(), cols), values.tensor(segments.len(), cols));
        let [y, dx] = run(0.0, |workspace| {
            let (y, dx) = (max_rows(workspace, &x, &segments), max_rows_grad(workspace, &dy, &x, &segments));
            assert_eq!((y.rows(), y.cols(), dx.rows(), dx.cols()), (segments.len(), cols, segments.rows(), cols));
            [y.to_vec(), dx.to_vec()]
        });
        assert_close(&y, &naive::max_rows(&wide(&x), cols, &lengths), 0.0);
        // Each column's gradient is in the first row that has the highest value, and nowhere else.
        for (example, range) in segments.ranges().enumerate() {
            for col in 0..cols {
                let highest = y[example * cols + col];
                let place = range.clone().find(|&row| x.row(row)[col] == highest).unwrap();
                for row in range.clone() {
                    let expected = if row == place { dy.row(example)[col] } else { 0.0 };
                    assert_eq!(dx[row * cols + col], expected);
                }
            }
        }
    }

    #[test]
    fn rows_at_is_the_oracle(lengths in lengths(1), place: prop::sample::Index, cols in side(), seed: u64) {
        let mut values = Values(seed);
        let at = place.index(lengths.iter().copied().min().unwrap_or(1));
        let segments = Segments::from_lengths(lengths.iter().copied());
        let (x, dy) = (values.tensor(segments.rows(), cols), values.tensor(segments.len(), cols));
        let [y, dx] = run(0.0, |workspace| {
            let (y, dx) = (rows_at(workspace, &x, &segments, at), rows_at_grad(workspace, &dy, &segments, at));
            assert_eq!((y.rows(), y.cols(), dx.rows(), dx.cols()), (segments.len(), cols, segments.rows(), cols));
            [y.to_vec(), dx.to_vec()]
        });
        let (x, dy) = (wide(&x), wide(&dy));
        assert_close(&y, &naive::rows_at(&x, cols, &lengths, at), 0.0);
        assert_gradient(&dx, &x, BOUND, |x| naive::dot(&naive::rows_at(x, cols, &lengths, at), &dy));
    }

    #[test]
    fn prepend_row_is_the_oracle(lengths in lengths(0), cols in side(), seed: u64) {
        let mut values = Values(seed);
        let segments = Segments::from_lengths(lengths.iter().copied());
        let (rows, longer) = (segments.rows(), segments.rows() + segments.len());
        let (x, dy) = (values.tensor(rows, cols), values.tensor(longer, cols));
        let (row, before) = (values.take(cols), values.take(cols));
        let [y, dx, row_grad] = run(0.0, |workspace| {
            let y = prepend_row(workspace, &x, &row, &segments);
            let mut row_grad = before.clone();
            let dx = prepend_row_grad(workspace, &dy, &segments, &mut row_grad);
            assert_eq!((y.rows(), y.cols(), dx.rows(), dx.cols()), (longer, cols, rows, cols));
            [y.to_vec(), dx.to_vec(), row_grad]
        });
        let [x, dy, row, before] = [&x[..], &dy, &row, &before].map(wide);
        assert_close(&y, &naive::prepend_row(&x, &row, &lengths), 0.0);
        let size = BOUND * (lengths.len() + 1) as f64;
        let loss = |x: &[f64], row: &[f64]| {
            naive::dot(&naive::prepend_row(x, row, &lengths), &dy) + naive::dot(row, &before)
        };
        assert_gradient(&dx, &x, size, |x| loss(x, &row));
        assert_gradient(&row_grad, &row, size, |row| loss(&x, row));
    }

    #[test]
    fn patches_is_the_oracle(
        (batch, channels) in (0..4_usize, 1..4_usize),
        (down, across, size) in (1..5_usize, 1..5_usize, 1..6_usize),
        seed: u64,
    ) {
        let shape = [batch, channels, down * size, across * size];
        let pixels = Values(seed).take(shape.iter().product());
        let [y] = run(0.0, |workspace| {
            let y = patches(workspace, &pixels, shape, size);
            assert_eq!((y.rows(), y.cols()), (batch * down * across, channels * size * size));
            [y.to_vec()]
        });
        assert_close(&y, &naive::patches(&wide(&pixels), shape, size), 0.0);
    }
}
