//! Columns side by side and apart, and the shortcut without weights.

use proptest::prelude::*;
use taps::kernels::{Grid, add_columns, columns, concat_columns, subsample_pad, subsample_pad_grad};

use crate::check::{
    BOUND, Values, assert_close, assert_gradient, bits, channels, config, copy, matrix, run, sliding, wide,
};
use crate::{naive, naive_images};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn columns_side_by_side_come_apart_again((rows, cols) in matrix(), more in [0..20_usize, 1..36_usize], seed: u64) {
        let mut values = Values(seed);
        let parts = [cols, more[0], more[1]].map(|cols| values.tensor(rows, cols));
        let starts = [0, cols, cols + more[0]];
        let total = cols + more[0] + more[1];
        let [whole, first, second, third] = run(0.0, |workspace| {
            let whole = concat_columns(workspace, &[&parts[0], &parts[1], &parts[2]]);
            assert_eq!((whole.rows(), whole.cols()), (rows, total));
            let [first, second, third] = [0, 1, 2].map(|part| {
                let range = starts[part]..starts[part] + parts[part].cols();
                let found = columns(workspace, &whole, range);
                assert_eq!((found.rows(), found.cols()), (rows, parts[part].cols()));
                found.to_vec()
            });
            [whole.to_vec(), first, second, third]
        });
        for (row, whole) in whole.chunks(total).enumerate() {
            assert_eq!(bits(whole), bits(&[parts[0].row(row), parts[1].row(row), parts[2].row(row)].concat()));
        }
        for (found, part) in [first, second, third].iter().zip(&parts) {
            assert_eq!(bits(found), bits(part));
        }
    }

    #[test]
    fn columns_are_added_in_their_place((rows, cols) in matrix(), before in 0..20_usize, after in 0..20_usize, seed: u64) {
        let mut values = Values(seed);
        let (into, part) = (values.tensor(rows, before + cols + after), values.tensor(rows, cols));
        let mut found = copy(&into);
        add_columns(&mut found, &part, before);
        for row in 0..rows {
            let mut padded = vec![0.0; before];
            padded.extend(wide(part.row(row)));
            padded.resize(before + cols + after, 0.0);
            assert_close(found.row(row), &naive::add(&wide(into.row(row)), &padded), BOUND);
        }
    }

    #[test]
    fn the_shortcut_is_the_oracle(
        (grid, channels) in (prop_oneof![
            9 => sliding().prop_map(|(grid, _)| grid),
            1 => Just(Grid { images: 2, height: 40, width: 41 }),
        ], channels()),
        (stride, before, after) in (1..4_usize, 0..20_usize, 0..20_usize),
        seed: u64,
    ) {
        let mut values = Values(seed);
        let output = grid.images * grid.height.div_ceil(stride) * grid.width.div_ceil(stride);
        let cols = before + channels + after;
        let (x, dy) = (values.tensor(grid.rows(), channels), values.tensor(output, cols));
        let [y, dx] = run(0.0, |workspace| {
            let y = subsample_pad(workspace, &x, grid, stride, before, after);
            let dx = subsample_pad_grad(workspace, &dy, grid, stride, before, channels);
            assert_eq!((y.rows(), y.cols(), dx.rows(), dx.cols()), (output, cols, grid.rows(), channels));
            [y.to_vec(), dx.to_vec()]
        });
        let (x, dy) = (wide(&x), wide(&dy));
        let oracle = |x: &[f64]| naive_images::subsample_pad(x, channels, grid, stride, [before, after]);
        assert_close(&y, &oracle(&x), 0.0);
        assert_gradient(&dx, &x, BOUND, |x| naive::dot(&oracle(x), &dy));
    }
}
