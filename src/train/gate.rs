//! TAPS's gate: a score for each tapped layer, and whether its delta is used (arXiv 2203.16708, section 3).

use serde::{Deserialize, Serialize};

use super::optimizer::State;

/// The score of one layer. Its delta is used while the score is at or above the threshold τ.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gate {
    score: f32,
    threshold: f32,
    pub(super) state: State,
}

impl Gate {
    /// A gate with this score and threshold.
    pub fn new(score: f32, threshold: f32) -> Self {
        Self { score, threshold, state: State::default() }
    }

    /// The score s.
    pub fn score(&self) -> f32 {
        self.score
    }

    /// I(s): whether the delta is used.
    pub fn is_open(&self) -> bool {
        self.score >= self.threshold
    }

    /// Closes the gate by moving its score just below the threshold.
    pub fn close(&mut self) {
        self.score = self.threshold - 1e-3;
    }

    /// ∂/∂s of the loss with the straight-through step function, ⟨∂L/∂W, δ⟩, and of the penalty
    /// (λ / L) |s|.
    pub(super) fn gradient(&self, along_delta: f32, penalty: f32) -> f32 {
        let sign = if self.score == 0.0 { 0.0 } else { self.score.signum() };
        along_delta + penalty * sign
    }

    pub(super) fn score_mut(&mut self) -> (&mut f32, &mut State) {
        (&mut self.score, &mut self.state)
    }
}
