//! Multi-head attention within each example of a packed batch, and its gradients.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::math::vectorized;
use super::tensor::dot_row;
use super::{Segments, Tensor, Workspace, softmax};

/// How the features of queries, keys and values divide into heads.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Number of heads; divides the features.
    pub count: usize,
}

/// softmax(q kᵀ / √d) v of each head of each example: `q`, `k`, `v` and the result `[rows, features]`.
///
/// # Panics
/// If the sizes do not agree.
pub fn attention(
    workspace: &Workspace,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: Heads,
    segments: &Segments,
) -> Tensor {
    let view = View::new(&[q, k, v], heads, segments);
    let mut context = workspace.tensor(q.rows(), q.cols());
    view.for_heads(workspace, [&mut context], |example, head, [out]| {
        let probabilities = view.probabilities(workspace, q, k, example, head);
        let tokens = probabilities.rows();
        let p = MatRef::from_row_major_slice(&probabilities, tokens, tokens);
        matmul(out, Accum::Replace, p, view.head(v, example, head), 1.0, Par::Seq);
    });
    context
}

/// Gradients of `q`, `k` and `v` from that of the result; the probabilities are formed again.
///
/// # Panics
/// If the sizes do not agree.
pub fn attention_grad(
    workspace: &Workspace,
    dy: &Tensor,
    [q, k, v]: [&Tensor; 3],
    heads: Heads,
    segments: &Segments,
) -> [Tensor; 3] {
    let view = View::new(&[q, k, v, dy], heads, segments);
    let mut grads = [(); 3].map(|()| workspace.tensor(q.rows(), q.cols()));
    let [dq, dk, dv] = &mut grads;
    view.for_heads(workspace, [dq, dk, dv], |example, head, [dq, dk, dv]| {
        let p = view.probabilities(workspace, q, k, example, head);
        let tokens = p.rows();
        let dy = view.head(dy, example, head);
        let p_view = MatRef::from_row_major_slice(&p, tokens, tokens);
        matmul(dv, Accum::Replace, p_view.transpose(), dy, 1.0, Par::Seq);
        let mut ds = workspace.tensor(tokens, tokens);
        let v = view.head(v, example, head).transpose();
        matmul(MatMut::from_row_major_slice_mut(&mut ds, tokens, tokens), Accum::Replace, dy, v, 1.0, Par::Seq);
        softmax_grad(&mut ds, &p, tokens);
        let ds = MatRef::from_row_major_slice(&ds, tokens, tokens);
        matmul(dq, Accum::Replace, ds, view.head(k, example, head), view.scale, Par::Seq);
        let ds = ds.transpose();
        matmul(dk, Accum::Replace, ds, view.head(q, example, head), view.scale, Par::Seq);
    });
    grads
}

vectorized! {
    /// Turns the gradient of each row of probabilities `p` into that of its scores.
    fn softmax_grad(ds: &mut [f32], p: &[f32], cols: usize) {
        for (ds, p) in ds.chunks_exact_mut(cols).zip(p.chunks_exact(cols)) {
            let along = dot_row(ds, p);
            for (ds, p) in ds.iter_mut().zip(p) {
                *ds = p * (*ds - along);
            }
        }
    }
}

/// Where the heads of a packed batch lie.
struct View<'a> {
    segments: &'a Segments,
    heads: usize,
    features: usize,
    width: usize,
    scale: f32,
}

impl<'a> View<'a> {
    fn new(tensors: &[&Tensor], heads: Heads, segments: &'a Segments) -> Self {
        let features = tensors[0].cols();
        for tensor in tensors {
            assert_eq!((tensor.rows(), tensor.cols()), (segments.rows(), features));
        }
        assert_eq!(features % heads.count, 0, "{} heads of {features} features", heads.count);
        let width = features / heads.count;
        Self { segments, heads: heads.count, features, width, scale: 1.0 / (width as f32).sqrt() }
    }

    /// One head of one example: `[tokens, width]`, a strided view.
    fn head<'t>(&self, tensor: &'t Tensor, example: usize, head: usize) -> MatRef<'t, f32> {
        let rows = self.segments.range(example);
        let values = &tensor[rows.start * self.features..rows.end * self.features];
        MatRef::from_row_major_slice(values, rows.len(), self.features).subcols(head * self.width, self.width)
    }

    /// softmax(q kᵀ / √d) of one head: `[tokens, tokens]`.
    fn probabilities(&self, workspace: &Workspace, q: &Tensor, k: &Tensor, example: usize, head: usize) -> Tensor {
        let tokens = self.segments.range(example).len();
        let mut scores = workspace.tensor(tokens, tokens);
        let out = MatMut::from_row_major_slice_mut(&mut scores, tokens, tokens);
        let (q, k) = (self.head(q, example, head), self.head(k, example, head));
        matmul(out, Accum::Replace, q, k.transpose(), self.scale, Par::Seq);
        softmax(&mut scores, tokens);
        scores
    }

    /// Calls `body` for every head of every example with that head's part `[tokens, width]` of each of `outputs`.
    fn for_heads<const N: usize>(
        &self,
        workspace: &Workspace,
        outputs: [&mut Tensor; N],
        body: impl Fn(usize, usize, [MatMut<'_, f32>; N]) + Sync,
    ) {
        let rows = self.segments.rows();
        let mut rest = outputs.map(|output| MatMut::from_row_major_slice_mut(output, rows, self.features));
        let mut jobs = Vec::with_capacity(self.segments.len() * self.heads);
        for (example, rows) in self.segments.ranges().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let mut examples = rest.each_mut().map(|rest| cut(rest, |all| all.split_at_row_mut(rows.len())));
            for head in 0..self.heads {
                let parts = examples.each_mut().map(|rest| cut(rest, |all| all.split_at_col_mut(self.width)));
                jobs.push((example, head, parts));
            }
        }
        let products: usize = self.segments.ranges().map(|rows| 2 * rows.len() * rows.len() * self.features).sum();
        if !workspace.splits(products) {
            jobs.into_iter().for_each(|(example, head, parts)| body(example, head, parts));
        } else {
            jobs.into_par_iter().for_each(|(example, head, parts)| body(example, head, parts));
        }
    }
}

/// Takes the first part of a matrix that `at` splits and leaves the other.
fn cut<'m>(
    rest: &mut MatMut<'m, f32>,
    at: impl FnOnce(MatMut<'m, f32>) -> (MatMut<'m, f32>, MatMut<'m, f32>),
) -> MatMut<'m, f32> {
    let empty = MatMut::from_row_major_slice_mut(&mut [], 0, 0);
    let (first, other) = at(std::mem::replace(rest, empty));
    *rest = other;
    first
}
