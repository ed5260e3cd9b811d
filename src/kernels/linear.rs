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
    pub(super) fn forward_into(&self, workspace: &Workspace, x: &[f32], inputs: usize, y: &mut [f32], tile: &mut Tile) {
        let outputs = self.outputs(inputs);
        assert!(self.bias.is_none_or(|bias| bias.len() == outputs), "bias of a linear layer with {outputs} outputs");
        match few_rows::are_few(x.len() / inputs) {
            true => few_rows::product(workspace, y, x, self.weight, inputs, &mut tile.0),
            false => forward_into(y, x, self.weight, inputs, workspace.par(x.len() * outputs), tile),
        }
        if let Some(bias) = self.bias {
            for_rows(workspace, y, outputs, |_, part| add_bias(part, bias));
        }
    }

    /// Writes the gradient of some rows of `inputs` values to `dx`, or adds it.
    pub(super) fn input_grad(
        &self,
        workspace: &Workspace,
        dy: &[f32],
        inputs: usize,
        (dx, accum): (&mut [f32], Accum),
        tile: &mut Tile,
    ) {
        input_grad_into(dx, accum, dy, self.weight, inputs, workspace.par(dy.len() * inputs), tile);
    }
}

/// What weights that are not f32 are converted in, a tile at a time.
pub(super) struct Tile(Vec<Tensor>);

impl Tile {
    /// Values of a tile, which stay in the second cache.
    const VALUES: usize = 96 * 1024;

    /// For products of so many rows with these layers, the first of which has so many inputs.
    pub(super) fn new<const N: usize>(
        workspace: &Workspace,
        rows: usize,
        mut inputs: usize,
        layers: [Linear<'_>; N],
        follow: bool,
    ) -> Self {
        let (mut length, mut count) = (0, 0);
        for Linear { weight, .. } in layers {
            let outputs = weight.rows(inputs);
            if weight.is_converted() {
                let threads = few_rows::threads(workspace, rows * inputs, outputs);
                let few = few_rows::are_few(rows);
                count = count.max(if few { threads } else { 1 });
                // Of many rows a thread may come to a range of few.
                let least = few_rows::scratch_len(inputs);
                let tile = if few { least } else { least.max(outputs).max(Self::VALUES) };
                length = length.max(tile.min(weight.elements()));
            }
            if follow {
                inputs = outputs;
            }
        }
        Self((0..count).map(|_| workspace.tensor(1, length)).collect())
    }

    fn values(&mut self) -> &mut [f32] {
        self.0.first_mut().map_or(&mut [], |tile| &mut tile[..])
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
    let (layer, inputs) = (Linear { weight, bias }, x.cols());
    let mut y = workspace.tensor(x.rows(), layer.outputs(inputs));
    let mut tile = Tile::new(workspace, x.rows(), inputs, [layer], false);
    if !workspace.is_dry() {
        layer.forward_into(workspace, x, inputs, &mut y, &mut tile);
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
    let layer = Linear { weight, bias: None };
    // However few rows there are, they are gone through as many are.
    let mut tile = Tile::new(workspace, rows.max(few_rows::MANY), inputs, [layer], false);
    if !workspace.is_dry() {
        layer.input_grad(workspace, dy, inputs, (&mut dx, Accum::Replace), &mut tile);
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

/// Where the weight is converted, some inputs of all outputs at a time: the sums are as they would be in the product's own
/// blocks.
fn forward_into(y: &mut [f32], x: &[f32], weight: Weight<'_>, inputs: usize, par: Par, tile: &mut Tile) {
    let (rows, outputs) = (x.len() / inputs, weight.rows(inputs));
    let x = MatRef::from_row_major_slice(x, rows, inputs);
    let mut y = MatMut::from_row_major_slice_mut(y, rows, outputs);
    if let Some(values) = weight.in_place() {
        let weight = MatRef::from_row_major_slice(values, outputs, inputs).transpose();
        return matmul(y, Accum::Replace, x, weight, 1.0, par);
    }
    let tile = tile.values();
    let each = (tile.len() / outputs.max(1)).clamp(1, inputs);
    for first in (0..inputs).step_by(each) {
        let count = each.min(inputs - first);
        for (output, values) in tile.chunks_exact_mut(count).take(outputs).enumerate() {
            weight.convert(output * inputs + first..output * inputs + first + count, values);
        }
        let weight = MatRef::from_row_major_slice(&tile[..outputs * count], outputs, count).transpose();
        let accum = if first == 0 { Accum::Replace } else { Accum::Add };
        matmul(y.as_mut(), accum, x.subcols(first, count), weight, 1.0, par);
    }
}

/// Where the weight is converted, all inputs of some outputs at a time.
fn input_grad_into(
    dx: &mut [f32],
    mut accum: Accum,
    dy: &[f32],
    weight: Weight<'_>,
    inputs: usize,
    par: Par,
    tile: &mut Tile,
) {
    let (rows, outputs) = (dx.len() / inputs, weight.rows(inputs));
    let dy = MatRef::from_row_major_slice(dy, rows, outputs);
    let mut dx = MatMut::from_row_major_slice_mut(dx, rows, inputs);
    if let Some(values) = weight.in_place() {
        let weight = MatRef::from_row_major_slice(values, outputs, inputs);
        return matmul(dx, accum, dy, weight, 1.0, par);
    }
    let tile = tile.values();
    let each = (tile.len() / inputs.max(1)).clamp(1, outputs);
    for first in (0..outputs).step_by(each) {
        let count = each.min(outputs - first);
        let values = weight.read(first * inputs..(first + count) * inputs, tile);
        let weight = MatRef::from_row_major_slice(values, count, inputs);
        matmul(dx.as_mut(), accum, dy.subcols(first, count), weight, 1.0, par);
        accum = Accum::Add;
    }
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
