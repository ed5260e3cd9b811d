//! Multi-head attention within each example of a packed batch, and its gradients.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::math::vectorized;
use super::parallel::in_turn;
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
    let mut context = workspace.tensor(q.rows(), q.cols());
    [q, k, v].iter().for_each(|tensor| assert_eq!((tensor.rows(), tensor.cols()), (segments.rows(), q.cols())));
    let mut squares = Squares::<1>::new(workspace, q.cols(), heads, segments);
    if !workspace.is_dry() {
        squares.attend([q, k, v], segments, &mut context);
    }
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
    let mut grads = [(); 3].map(|()| workspace.tensor(q.rows(), q.cols()));
    [q, k, v, dy].iter().for_each(|tensor| assert_eq!((tensor.rows(), tensor.cols()), (segments.rows(), q.cols())));
    let mut squares = Squares::<2>::new(workspace, q.cols(), heads, segments);
    if !workspace.is_dry() {
        squares.attend_grad(dy, [q, k, v], segments, grads.each_mut().map(|grad| &mut grad[..]));
    }
    grads
}

/// What attention of some examples computes in: for each thread one or two matrices `[tokens, tokens]` of the longest.
pub(super) struct Squares<const N: usize> {
    heads: usize,
    features: usize,
    threads: Vec<[Tensor; N]>,
}

impl<const N: usize> Squares<N> {
    /// For examples of these lengths or shorter ones.
    pub(super) fn new(workspace: &Workspace, features: usize, heads: Heads, segments: &Segments) -> Self {
        assert_eq!(features % heads.count, 0, "{} heads of {features} features", heads.count);
        let products: usize = segments.ranges().map(|rows| 2 * rows.len() * rows.len() * features).sum();
        let jobs = segments.ranges().filter(|rows| !rows.is_empty()).count() * heads.count;
        let threads = if workspace.splits(products) { workspace.threads().min(jobs) } else { 1 };
        let longest = segments.ranges().map(|rows| rows.len()).max().unwrap_or(0);
        let squares = || std::array::from_fn(|_| workspace.tensor(longest, longest));
        Self { heads: heads.count, features, threads: (0..threads).map(|_| squares()).collect() }
    }
}

impl Squares<1> {
    /// Writes softmax(q kᵀ / √d) v, `[rows, features]`.
    pub(super) fn attend(&mut self, [q, k, v]: [&[f32]; 3], segments: &Segments, context: &mut [f32]) {
        let view = View::new(self.features, self.heads, segments);
        view.for_heads(&mut self.threads, [context], |[p], example, head, [out]| {
            let (p, tokens) = view.probabilities(p, q, k, example, head);
            let p = MatRef::from_row_major_slice(p, tokens, tokens);
            matmul(out, Accum::Replace, p, view.head(v, example, head), 1.0, Par::Seq);
        });
    }
}

impl Squares<2> {
    /// Writes the gradients of q, k and v, `[rows, features]` each.
    pub(super) fn attend_grad(
        &mut self,
        dy: &[f32],
        [q, k, v]: [&[f32]; 3],
        segments: &Segments,
        grads: [&mut [f32]; 3],
    ) {
        let view = View::new(self.features, self.heads, segments);
        view.for_heads(&mut self.threads, grads, |[p, ds], example, head, [dq, dk, dv]| {
            let (p, tokens) = view.probabilities(p, q, k, example, head);
            let dy = view.head(dy, example, head);
            let p_view = MatRef::from_row_major_slice(p, tokens, tokens);
            matmul(dv, Accum::Replace, p_view.transpose(), dy, 1.0, Par::Seq);
            let ds = &mut ds[..tokens * tokens];
            let v = view.head(v, example, head).transpose();
            matmul(MatMut::from_row_major_slice_mut(ds, tokens, tokens), Accum::Replace, dy, v, 1.0, Par::Seq);
            softmax_grad(ds, p, tokens);
            let ds = MatRef::from_row_major_slice(ds, tokens, tokens);
            matmul(dq, Accum::Replace, ds, view.head(k, example, head), view.scale, Par::Seq);
            let ds = ds.transpose();
            matmul(dk, Accum::Replace, ds, view.head(q, example, head), view.scale, Par::Seq);
        });
    }
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
    fn new(features: usize, heads: usize, segments: &'a Segments) -> Self {
        let width = features / heads;
        Self { segments, heads, features, width, scale: 1.0 / (width as f32).sqrt() }
    }

    /// One head of one example: `[tokens, width]`, a strided view.
    fn head<'t>(&self, values: &'t [f32], example: usize, head: usize) -> MatRef<'t, f32> {
        let rows = self.segments.range(example);
        let values = &values[rows.start * self.features..rows.end * self.features];
        MatRef::from_row_major_slice(values, rows.len(), self.features).subcols(head * self.width, self.width)
    }

    /// softmax(q kᵀ / √d) of one head, formed in `square`: `[tokens, tokens]`, and how many tokens these are.
    fn probabilities<'s>(
        &self,
        square: &'s mut [f32],
        q: &[f32],
        k: &[f32],
        example: usize,
        head: usize,
    ) -> (&'s [f32], usize) {
        let tokens = self.segments.range(example).len();
        let scores = &mut square[..tokens * tokens];
        let out = MatMut::from_row_major_slice_mut(scores, tokens, tokens);
        let (q, k) = (self.head(q, example, head), self.head(k, example, head));
        matmul(out, Accum::Replace, q, k.transpose(), self.scale, Par::Seq);
        softmax(scores, tokens);
        (scores, tokens)
    }

    /// Calls `body` for every head of every example with matrices of a thread's own and that head's part `[tokens, width]` of
    /// each of `outputs`.
    fn for_heads<const N: usize, S: Send>(
        &self,
        threads: &mut [S],
        outputs: [&mut [f32]; N],
        body: impl Fn(&mut S, usize, usize, [MatMut<'_, f32>; N]) + Sync,
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
        in_turn(threads, jobs, |own, (example, head, parts)| body(own, example, head, parts));
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
