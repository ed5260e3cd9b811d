//! Every kernel against a naive statement of it in f64, over random shapes, with one thread and two;
//! every gradient against finite differences of that statement.
#![cfg(feature = "runtime")]

#[path = "kernels/check.rs"]
mod check;
#[path = "kernels/naive.rs"]
mod naive;

#[path = "kernels/attention.rs"]
mod attention;
#[path = "kernels/elementwise.rs"]
mod elementwise;
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
#[path = "kernels/update.rs"]
mod update;
