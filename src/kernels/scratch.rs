//! What kernels take from the pool beside their results, told from shapes alone: whoever plans memory asks here.

use super::{Grid, Window, Workspace, parallel};

/// Buffers that a kernel takes while it runs, in values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scratch {
    /// Taken once; none where it is 0.
    pub once: usize,
    /// Taken by each thread.
    pub each: Vec<usize>,
    /// Threads that may have theirs at one time.
    pub threads: usize,
}

/// Channels are laid out by this machine's vector registers. What wider ones would take is no bound for narrower ones: which
/// free buffer serves a request depends on its length.
fn lanes() -> usize {
    struct Lanes;
    impl pulp::WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    pulp::Arch::new().dispatch(Lanes)
}

/// What [`depthwise`](super::depthwise) of images of `grid` takes; with `turned`, its input's gradient.
pub fn depthwise_scratch(workspace: &Workspace, grid: Grid, channels: usize, window: Window, turned: bool) -> Scratch {
    let (output, step) = if turned { (grid, 1) } else { (window.output(grid), window.stride) };
    let lines = output.images * output.height;
    let threads = parallel::parts(workspace, output.rows() * channels, lines).max(1);
    Scratch { once: 0, each: blocks(channels, window, output.width, step), threads }
}

/// What [`depthwise_weight_grad`](super::depthwise_weight_grad) of images of `grid` takes: once the sums of its
/// threads.
pub fn depthwise_weight_grad_scratch(workspace: &Workspace, grid: Grid, channels: usize, window: Window) -> Scratch {
    let (output, taps) = (window.output(grid), window.size[0] * window.size[1]);
    let splits = workspace.splits(output.rows() * channels * taps);
    let threads = if splits { workspace.threads().min(output.images * output.height) } else { 1 };
    let once = if threads > 1 { threads * channels * taps } else { 0 };
    Scratch { once, each: blocks(channels, window, output.width, window.stride), threads: threads.max(1) }
}

/// The packed weight or its gradient, and the lines a window is on.
fn blocks(channels: usize, window: Window, width: usize, step: usize) -> Vec<usize> {
    let (channels, [lines, columns]) = (channels.next_multiple_of(lanes()), window.size);
    vec![channels * lines * columns, lines * channels * (width.saturating_sub(1) * step + columns)]
}
