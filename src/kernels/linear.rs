//! The linear layer: y = x Wᵀ + b, and its gradients.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef};

use super::math::vectorize;
use super::parallel::for_rows;
use super::{Tensor, Workspace};

/// `x [rows, in]` times the transpose of `weight [out, in]`, plus `bias [out]`: `[rows, out]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn linear(workspace: &Workspace, x: &Tensor, weight: &[f32], bias: Option<&[f32]>) -> Tensor {
    let (rows, inputs) = (x.rows(), x.cols());
    let outputs = weight.len() / inputs;
    assert_eq!(weight.len(), outputs * inputs, "weight of a linear layer with {inputs} inputs");
    let mut y = workspace.tensor(rows, outputs);
    matmul(
        MatMut::from_row_major_slice_mut(&mut y, rows, outputs),
        Accum::Replace,
        MatRef::from_row_major_slice(x, rows, inputs),
        MatRef::from_row_major_slice(weight, outputs, inputs).transpose(),
        1.0,
        workspace.par(rows * outputs * inputs),
    );
    if let Some(bias) = bias {
        assert_eq!(bias.len(), outputs, "bias of a linear layer");
        for_rows(workspace, &mut y, outputs, |_, part| {
            vectorize(|| {
                for row in part.chunks_exact_mut(outputs) {
                    row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
                }
            })
        });
    }
    y
}

/// Gradient of the input: `dy [rows, out]` times `weight [out, in]`: `[rows, in]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn linear_input_grad(workspace: &Workspace, dy: &Tensor, weight: &[f32]) -> Tensor {
    let (rows, outputs) = (dy.rows(), dy.cols());
    let inputs = weight.len() / outputs;
    assert_eq!(weight.len(), outputs * inputs, "weight of a linear layer with {outputs} outputs");
    let mut dx = workspace.tensor(rows, inputs);
    matmul(
        MatMut::from_row_major_slice_mut(&mut dx, rows, inputs),
        Accum::Replace,
        MatRef::from_row_major_slice(dy, rows, outputs),
        MatRef::from_row_major_slice(weight, outputs, inputs),
        1.0,
        workspace.par(rows * outputs * inputs),
    );
    dx
}

/// Gradient of the weight, `dyᵀ x`: `[out, in]`.
///
/// # Panics
/// If `x` and `dy` differ in rows.
pub fn linear_weight_grad(workspace: &Workspace, dy: &Tensor, x: &Tensor) -> Tensor {
    assert_eq!(dy.rows(), x.rows());
    let (rows, outputs, inputs) = (dy.rows(), dy.cols(), x.cols());
    let mut dw = workspace.tensor(outputs, inputs);
    matmul(
        MatMut::from_row_major_slice_mut(&mut dw, outputs, inputs),
        Accum::Replace,
        MatRef::from_row_major_slice(dy, rows, outputs).transpose(),
        MatRef::from_row_major_slice(x, rows, inputs),
        1.0,
        workspace.par(rows * outputs * inputs),
    );
    dw
}

/// Adds the sum over the rows of `dy [rows, cols]` to `sums [cols]`: the gradient of a bias.
///
/// # Panics
/// If the sizes do not agree.
pub fn add_column_sums(dy: &Tensor, sums: &mut [f32]) {
    assert_eq!(sums.len(), dy.cols());
    vectorize(|| {
        for row in dy.chunks_exact(dy.cols()) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    });
}
