//! Weights in the order the tile kernel reads them.

use crate::kernels::{Tensor, Weight, Workspace};

/// Output channels of a panel: a whole number of vector registers on every machine.
pub(super) const PANEL: usize = 32;

const CACHE_LINE: usize = 64;

/// What some values of a weight are converted in, where they have to be.
fn scratch(workspace: &Workspace, weight: Weight<'_>, values: usize) -> Tensor {
    workspace.tensor(1, if weight.is_converted() { values } else { 0 })
}

/// Weights as `[panels, height, width * in, PANEL]`, the last panel filled up with zeros.
pub(super) struct Panels {
    values: Tensor,
    /// First value, where a cache line starts.
    start: usize,
    /// Output channels.
    pub(super) outputs: usize,
    /// Lines of the window.
    pub(super) height: usize,
    /// Values of a line of the window, `width * in`.
    pub(super) run: usize,
}

impl Panels {
    /// Packs `weight [out, in, height, width]`.
    pub(super) fn forward(
        workspace: &Workspace,
        weight: Weight<'_>,
        [outputs, inputs]: [usize; 2],
        size: [usize; 2],
    ) -> Self {
        let taps = size[0] * size[1];
        let depth = inputs * taps;
        let mut scratch = scratch(workspace, weight, PANEL * depth);
        Self::pack(workspace, outputs, depth, size, |panel, columns, packed| {
            let values = weight.read(columns.start * depth..columns.end * depth, &mut scratch);
            let rows: Vec<&[f32]> = values.chunks_exact(depth.max(1)).collect();
            for at in 0..depth {
                let (input, tap) = (at / taps, at % taps);
                let packed = &mut packed[panel + (tap * inputs + input) * PANEL..][..rows.len()];
                packed.iter_mut().zip(&rows).for_each(|(packed, row)| *packed = row[at]);
            }
        })
    }

    /// Packs `weight [out, in, height, width]` turned around, for the gradient of the input: its outputs are the
    /// inputs of the convolution.
    pub(super) fn turned(
        workspace: &Workspace,
        weight: Weight<'_>,
        [outputs, inputs]: [usize; 2],
        size: [usize; 2],
    ) -> Self {
        let taps = size[0] * size[1];
        let mut scratch = scratch(workspace, weight, PANEL * taps);
        Self::pack(workspace, inputs, outputs * taps, size, |panel, columns, packed| {
            for output in 0..outputs {
                let start = (output * inputs + columns.start) * taps;
                let rows = weight.read(start..start + columns.len() * taps, &mut scratch);
                for tap in 0..taps {
                    let packed = &mut packed[panel + ((taps - 1 - tap) * outputs + output) * PANEL..][..columns.len()];
                    packed.iter_mut().zip(rows.chunks_exact(taps)).for_each(|(packed, row)| *packed = row[tap]);
                }
            }
        })
    }

    /// Lets `fill(start, columns, packed)` fill each panel, which starts at `start` of `packed`.
    fn pack(
        workspace: &Workspace,
        outputs: usize,
        depth: usize,
        size: [usize; 2],
        mut fill: impl FnMut(usize, std::ops::Range<usize>, &mut [f32]),
    ) -> Self {
        let length = outputs.next_multiple_of(PANEL) * depth;
        let mut values = workspace.tensor(1, length + CACHE_LINE / 4);
        let (height, run) = (size[0], depth / size[0].max(1));
        if workspace.is_dry() {
            return Self { values, start: 0, outputs, height, run };
        }
        let start = values.as_ptr().align_offset(CACHE_LINE).min(CACHE_LINE / 4);
        let packed = &mut values[start..][..length];
        if !outputs.is_multiple_of(PANEL) {
            packed[outputs / PANEL * PANEL * depth..].fill(0.0);
        }
        for first in (0..outputs).step_by(PANEL) {
            fill(first * depth, first..outputs.min(first + PANEL), packed);
        }
        Self { values, start, outputs, height, run }
    }

    /// Products for each value of output.
    pub(super) fn depth(&self) -> usize {
        self.height * self.run
    }

    /// The panels in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        let length = self.outputs.next_multiple_of(PANEL) * self.depth();
        self.values[self.start..][..length].chunks_exact(self.depth() * PANEL)
    }
}
