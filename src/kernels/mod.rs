//! Arithmetic on the CPU: every operation a network needs, forward and backward.
//!
//! - Activations are `[rows, features]`, row-major f32; a row is a token, a patch or an example.
//! - Weights come as plain slices, so that a mapped base and a merged layer run the same code.
//! - No kernel knows a network, a task or a file.
//!
//! With one thread every kernel adds in a fixed order: equal input gives equal bits.

mod activation;
mod attention;
mod embedding;
mod linear;
mod loss;
mod math;
mod norm;
mod parallel;
mod patches;
mod pool;
mod pooling;
mod segments;
mod tensor;
mod update;

pub use activation::{gelu, gelu_grad};
pub use attention::{Heads, attention, attention_grad};
pub use embedding::{gather, scatter_add};
pub use linear::{add_column_sums, linear, linear_input_grad, linear_weight_grad};
pub use loss::{cross_entropy, softmax};
pub use norm::{Normalized, layer_norm, layer_norm_affine_grad, layer_norm_grad, layer_norm_kept};
pub use patches::patches;
pub use pool::Workspace;
pub use pooling::{first_rows, first_rows_grad, mean_rows, mean_rows_grad, prepend_row, prepend_row_grad};
pub use segments::Segments;
pub use tensor::{Tensor, add_assign, dot, squared_norm};
pub use update::{AdamStep, adamw, add_into, momentum};
