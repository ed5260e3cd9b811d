//! Arithmetic on the CPU: every operation a network needs, forward and backward.
//!
//! - Activations are `[rows, features]`, row-major f32; a row is a token, a patch or an example.
//! - Weights come as plain slices, so that a mapped base and a merged layer run the same code.
//! - No kernel knows a network, a task or a file.
//!
//! With one thread every kernel adds in a fixed order: equal input gives equal bits.

mod activation;
mod attention;
mod batch_norm;
mod columns;
mod conv;
mod depthwise;
mod embedding;
mod epilogue;
mod feed_forward;
mod few_rows;
mod frozen_grad;
mod grid;
mod interpolate;
mod linear;
mod lines;
mod loss;
mod math;
mod means;
mod norm;
mod pack;
mod parallel;
mod patches;
mod pool;
mod pooling;
mod prefetch;
mod segments;
mod self_attention;
mod shelf;
mod tensor;
mod update;
mod usage;
mod weight;
mod window_pool;
mod workspace;

pub use activation::{gelu, gelu_grad, tanh, tanh_grad};
pub use attention::{Heads, attention, attention_grad};
pub use batch_norm::{affine, batch_norm_batch_grad, batch_norm_fold, moments};
pub use columns::{add_columns, columns, concat_columns, subsample_pad, subsample_pad_grad};
pub use conv::{conv, conv_input_grad, conv_weight_grad};
pub use depthwise::{depthwise, depthwise_input_grad, depthwise_weight_grad};
pub use embedding::{gather, scatter_add};
pub use epilogue::{Activation, Epilogue};
pub use feed_forward::{LayersGrad, Wanted, feed_forward, feed_forward_grad};
pub use frozen_grad::FrozenGrad;
pub use grid::{Grid, Window};
pub use interpolate::{Interpolation, interpolate, interpolate_grad};
pub use linear::{Linear, LinearGrad, add_column_sums, linear, linear_input_grad, linear_weight_grad};
pub use loss::{cross_entropy, softmax};
pub use means::{Means, Precision};
pub use norm::{Kept, Normalized, layer_norm, layer_norm_affine_grad, layer_norm_grad, layer_norm_kept};
pub use parallel::add;
pub use patches::patches;
pub use pooling::{
    max_rows, max_rows_grad, mean_rows, mean_rows_grad, prepend_row, prepend_row_grad, rows_at, rows_at_grad,
};
pub use segments::Segments;
pub use self_attention::{self_attention, self_attention_grad};
pub use tensor::{Tensor, add_assign, dot, squared_norm};
pub use update::{AdamStep, adamw, add_into, momentum};
pub use usage::{Purpose, Usage};
pub use weight::Weight;
pub use window_pool::{average_pool, average_pool_grad, max_pool, max_pool_grad};
pub use workspace::Workspace;
