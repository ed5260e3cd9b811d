//! AdamW and gradient descent with momentum.

use serde::{Deserialize, Serialize};

use crate::kernels::{AdamStep, Means, Precision, Workspace, adamw, momentum};

/// How parameters follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// AdamW with betas 0.9 and 0.999.
    AdamW,
    /// Gradient descent with momentum.
    Sgd {
        /// Share of the velocity that is kept each step.
        momentum: f32,
    },
}

/// Running means of one parameter; empty until its first update.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    first: Means,
    second: Means,
}

impl State {
    /// Whether these can be the means of a parameter of `elements`.
    pub(super) fn fits(&self, elements: usize) -> bool {
        [&self.first, &self.second]
            .iter()
            .all(|means| means.is_whole() && (means.is_empty() || means.len() == elements))
    }
}

/// The size of an update of one parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update {
    pub(super) rate: f32,
    pub(super) decay: f32,
    /// Factor on the gradient: gate and clipping.
    pub(super) scale: f32,
    /// Number of the step, from 1.
    pub(super) step: u32,
    /// How running means that are not there yet will be kept.
    pub(super) states: Precision,
}

impl State {
    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.first.bytes() + self.second.bytes()
    }

    /// Both means, of those that are kept in f32.
    #[cfg(feature = "candle")]
    pub(super) fn floats(&self) -> [&[f32]; 2] {
        [self.first.floats(), self.second.floats()]
    }

    /// Makes these its means.
    #[cfg(feature = "candle")]
    pub(super) fn set_floats(&mut self, [first, second]: [Vec<f32>; 2]) {
        (self.first, self.second) = (Means::of_floats(first), Means::of_floats(second));
    }
}

impl Optimizer {
    /// Decays of the means of AdamW.
    pub(super) const BETAS: [f32; 2] = [0.9, 0.999];
    /// What AdamW adds to the root of the second.
    pub(super) const EPS: f32 = 1e-8;

    /// Running means that it keeps of each parameter.
    pub(super) fn means(&self) -> usize {
        match self {
            Optimizer::AdamW => 2,
            Optimizer::Sgd { .. } => 1,
        }
    }

    pub(super) fn update(
        &self,
        workspace: &Workspace,
        values: &mut [f32],
        gradient: &[f32],
        state: &mut State,
        update: Update,
    ) {
        let Update { rate, decay, scale, step, states } = update;
        for means in [&mut state.first, &mut state.second].into_iter().take(self.means()) {
            if means.is_empty() {
                *means = Means::zeros(values.len(), states);
            }
        }
        match *self {
            Optimizer::AdamW => {
                let [beta1, beta2] = Self::BETAS;
                let step = AdamStep { rate, beta1, beta2, eps: Self::EPS, decay, step };
                adamw(workspace, values, gradient, scale, [&mut state.first, &mut state.second], step);
            }
            Optimizer::Sgd { momentum: share } => {
                momentum(workspace, values, gradient, scale, &mut state.first, [rate, share, decay], step);
            }
        }
    }
}
