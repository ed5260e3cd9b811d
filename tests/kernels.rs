//! Every kernel against a naive statement of it in f64, over random shapes, with one thread and two;
//! every gradient against finite differences of that statement.
#![cfg(feature = "runtime")]

#[path = "kernels/check.rs"]
mod check;
#[path = "kernels/naive.rs"]
mod naive;
#[path = "kernels/naive_images.rs"]
mod naive_images;

#[path = "kernels/attention.rs"]
mod attention;
#[path = "kernels/batch_norm.rs"]
mod batch_norm;
#[path = "kernels/columns.rs"]
mod columns;
#[path = "kernels/conv.rs"]
mod conv;
#[path = "kernels/depthwise.rs"]
mod depthwise;
#[path = "kernels/elementwise.rs"]
mod elementwise;
#[path = "kernels/feed_forward.rs"]
mod feed_forward;
#[path = "kernels/linear.rs"]
mod linear;
#[path = "kernels/loss.rs"]
mod loss;
#[path = "kernels/norm.rs"]
mod norm;
#[path = "kernels/panics.rs"]
mod panics;
#[path = "kernels/rows.rs"]
mod rows;
#[path = "kernels/self_attention.rs"]
mod self_attention;
#[path = "kernels/update.rs"]
mod update;
#[path = "kernels/weights.rs"]
mod weights;
#[path = "kernels/window_pool.rs"]
mod window_pool;
