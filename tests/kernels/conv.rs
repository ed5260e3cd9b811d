//! Dense convolution and its gradients.

use proptest::prelude::*;
use taps::kernels::{Epilogue, Grid, Tensor, Weight, Window, affine, conv, conv_input_grad, conv_weight_grad};

use crate::check::{
    BOUND, Values, activation, assert_close, assert_gradient, bits, config, run, side, sliding, sum_of, wide, workspace,
};
use crate::{naive, naive_images};

/// Images, a window, and channels in and out; at times a window of one pixel, at times enough for two threads.
fn shape() -> impl Strategy<Value = (Grid, Window, usize, usize)> {
    let of = |((grid, window), inputs, outputs)| (grid, window, inputs, outputs);
    let side = || prop_oneof![4 => 1..10_usize, 1 => side()];
    let small = (sliding(), side(), side()).prop_map(of);
    let pointwise = (sliding(), side(), side())
        .prop_map(|((grid, _), inputs, outputs)| (grid, Window::square(1, 1, 0), inputs, outputs));
    let long = (20..24_usize, 20..24_usize, 1..3_usize, 8..20_usize, 40..50_usize).prop_map(
        |(height, width, stride, inputs, outputs)| {
            (Grid { images: 2, height, width }, Window::square(3, stride, 1), inputs, outputs)
        },
    );
    prop_oneof![9 => small, 2 => pointwise, 1 => long]
}

fn taps(window: Window) -> usize {
    window.size[0] * window.size[1]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn conv_is_the_oracle(
        (grid, window, inputs, outputs) in shape(),
        [scaled, shifted, added] in any::<[bool; 3]>(),
        activation in activation(),
        seed: u64,
    ) {
        let (mut values, rows) = (Values(seed), window.output(grid).rows());
        let (x, weight) = (values.tensor(grid.rows(), inputs), values.take(outputs * inputs * taps(window)));
        let scale = scaled.then(|| values.take(outputs));
        let shift = shifted.then(|| values.take(outputs));
        let residual = added.then(|| values.take(rows * outputs));
        let epilogue = Epilogue {
            scale: scale.as_deref(),
            shift: shift.as_deref(),
            residual: residual.as_deref(),
            activation,
        };
        let size = BOUND * sum_of(inputs * taps(window));
        let [y] = run(size, |workspace| {
            let y = conv(workspace, &x, grid, Weight::f32(&weight), window, epilogue);
            assert_eq!((y.rows(), y.cols()), (rows, outputs));
            [y.to_vec()]
        });
        let under = naive_images::under(grid, window);
        let expected = naive_images::conv(&wide(&x), inputs, &under, &wide(&weight), taps(window), 1);
        let [scale, shift, residual] = [scale, shift, residual].map(|values| values.as_deref().map(wide));
        let (scale, shift, residual) = (scale.as_deref(), shift.as_deref(), residual.as_deref());
        assert_close(&y, &naive_images::epilogue(&expected, outputs, scale, shift, residual, activation), size);
    }

    #[test]
    fn gradients_are_the_slopes((grid, window, inputs, outputs) in shape(), seed: u64) {
        let (mut values, rows) = (Values(seed), window.output(grid).rows());
        let (x, dy) = (values.tensor(grid.rows(), inputs), values.tensor(rows, outputs));
        let weight = values.take(outputs * inputs * taps(window));
        let [dx, dw] = run(sum_of(rows.max(outputs * taps(window))), |workspace| {
            let dx = conv_input_grad(workspace, &dy, grid, Weight::f32(&weight), window);
            let dw = conv_weight_grad(workspace, &dy, &x, grid, window);
            assert_eq!((dx.rows(), dx.cols()), (grid.rows(), inputs));
            assert_eq!((dw.rows(), dw.cols()), (outputs, inputs * taps(window)));
            [dx.to_vec(), dw.to_vec()]
        });
        let [x, dy, weight] = [&x[..], &dy, &weight].map(wide);
        let under = naive_images::under(grid, window);
        let loss = |x: &[f64], weight: &[f64]| {
            naive::dot(&naive_images::conv(x, inputs, &under, weight, taps(window), 1), &dy)
        };
        assert_gradient(&dx, &x, sum_of(outputs * taps(window)), |x| loss(x, &weight));
        assert_gradient(&dw, &weight, sum_of(rows), |weight| loss(&x, weight));
    }

    /// What is fused for inference is what training computes in two steps.
    #[test]
    fn the_epilogue_is_that_of_affine(
        (grid, window, inputs, outputs) in shape(),
        activation in activation(),
        seed: u64,
    ) {
        let (mut values, workspace) = (Values(seed), workspace(1));
        let (x, weight) = (values.tensor(grid.rows(), inputs), values.take(outputs * inputs * taps(window)));
        let plain = conv(&workspace, &x, grid, Weight::f32(&weight), window, Epilogue::default());
        let (scale, shift, residual) = (values.take(outputs), values.take(outputs), values.take(plain.len()));
        let (scale, shift, residual) = (Some(&scale[..]), Some(&shift[..]), Some(&residual[..]));
        let epilogue = Epilogue { scale, shift, residual, activation };
        let fused = conv(&workspace, &x, grid, Weight::f32(&weight), window, epilogue);
        assert_eq!(bits(&fused), bits(&affine(&workspace, &plain, epilogue)));
    }

    /// A weight in a mapped file and one in a merged layer lie at different places.
    #[test]
    fn the_place_of_the_weight_does_not_change_the_bits(
        (grid, window, inputs, outputs) in shape(),
        offset in 1..16_usize,
        seed: u64,
    ) {
        let (mut values, workspace) = (Values(seed), workspace(1));
        let (x, weight) = (values.tensor(grid.rows(), inputs), values.take(outputs * inputs * taps(window)));
        let dy = values.tensor(window.output(grid).rows(), outputs);
        let mut moved = vec![0.0; offset];
        moved.extend(&weight);
        let here = conv(&workspace, &x, grid, Weight::f32(&weight), window, Epilogue::default());
        let there = conv(&workspace, &x, grid, Weight::f32(&moved[offset..]), window, Epilogue::default());
        assert_eq!(bits(&here), bits(&there));
        let here = conv_input_grad(&workspace, &dy, grid, Weight::f32(&weight), window);
        let there = conv_input_grad(&workspace, &dy, grid, Weight::f32(&moved[offset..]), window);
        assert_eq!(bits(&here), bits(&there));
    }
}

#[test]
fn the_gradient_of_a_weight_without_images_is_zero() {
    let none = |cols| Tensor::from_vec(Vec::new(), 0, cols);
    let grid = Grid { images: 0, height: 4, width: 4 };
    let dw = conv_weight_grad(&workspace(1), &none(5), &none(3), grid, Window::square(3, 1, 1));
    assert_eq!((dw.rows(), dw.cols(), &dw[..]), (5, 27, &[0.0; 135][..]));
}
