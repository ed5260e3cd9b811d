//! Depthwise convolution and its gradients.

use proptest::prelude::*;
use taps::kernels::{
    Activation, Epilogue, Grid, Tensor, Weight, Window, affine, depthwise, depthwise_input_grad, depthwise_weight_grad,
};

use crate::check::{
    BOUND, Values, activation, assert_close, assert_gradient, bits, channels, config, run, sliding, sum_of, wide,
    workspace,
};
use crate::{naive, naive_images};

/// Images, a window and channels; at times enough of all for two threads.
fn shape() -> impl Strategy<Value = (Grid, Window, usize)> {
    let long = (20..24_usize, 20..24_usize, 1..3_usize, 40..50_usize).prop_map(|(height, width, stride, channels)| {
        (Grid { images: 2, height, width }, Window::square(3, stride, 1), channels)
    });
    prop_oneof![11 => (sliding(), channels()).prop_map(|((grid, window), channels)| (grid, window, channels)), 1 => long]
}

fn taps(window: Window) -> usize {
    window.size[0] * window.size[1]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn depthwise_is_the_oracle(
        (grid, window, channels) in shape(),
        [scaled, shifted, added] in any::<[bool; 3]>(),
        activation in activation(),
        seed: u64,
    ) {
        let (mut values, output) = (Values(seed), window.output(grid).rows());
        let (x, weight) = (values.tensor(grid.rows(), channels), values.take(channels * taps(window)));
        let scale = scaled.then(|| values.take(channels));
        let shift = shifted.then(|| values.take(channels));
        let residual = added.then(|| values.take(output * channels));
        let epilogue = Epilogue {
            scale: scale.as_deref(),
            shift: shift.as_deref(),
            residual: residual.as_deref(),
            activation,
        };
        let size = BOUND * sum_of(taps(window));
        let [y] = run(size, |workspace| {
            let y = depthwise(workspace, &x, grid, Weight::f32(&weight), window, epilogue);
            assert_eq!((y.rows(), y.cols()), (output, channels));
            [y.to_vec()]
        });
        let under = naive_images::under(grid, window);
        let expected = naive_images::conv(&wide(&x), channels, &under, &wide(&weight), taps(window), channels);
        let [scale, shift, residual] = [scale, shift, residual].map(|values| values.as_deref().map(wide));
        let (scale, shift, residual) = (scale.as_deref(), shift.as_deref(), residual.as_deref());
        assert_close(&y, &naive_images::epilogue(&expected, channels, scale, shift, residual, activation), size);
    }

    #[test]
    fn gradients_are_the_slopes((grid, window, channels) in shape(), seed: u64) {
        let (mut values, output) = (Values(seed), window.output(grid).rows());
        let (x, dy) = (values.tensor(grid.rows(), channels), values.tensor(output, channels));
        let weight = values.take(channels * taps(window));
        let [dx, dw] = run(sum_of(output.max(taps(window))), |workspace| {
            let dx = depthwise_input_grad(workspace, &dy, grid, Weight::f32(&weight), window);
            let dw = depthwise_weight_grad(workspace, &dy, &x, grid, window);
            assert_eq!((dx.rows(), dx.cols()), (grid.rows(), channels));
            assert_eq!((dw.rows(), dw.cols()), (channels, taps(window)));
            [dx.to_vec(), dw.to_vec()]
        });
        let [x, dy, weight] = [&x[..], &dy, &weight].map(wide);
        let under = naive_images::under(grid, window);
        let loss = |x: &[f64], weight: &[f64]| {
            naive::dot(&naive_images::conv(x, channels, &under, weight, taps(window), channels), &dy)
        };
        assert_gradient(&dx, &x, sum_of(taps(window)), |x| loss(x, &weight));
        assert_gradient(&dw, &weight, sum_of(output), |weight| loss(&x, weight));
    }

    /// What is fused for inference is what training computes in two steps.
    #[test]
    fn the_epilogue_is_that_of_affine((grid, window, channels) in shape(), activation in activation(), seed: u64) {
        let (mut values, workspace) = (Values(seed), workspace(1));
        let (x, weight) = (values.tensor(grid.rows(), channels), values.take(channels * taps(window)));
        let plain = depthwise(&workspace, &x, grid, Weight::f32(&weight), window, Epilogue::default());
        let (scale, shift, residual) = (values.take(channels), values.take(channels), values.take(plain.len()));
        let (scale, shift, residual) = (Some(&scale[..]), Some(&shift[..]), Some(&residual[..]));
        let epilogue = Epilogue { scale, shift, residual, activation };
        let fused = depthwise(&workspace, &x, grid, Weight::f32(&weight), window, epilogue);
        assert_eq!(bits(&fused), bits(&affine(&workspace, &plain, epilogue)));
    }

    /// Neither the place in the image nor the other images of the batch change what a window gives.
    #[test]
    fn an_image_alone_gives_the_same_bits((grid, window, channels) in shape(), seed: u64) {
        let (mut values, workspace) = (Values(seed), workspace(1));
        let (x, weight) = (values.tensor(grid.rows(), channels), values.take(channels * taps(window)));
        let together = depthwise(&workspace, &x, grid, Weight::f32(&weight), window, Epilogue::default());
        let one = Grid { images: 1, ..grid };
        for (image, expected) in together.chunks(window.output(one).rows() * channels).enumerate() {
            let rows = x[image * one.rows() * channels..][..one.rows() * channels].to_vec();
            let alone = Tensor::from_vec(rows, one.rows(), channels);
            let alone = depthwise(&workspace, &alone, one, Weight::f32(&weight), window, Epilogue::default());
            assert_eq!(bits(&alone), bits(expected));
        }
    }
}

#[test]
fn the_gradient_of_many_pixels_on_two_threads() {
    let (grid, window, channels) = (Grid { images: 3, height: 40, width: 39 }, Window::square(3, 1, 1), 104);
    let mut values = Values(5);
    let (x, dy) = (values.tensor(grid.rows(), channels), values.tensor(grid.rows(), channels));
    let [dw] = run(sum_of(grid.rows()), |workspace| [depthwise_weight_grad(workspace, &dy, &x, grid, window).to_vec()]);
    let (under, mut expected) = (naive_images::under(grid, window), vec![0.0; channels * 9]);
    for (output, pixels) in under.iter().enumerate() {
        for &(row, tap) in pixels {
            for channel in 0..channels {
                expected[channel * 9 + tap] += f64::from(dy.row(output)[channel]) * f64::from(x.row(row)[channel]);
            }
        }
    }
    assert_close(&dw, &expected, sum_of(grid.rows()));
}

#[test]
fn what_is_not_a_number_stays() {
    let (grid, nan) = (Grid { images: 1, height: 1, width: 5 }, f32::NAN);
    let x = Tensor::from_vec(vec![0.0, 0.0, nan, 0.0, 0.0], 5, 1);
    let epilogue = Epilogue { activation: Activation::Relu6, ..Epilogue::default() };
    let y = depthwise(&workspace(1), &x, grid, Weight::f32(&[1.0; 9]), Window::square(3, 1, 1), epilogue);
    assert_eq!([0, 1, 2, 3, 4].map(|at| y[at].is_nan()), [false, true, true, true, false]);
}
