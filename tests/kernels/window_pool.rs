//! Pooling over windows, and its gradients.

use proptest::prelude::*;
use taps::kernels::{Grid, Tensor, Window, average_pool, average_pool_grad, max_pool, max_pool_grad};

use crate::check::{
    BOUND, Values, assert_close, assert_gradient, channels, config, run, sliding, sum_of, wide, workspace,
};
use crate::{naive, naive_images};

/// Images, a window and channels; at times enough of all for two threads.
fn shape() -> impl Strategy<Value = (Grid, Window, usize)> {
    let long = (24..28_usize, 24..28_usize, 1..3_usize, 40..50_usize).prop_map(|(height, width, stride, channels)| {
        (Grid { images: 3, height, width }, Window::square(3, stride, 1), channels)
    });
    prop_oneof![11 => (sliding(), channels()).prop_map(|((grid, window), channels)| (grid, window, channels)), 1 => long]
}

proptest! {
    #![proptest_config(config())]

    /// With few values many are the highest of their window at once.
    #[test]
    fn max_pool_is_the_oracle((grid, window, channels) in shape(), rounded: bool, seed: u64) {
        let (mut values, output) = (Values(seed), window.output(grid).rows());
        let (mut x, dy) = (values.tensor(grid.rows(), channels), values.tensor(output, channels));
        if rounded {
            x.iter_mut().for_each(|x| *x = x.round());
        }
        let size = sum_of(window.size[0] * window.size[1]);
        let [y, dx] = run(0.0, |workspace| {
            let y = max_pool(workspace, &x, grid, window);
            let dx = max_pool_grad(workspace, &dy, &x, grid, window);
            assert_eq!((y.rows(), y.cols(), dx.rows(), dx.cols()), (output, channels, grid.rows(), channels));
            // Below every value, where a window lies in the padding alone.
            [y.iter().map(|y| y.max(f32::MIN)).collect(), dx.to_vec()]
        });
        let (x, dy, under) = (wide(&x), wide(&dy), naive_images::under(grid, window));
        let expected = naive_images::max_pool(&x, channels, &under);
        assert_close(&y, &expected.iter().map(|y| y.max(f32::MIN.into())).collect::<Vec<f64>>(), 0.0);
        assert_close(&dx, &naive_images::max_pool_grad(&dy, &x, channels, &under), size);
    }

    #[test]
    fn average_pool_is_the_oracle((grid, window, channels) in shape(), seed: u64) {
        let mut values = Values(seed);
        let window = Window { rows: [0; 2], cols: [0; 2], ..window };
        let grid = Grid { height: grid.height.max(window.size[0]), width: grid.width.max(window.size[1]), ..grid };
        let output = window.output(grid).rows();
        let (x, dy) = (values.tensor(grid.rows(), channels), values.tensor(output, channels));
        let [y, dx] = run(BOUND, |workspace| {
            let y = average_pool(workspace, &x, grid, window);
            let dx = average_pool_grad(workspace, &dy, grid, window);
            assert_eq!((y.rows(), y.cols(), dx.rows(), dx.cols()), (output, channels, grid.rows(), channels));
            [y.to_vec(), dx.to_vec()]
        });
        let (x, dy, under) = (wide(&x), wide(&dy), naive_images::under(grid, window));
        assert_close(&y, &naive_images::average_pool(&x, channels, &under), BOUND);
        assert_gradient(&dx, &x, BOUND, |x| naive::dot(&naive_images::average_pool(x, channels, &under), &dy));
    }
}

#[test]
fn padding_is_below_every_value() {
    let (grid, window) = (Grid { images: 1, height: 1, width: 2 }, Window::square(1, 1, 1));
    let y = max_pool(&workspace(1), &Tensor::from_vec(vec![-3.0, -4.0], 2, 1), grid, window);
    let below = f32::NEG_INFINITY;
    assert_eq!(&y[..], &[below, below, below, below, below, -3.0, -4.0, below, below, below, below, below]);
}

#[test]
fn what_is_not_a_number_is_the_highest() {
    let (grid, window) = (Grid { images: 1, height: 1, width: 4 }, Window { size: [1, 2], ..Window::square(2, 1, 0) });
    let x = Tensor::from_vec(vec![f32::NAN, 1.0, 2.0, f32::NAN], 4, 1);
    let y = max_pool(&workspace(1), &x, grid, window);
    assert!(y[0].is_nan() && y[1] == 2.0 && y[2].is_nan());
    let dx = max_pool_grad(&workspace(1), &Tensor::from_vec(vec![1.0, 2.0, 4.0], 3, 1), &x, grid, window);
    assert_eq!(&dx[..], &[1.0, 0.0, 2.0, 4.0]);
}
