//! What the documentation of a kernel says under `# Panics`.

use taps::kernels::*;

fn tensor(rows: usize, cols: usize) -> Tensor {
    Tensor::from_vec(vec![0.5; rows * cols], rows, cols)
}

fn workspace() -> Workspace {
    Workspace::new(1)
}

fn means(elements: usize) -> Means {
    Means::zeros(elements, Precision::F32)
}

fn kept(rows: usize, cols: usize) -> Normalized {
    layer_norm_kept(&workspace(), &tensor(rows, cols), &vec![1.0; cols], Some(&vec![0.0; cols]), 1e-5).1
}

fn two_and_three() -> Segments {
    Segments::from_lengths([2, 3])
}

/// Two inputs and two outputs.
const FOUR: Linear = Linear { weight: Weight::f32(&[0.5; 4]), bias: None };

fn nothing<const N: usize>(onto: Option<Tensor>) -> Wanted<N> {
    Wanted { layers: [false; N], input: true, onto }
}

const ADAM: AdamStep = AdamStep { rate: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0.0, step: 1 };
const TWO: Heads = Heads { count: 2 };

const GRID_CONV: Grid = Grid { images: 1, height: 3, width: 2 };
const TWO_IMAGES: Grid = Grid { images: 2, height: 3, width: 2 };
const THREE: Window = Window { size: [3; 2], stride: 1, rows: [1; 2], cols: [1; 2] };
const PAIR: Window = Window { size: [2; 2], stride: 1, rows: [0; 2], cols: [0; 2] };
const LARGE: Window = Window { size: [3; 2], stride: 1, rows: [0; 2], cols: [0; 2] };
const WAY_BACK: FrozenGrad =
    FrozenGrad { activated: None, affine: None, scale: None, inverse_deviation: &[1.0; 3], residual: None };
const PLAIN: Epilogue = Epilogue { scale: None, shift: None, residual: None, activation: Activation::None };

macro_rules! panics {
    ($($name:ident: $call:expr;)*) => {$(
        #[test]
        #[should_panic]
        fn $name() {
            let _ = $call;
        }
    )*};
}

panics! {
    a_tensor_of_too_few_values: Tensor::from_vec(vec![0.0; 5], 2, 3);
    a_row_behind_the_last: tensor(2, 3).row(2).to_vec();
    a_segment_behind_the_last: two_and_three().range(2);

    linear_weight_of_other_inputs: linear(&workspace(), &tensor(2, 3), Weight::f32(&[0.0; 7]), None);
    linear_bias_of_other_outputs: linear(&workspace(), &tensor(2, 3), Weight::f32(&[0.0; 6]), Some(&[0.0; 3]));
    linear_input_grad_of_other_outputs: linear_input_grad(&workspace(), &tensor(2, 3), Weight::f32(&[0.0; 7]));
    linear_weight_grad_of_other_rows: linear_weight_grad(&workspace(), &tensor(2, 3), &tensor(3, 3));
    column_sums_of_other_columns: add_column_sums(&tensor(2, 3), &mut [0.0; 4]);

    tanh_grad_of_another_length: tanh_grad(&workspace(), &mut [0.0; 3], &[0.0; 4]);
    gelu_grad_of_another_length: gelu_grad(&workspace(), &mut [0.0; 3], &[0.0; 4]);
    add_assign_of_another_length: add_assign(&mut [0.0; 3], &[0.0; 4]);
    add_of_another_length: add(&workspace(), &mut [0.0; 3], &[0.0; 4]);
    dot_of_another_length: dot(&[0.0; 33], &[0.0; 32]);

    layer_norm_scale: layer_norm(&workspace(), &tensor(2, 3), &[1.0; 2], Some(&[0.0; 3]), 1e-5);
    layer_norm_bias: layer_norm(&workspace(), &tensor(2, 3), &[1.0; 3], Some(&[0.0; 4]), 1e-5);
    layer_norm_kept_scale: layer_norm_kept(&workspace(), &tensor(2, 3), &[1.0; 2], Some(&[0.0; 3]), 1e-5);
    layer_norm_kept_bias: layer_norm_kept(&workspace(), &tensor(2, 3), &[1.0; 3], Some(&[0.0; 4]), 1e-5);
    layer_norm_grad_of_other_rows: layer_norm_grad(&workspace(), &mut tensor(2, 3), &kept(3, 3), &[1.0; 3]);
    layer_norm_grad_scale: layer_norm_grad(&workspace(), &mut tensor(2, 3), &kept(2, 3), &[1.0; 4]);
    affine_grad_of_other_rows: layer_norm_affine_grad(&tensor(2, 3), &kept(3, 3), &mut [0.0; 3], &mut [0.0; 3]);
    affine_grad_bias: layer_norm_affine_grad(&tensor(2, 3), &kept(2, 3), &mut [0.0; 3], &mut [0.0; 2]);

    scaled_by_another_scale: kept(2, 3).scaled(&workspace(), &[1.0; 2], Some(&[0.0; 3]));
    scaled_by_another_bias: kept(2, 3).scaled(&workspace(), &[1.0; 3], Some(&[0.0; 4]));

    feed_forward_of_other_inputs: feed_forward(&workspace(), &tensor(2, 3), [FOUR, FOUR]);
    feed_forward_grad_of_other_outputs:
        feed_forward_grad(&workspace(), &tensor(2, 3), Kept::Values(&tensor(2, 2)), [FOUR, FOUR], nothing(None));
    feed_forward_grad_onto_other_rows:
        feed_forward_grad(&workspace(), &tensor(2, 2), Kept::Values(&tensor(2, 2)), [FOUR, FOUR], nothing(Some(tensor(3, 2))));
    self_attention_of_other_rows: self_attention(&workspace(), &tensor(4, 2), [FOUR; 3], TWO, &two_and_three());
    self_attention_grad_of_other_outputs:
        self_attention_grad(&workspace(), &tensor(5, 3), Kept::Values(&tensor(5, 2)), [FOUR; 3], (TWO, &two_and_three()), nothing(None));
    self_attention_grad_onto_other_rows: self_attention_grad(
        &workspace(), &tensor(5, 2), Kept::Values(&tensor(5, 2)), [FOUR; 3], (TWO, &two_and_three()), nothing(Some(tensor(4, 2)))
    );

    heads_that_do_not_divide:
        attention(&workspace(), &tensor(5, 3), &tensor(5, 3), &tensor(5, 3), TWO, &two_and_three());
    attention_of_more_rows_than_segments:
        attention(&workspace(), &tensor(6, 4), &tensor(6, 4), &tensor(6, 4), TWO, &two_and_three());
    attention_of_more_keys: attention(&workspace(), &tensor(5, 4), &tensor(6, 4), &tensor(5, 4), TWO, &two_and_three());
    attention_of_wider_values:
        attention(&workspace(), &tensor(5, 4), &tensor(5, 4), &tensor(5, 6), TWO, &two_and_three());
    attention_grad_of_more_rows:
        attention_grad(&workspace(), &tensor(6, 4), [&tensor(5, 4); 3], TWO, &two_and_three());
    attention_grad_of_wider_inputs:
        attention_grad(&workspace(), &tensor(5, 4), [&tensor(5, 6); 3], TWO, &two_and_three());

    gather_outside_the_table: gather(&workspace(), Weight::f32(&[0.0; 6]), 2, &[0, 3], None);
    gather_outside_the_table_onto: gather(&workspace(), Weight::f32(&[0.0; 6]), 2, &[0, 3], Some(tensor(2, 2)));
    gather_onto_other_rows: gather(&workspace(), Weight::f32(&[0.0; 6]), 2, &[0, 1], Some(tensor(3, 2)));
    scatter_outside_the_table: scatter_add(&tensor(2, 2), &[0, 3], &mut [0.0; 6]);
    scatter_of_other_rows: scatter_add(&tensor(2, 2), &[0], &mut [0.0; 6]);

    mean_of_other_rows: mean_rows(&workspace(), &tensor(6, 2), &two_and_three(), 0);
    mean_grad_of_other_examples: mean_rows_grad(&workspace(), &tensor(3, 2), &two_and_three(), 0);
    max_of_other_rows: max_rows(&workspace(), &tensor(6, 2), &two_and_three());
    max_of_no_rows: max_rows(&workspace(), &tensor(5, 2), &Segments::from_lengths([2, 0, 3]));
    max_grad_of_other_examples: max_rows_grad(&workspace(), &tensor(3, 2), &tensor(5, 2), &two_and_three());
    max_grad_of_other_rows: max_rows_grad(&workspace(), &tensor(2, 2), &tensor(6, 2), &two_and_three());
    max_grad_of_other_columns: max_rows_grad(&workspace(), &tensor(2, 3), &tensor(5, 2), &two_and_three());
    max_grad_of_no_rows:
        max_rows_grad(&workspace(), &tensor(3, 2), &tensor(5, 2), &Segments::from_lengths([2, 0, 3]));
    row_of_other_rows: rows_at(&workspace(), &tensor(6, 2), &two_and_three(), 0);
    row_that_one_lacks: rows_at(&workspace(), &tensor(5, 2), &two_and_three(), 2);
    row_grad_of_other_examples: rows_at_grad(&workspace(), &tensor(3, 2), &two_and_three(), 0);
    row_grad_that_one_lacks: rows_at_grad(&workspace(), &tensor(2, 2), &two_and_three(), 2);
    prepend_to_other_rows: prepend_row(&workspace(), &tensor(6, 2), &[0.0; 2], &two_and_three());
    prepend_grad_of_other_rows: prepend_row_grad(&workspace(), &tensor(6, 2), &two_and_three(), &mut [0.0; 2]);
    prepend_grad_of_a_shorter_row: prepend_row_grad(&workspace(), &tensor(7, 2), &two_and_three(), &mut [0.0; 1]);

    patches_that_do_not_divide: patches(&workspace(), &[0.0; 24], [1, 1, 4, 6], 4);
    patches_of_too_few_pixels: patches(&workspace(), &[0.0; 23], [1, 1, 4, 6], 2);

    a_label_that_is_no_class: cross_entropy(&workspace(), &tensor(2, 3), &[0, 3], 0.0);
    a_label_too_few: cross_entropy(&workspace(), &tensor(2, 3), &[0], 0.0);

    adamw_of_a_longer_gradient:
        adamw(&workspace(), &mut [0.0; 3], &[0.0; 4], 1.0, [&mut means(3), &mut means(3)], ADAM);
    adamw_of_a_shorter_state:
        adamw(&workspace(), &mut [0.0; 3], &[0.0; 3], 1.0, [&mut means(3), &mut means(2)], ADAM);
    momentum_of_a_longer_gradient:
        momentum(&workspace(), &mut [0.0; 3], &[0.0; 4], 1.0, &mut means(3), [0.1, 0.9, 0.0], 1);
    momentum_of_a_longer_state:
        momentum(&workspace(), &mut [0.0; 3], &[0.0; 3], 1.0, &mut means(4), [0.1, 0.9, 0.0], 1);
    add_into_of_a_longer_base: add_into(&workspace(), &mut [0.0; 3], Weight::f32(&[0.0; 4]), &[0.0; 3]);
    add_into_of_a_shorter_delta: add_into(&workspace(), &mut [0.0; 3], Weight::f32(&[0.0; 3]), &[0.0; 2]);

    depthwise_of_other_pixels: depthwise(&workspace(), &tensor(11, 2), TWO_IMAGES, Weight::f32(&[0.0; 18]), THREE, PLAIN);
    depthwise_weight_of_other_channels:
        depthwise(&workspace(), &tensor(12, 2), TWO_IMAGES, Weight::f32(&[0.0; 27]), THREE, PLAIN);
    depthwise_by_a_large_window: depthwise(&workspace(), &tensor(12, 2), TWO_IMAGES, Weight::f32(&[0.0; 18]), LARGE, PLAIN);
    depthwise_scale_of_other_channels: depthwise(
        &workspace(), &tensor(12, 2), TWO_IMAGES, Weight::f32(&[0.0; 18]), THREE, Epilogue { scale: Some(&[0.0; 3]), ..PLAIN }
    );
    depthwise_shift_of_other_channels: depthwise(
        &workspace(), &tensor(12, 2), TWO_IMAGES, Weight::f32(&[0.0; 18]), THREE, Epilogue { shift: Some(&[0.0; 3]), ..PLAIN }
    );
    depthwise_residual_of_other_pixels: depthwise(
        &workspace(), &tensor(12, 2), TWO_IMAGES, Weight::f32(&[0.0; 18]), THREE, Epilogue { residual: Some(&[0.0; 22]), ..PLAIN }
    );
    depthwise_input_grad_of_other_pixels:
        depthwise_input_grad(&workspace(), &tensor(11, 2), TWO_IMAGES, Weight::f32(&[0.0; 18]), THREE);
    depthwise_input_grad_of_other_channels:
        depthwise_input_grad(&workspace(), &tensor(12, 2), TWO_IMAGES, Weight::f32(&[0.0; 27]), THREE);
    depthwise_input_grad_of_a_large_window:
        depthwise_input_grad(&workspace(), &tensor(12, 2), TWO_IMAGES, Weight::f32(&[0.0; 18]), LARGE);
    depthwise_weight_grad_of_other_pixels:
        depthwise_weight_grad(&workspace(), &tensor(12, 2), &tensor(11, 2), TWO_IMAGES, THREE);
    depthwise_weight_grad_of_other_outputs:
        depthwise_weight_grad(&workspace(), &tensor(11, 2), &tensor(12, 2), TWO_IMAGES, THREE);
    depthwise_weight_grad_of_other_channels:
        depthwise_weight_grad(&workspace(), &tensor(12, 3), &tensor(12, 2), TWO_IMAGES, THREE);
    depthwise_weight_grad_of_a_large_window:
        depthwise_weight_grad(&workspace(), &tensor(12, 2), &tensor(12, 2), TWO_IMAGES, LARGE);

    fold_bias: batch_norm_fold(&workspace(), 3, &[1.0; 3], &[0.0; 2], &[0.0; 3], &[1.0; 3], 1e-5);
    fold_mean: batch_norm_fold(&workspace(), 3, &[1.0; 3], &[0.0; 3], &[0.0; 2], &[1.0; 3], 1e-5);
    fold_variance: batch_norm_fold(&workspace(), 3, &[1.0; 3], &[0.0; 3], &[0.0; 3], &[1.0; 2], 1e-5);
    conv_of_other_rows: conv(&workspace(), &tensor(5, 2), GRID_CONV, Weight::f32(&[0.0; 18]), Window::square(3, 1, 1), PLAIN);
    conv_of_another_weight: conv(&workspace(), &tensor(6, 2), GRID_CONV, Weight::f32(&[0.0; 17]), Window::square(3, 1, 1), PLAIN);
    conv_with_another_scale: conv(&workspace(), &tensor(6, 2), GRID_CONV, Weight::f32(&[0.0; 18]), Window::square(3, 1, 1), Epilogue { scale: Some(&[0.0; 2]), ..PLAIN });
    conv_input_grad_of_other_rows: conv_input_grad(&workspace(), &tensor(5, 1), GRID_CONV, Weight::f32(&[0.0; 18]), Window::square(3, 1, 1));
    conv_weight_grad_of_other_rows: conv_weight_grad(&workspace(), &tensor(6, 1), &tensor(5, 2), GRID_CONV, Window::square(3, 1, 1));
    affine_scale: affine(&workspace(), &tensor(2, 3), Epilogue { scale: Some(&[0.0; 2]), ..PLAIN });
    affine_shift: affine(&workspace(), &tensor(2, 3), Epilogue { shift: Some(&[0.0; 4]), ..PLAIN });
    affine_residual: affine(&workspace(), &tensor(2, 3), Epilogue { residual: Some(&[0.0; 5]), ..PLAIN });
    frozen_grad_of_other_outputs:
        FrozenGrad { activated: Some((&tensor(3, 3), Activation::Relu)), ..WAY_BACK }.step(&workspace(), &mut tensor(2, 3));
    frozen_grad_of_other_inputs:
        FrozenGrad { affine: Some((&tensor(3, 3), &[0.0; 3])), ..WAY_BACK }.step(&workspace(), &mut tensor(2, 3));
    frozen_grad_mean:
        FrozenGrad { affine: Some((&tensor(2, 3), &[0.0; 2])), ..WAY_BACK }.step(&workspace(), &mut tensor(2, 3));
    frozen_grad_scale: FrozenGrad { scale: Some(&[1.0; 2]), ..WAY_BACK }.step(&workspace(), &mut tensor(2, 3));
    frozen_grad_deviation: WAY_BACK.step(&workspace(), &mut tensor(2, 4));
    frozen_grad_residual:
        FrozenGrad { residual: Some(&mut tensor(3, 3)), ..WAY_BACK }.step(&workspace(), &mut tensor(2, 3));
    batch_grad_of_other_rows: batch_norm_batch_grad(
        &workspace(), &mut tensor(2, 3), &tensor(3, 3), &[0.0; 3], &[1.0; 3], &[1.0; 3], &[0.0; 3], &[0.0; 3]
    );
    batch_grad_of_a_shorter_slice: batch_norm_batch_grad(
        &workspace(), &mut tensor(2, 3), &tensor(2, 3), &[0.0; 3], &[1.0; 3], &[1.0; 3], &[0.0; 3], &[0.0; 2]
    );

    max_pool_of_other_pixels: max_pool(&workspace(), &tensor(11, 2), TWO_IMAGES, PAIR);
    max_pool_by_a_large_window: max_pool(&workspace(), &tensor(12, 2), TWO_IMAGES, LARGE);
    max_pool_grad_of_other_pixels: max_pool_grad(&workspace(), &tensor(4, 2), &tensor(11, 2), TWO_IMAGES, PAIR);
    max_pool_grad_of_other_outputs: max_pool_grad(&workspace(), &tensor(5, 2), &tensor(12, 2), TWO_IMAGES, PAIR);
    max_pool_grad_of_other_channels: max_pool_grad(&workspace(), &tensor(4, 3), &tensor(12, 2), TWO_IMAGES, PAIR);
    max_pool_grad_of_a_large_window: max_pool_grad(&workspace(), &tensor(4, 2), &tensor(12, 2), TWO_IMAGES, LARGE);
    average_pool_of_other_pixels: average_pool(&workspace(), &tensor(11, 2), TWO_IMAGES, PAIR);
    average_pool_with_padding: average_pool(&workspace(), &tensor(12, 2), TWO_IMAGES, THREE);
    average_pool_by_a_large_window: average_pool(&workspace(), &tensor(12, 2), TWO_IMAGES, LARGE);
    average_pool_grad_of_other_outputs: average_pool_grad(&workspace(), &tensor(5, 2), TWO_IMAGES, PAIR);
    average_pool_grad_with_padding: average_pool_grad(&workspace(), &tensor(12, 2), TWO_IMAGES, THREE);
    average_pool_grad_of_a_large_window: average_pool_grad(&workspace(), &tensor(4, 2), TWO_IMAGES, LARGE);

    concat_of_nothing: concat_columns(&workspace(), &[]);
    concat_of_other_rows: concat_columns(&workspace(), &[&tensor(2, 3), &tensor(3, 3)]);
    columns_behind_the_last: columns(&workspace(), &tensor(2, 3), 1..4);
    columns_are_added_to_other_rows: add_columns(&mut tensor(2, 3), &tensor(3, 2), 0);
    columns_are_added_behind_the_last: add_columns(&mut tensor(2, 3), &tensor(2, 2), 2);
    shortcut_of_other_pixels: subsample_pad(&workspace(), &tensor(11, 2), TWO_IMAGES, 2, 1, 1);
    shortcut_by_no_stride: subsample_pad(&workspace(), &tensor(12, 2), TWO_IMAGES, 0, 1, 1);
    shortcut_grad_of_other_outputs: subsample_pad_grad(&workspace(), &tensor(5, 4), TWO_IMAGES, 2, 1, 2);
    shortcut_grad_of_other_columns: subsample_pad_grad(&workspace(), &tensor(4, 4), TWO_IMAGES, 2, 3, 2);
    shortcut_grad_by_no_stride: subsample_pad_grad(&workspace(), &tensor(4, 4), TWO_IMAGES, 0, 1, 2);
}
