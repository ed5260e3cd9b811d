//! The linear layer: y = x Wᵀ + b, and its gradients.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::math::vectorized;
use super::parallel::for_rows;
use super::{Tensor, Weight, Workspace, few_rows};

/// A linear layer's weight `[out, in]` and its bias `[out]`.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// Weight, `[out, in]`.
    pub weight: Weight<'a>,
    /// Bias, `[out]`.
    pub bias: Option<&'a [f32]>,
}

impl Linear<'_> {
    /// Number of outputs of a layer with `inputs`.
    ///
    /// # Panics
    /// If weight or bias do not fit.
    pub(super) fn outputs(&self, inputs: usize) -> usize {
        self.weight.rows(inputs)
    }

    /// Writes y of `x`, some rows of `inputs` values, to `y`.
    ///
    /// # Panics
    /// If weight or bias do not fit.
    pub(super) fn forward_into(&self, workspace: &Workspace, x: &[f32], inputs: usize, y: &mut [f32]) {
        let outputs = self.outputs(inputs);
        assert!(self.bias.is_none_or(|bias| bias.len() == outputs), "bias of a linear layer with {outputs} outputs");
        match few_rows::are_few(x.len() / inputs) {
            true => few_rows::product(workspace, y, x, self.weight.floats(), inputs),
            false => forward_into(y, x, self.weight.floats(), inputs, workspace.par(x.len() * outputs)),
        }
        if let Some(bias) = self.bias {
            for_rows(workspace, y, outputs, |_, part| add_bias(part, bias));
        }
    }

    /// Writes the gradient of some rows of `inputs` values to `dx`, or adds it.
    pub(super) fn input_grad(&self, workspace: &Workspace, dy: &[f32], inputs: usize, dx: &mut [f32], accum: Accum) {
        input_grad_into(dx, accum, dy, self.weight.floats(), inputs, workspace.par(dy.len() * inputs));
    }
}

/// Gradients of a linear layer's weight `[out, in]` and bias `[1, out]`.
#[derive(Debug)]
pub struct LinearGrad {
    /// Of the weight.
    pub weight: Tensor,
    /// Of the bias.
    pub bias: Tensor,
}

impl LinearGrad {
    pub(super) fn zeros(workspace: &Workspace, outputs: usize, inputs: usize) -> Self {
        Self { weight: workspace.zeros(outputs, inputs), bias: workspace.zeros(1, outputs) }
    }

    /// Adds what some rows of output gradients and inputs contribute.
    pub(super) fn add_rows(&mut self, workspace: &Workspace, dy: &[f32], x: &[f32]) {
        let (outputs, inputs) = (self.weight.rows(), self.weight.cols());
        let par = workspace.par(dy.len() * inputs);
        weight_grad_into(&mut self.weight, Accum::Add, dy, x, [outputs, inputs], par);
        add_column_sums_of(dy, &mut self.bias);
    }

    /// Adds what another thread has summed.
    pub(super) fn add(&mut self, workspace: &Workspace, other: &Self) {
        super::add(workspace, &mut self.weight, &other.weight);
        super::add(workspace, &mut self.bias, &other.bias);
    }
}

/// `x [rows, in]` times the transpose of `weight [out, in]`, plus `bias [out]`: `[rows, out]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn linear(workspace: &Workspace, x: &Tensor, weight: Weight<'_>, bias: Option<&[f32]>) -> Tensor {
    let layer = Linear { weight, bias };
    let mut y = workspace.tensor(x.rows(), layer.outputs(x.cols()));
    if !workspace.is_dry() {
        layer.forward_into(workspace, x, x.cols(), &mut y);
    }
    y
}

/// Gradient of the input: `dy [rows, out]` times `weight [out, in]`: `[rows, in]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn linear_input_grad(workspace: &Workspace, dy: &Tensor, weight: Weight<'_>) -> Tensor {
    let (rows, outputs) = (dy.rows(), dy.cols());
    let inputs = weight.rows(outputs);
    let mut dx = workspace.tensor(rows, inputs);
    if !workspace.is_dry() {
        let par = workspace.par(rows * outputs * inputs);
        input_grad_into(&mut dx, Accum::Replace, dy, weight.floats(), inputs, par);
    }
    dx
}

/// Gradient of the weight, `dyᵀ x`: `[out, in]`.
///
/// # Panics
/// If `x` and `dy` differ in rows.
pub fn linear_weight_grad(workspace: &Workspace, dy: &Tensor, x: &Tensor) -> Tensor {
    assert_eq!(dy.rows(), x.rows());
    let (outputs, inputs) = (dy.cols(), x.cols());
    let mut dw = workspace.tensor(outputs, inputs);
    if !workspace.is_dry() {
        let par = workspace.par(dy.rows() * outputs * inputs);
        weight_grad_into(&mut dw, Accum::Replace, dy, x, [outputs, inputs], par);
    }
    dw
}

/// Adds the sum over the rows of `dy [rows, cols]` to `sums [cols]`: the gradient of a bias.
///
/// # Panics
/// If the sizes do not agree.
pub fn add_column_sums(dy: &Tensor, sums: &mut [f32]) {
    if dy.is_empty() {
        return;
    }
    assert_eq!(sums.len(), dy.cols());
    add_column_sums_of(dy, sums);
}

vectorized! {
    fn add_column_sums_of(dy: &[f32], sums: &mut [f32]) {
        for row in dy.chunks_exact(sums.len()) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

vectorized! {
    fn add_bias(rows: &mut [f32], bias: &[f32]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value += bias;
            }
        }
    }
}

fn forward_into(y: &mut [f32], x: &[f32], weight: &[f32], inputs: usize, par: Par) {
    let (rows, outputs) = (x.len() / inputs, weight.len() / inputs);
    matmul(
        MatMut::from_row_major_slice_mut(y, rows, outputs),
        Accum::Replace,
        MatRef::from_row_major_slice(x, rows, inputs),
        MatRef::from_row_major_slice(weight, outputs, inputs).transpose(),
        1.0,
        par,
    );
}

fn input_grad_into(dx: &mut [f32], accum: Accum, dy: &[f32], weight: &[f32], inputs: usize, par: Par) {
    let (rows, outputs) = (dx.len() / inputs, weight.len() / inputs);
    matmul(
        MatMut::from_row_major_slice_mut(dx, rows, inputs),
        accum,
        MatRef::from_row_major_slice(dy, rows, outputs),
        MatRef::from_row_major_slice(weight, outputs, inputs),
        1.0,
        par,
    );
}

fn weight_grad_into(dw: &mut [f32], accum: Accum, dy: &[f32], x: &[f32], [outputs, inputs]: [usize; 2], par: Par) {
    let rows = x.len() / inputs;
    matmul(
        MatMut::from_row_major_slice_mut(dw, outputs, inputs),
        accum,
        MatRef::from_row_major_slice(dy, rows, outputs).transpose(),
        MatRef::from_row_major_slice(x, rows, inputs),
        1.0,
        par,
    );
}
