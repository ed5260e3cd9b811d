//! What a task that is being trained has of its own in one layer.

use serde::{Deserialize, Serialize};

use super::gate::Gate;
use super::optimizer::State;
use crate::base::TensorView;
use crate::graph::LayerGrad;
use crate::kernels::{Tensor, Workspace, add_assign, add_into, dot, squared_norm};
use crate::runtime::{Layer, LayerKind, Part, WeightRef};

/// The task's own part of one layer: its weight and bias under one gate, or under none.
#[derive(Serialize, Deserialize)]
pub(super) struct OwnLayer {
    pub(super) gate: Option<Gate>,
    pub(super) weight: OwnParam,
    pub(super) bias: Option<OwnParam>,
    /// Running mean and variance of a batch normalization that follows the task's data.
    pub(super) statistics: Option<[Vec<f32>; 2]>,
}

impl OwnLayer {
    pub(super) fn is_open(&self) -> bool {
        self.gate.as_ref().is_none_or(Gate::is_open)
    }

    pub(super) fn params(&self) -> impl Iterator<Item = &OwnParam> {
        std::iter::once(&self.weight).chain(&self.bias)
    }

    pub(super) fn params_mut(&mut self) -> impl Iterator<Item = &mut OwnParam> {
        std::iter::once(&mut self.weight).chain(&mut self.bias)
    }

    /// Whether the values are as many as the layer's; a head may have any number of classes.
    pub(super) fn fits(&self, layer: &Layer) -> bool {
        let values = |part, found: Option<&[f32]>| match layer.param(part) {
            Some(_) if layer.kind == LayerKind::Head => true,
            Some(param) => found.is_none_or(|found| found.len() == param.elements()),
            None => found.is_none(),
        };
        let [mean, variance] = [0, 1].map(|which| self.statistics.as_ref().map(|both| &both[which][..]));
        values(Part::Weight, Some(&self.weight.values))
            && values(Part::Bias, self.bias.as_ref().map(|bias| &bias.values[..]))
            && values(Part::Mean, mean)
            && values(Part::Variance, variance)
            && self.params().all(|param| param.state.fits(param.values.len()))
    }

    /// Adds the layer's gradients to those it holds.
    pub(super) fn accumulate(&mut self, gradient: LayerGrad) {
        self.weight.accumulate(gradient.weight);
        if let (Some(bias), Some(gradient)) = (&mut self.bias, gradient.bias) {
            bias.accumulate(gradient);
        }
    }

    /// ⟨∂L/∂W, δ⟩ over weight and bias.
    pub(super) fn along_delta(&self) -> f32 {
        self.params().map(|param| param.gradient.as_ref().map_or(0.0, |gradient| dot(gradient, &param.values))).sum()
    }

    /// Bytes of all that it owns but gradients.
    pub(super) fn bytes(&self) -> usize {
        let params: usize = self.params().map(|param| param.values.len() + param.merged.len()).sum();
        let statistics: usize = self.statistics.iter().flatten().map(Vec::len).sum();
        let states: usize = self.params().map(|param| param.state.bytes()).sum();
        size_of::<f32>() * (params + statistics) + states
    }

    pub(super) fn squared_gradient(&self) -> f32 {
        self.params().map(|param| param.gradient.as_ref().map_or(0.0, |gradient| squared_norm(gradient))).sum()
    }
}

/// One tensor of the task's own.
#[derive(Serialize, Deserialize)]
pub(super) struct OwnParam {
    /// The delta; for a tensor that the base lacks, the values themselves.
    pub(super) values: Vec<f32>,
    /// Whether the values are a delta.
    #[serde(skip)]
    is_delta: bool,
    /// The delta and other weights than the base's that it is of; empty where it is of the base's.
    #[serde(skip)]
    merged: Vec<f32>,
    #[serde(skip)]
    pub(super) gradient: Option<Tensor>,
    pub(super) state: State,
}

impl OwnParam {
    /// A zero delta of a base tensor of `elements`.
    pub(super) fn delta(elements: usize) -> Self {
        Self { is_delta: true, ..Self::replacement(vec![0.0; elements]) }
    }

    /// A tensor in place of one that the base lacks or that is replaced whole.
    pub(super) fn replacement(values: Vec<f32>) -> Self {
        Self { values, is_delta: false, merged: Vec::new(), gradient: None, state: State::default() }
    }

    /// Whether its values are added to the base's.
    #[cfg(feature = "candle")]
    pub(super) fn is_delta(&self) -> bool {
        self.is_delta
    }

    /// Makes a read tensor a delta.
    pub(super) fn set_delta(&mut self) {
        self.is_delta = true;
    }

    /// The values a forward pass uses, over a tensor of the base.
    pub(super) fn over<'a>(&'a self, base: Option<TensorView<'a>>) -> WeightRef<'a> {
        match base {
            Some(base) if self.is_delta && self.merged.is_empty() => WeightRef::Sum(base, &self.values),
            _ if self.merged.is_empty() => WeightRef::Merged(&self.values),
            _ => WeightRef::Merged(&self.merged),
        }
    }

    /// Makes a delta one of `ground` in place of the base's tensor.
    pub(super) fn merge(&mut self, workspace: &Workspace, ground: Option<WeightRef<'_>>) {
        if let (Some(ground), true) = (ground, self.is_delta) {
            self.merged.resize(self.values.len(), 0.0);
            add_into(workspace, &mut self.merged, ground.matrix(workspace).get(), &self.values);
        }
    }

    fn accumulate(&mut self, gradient: Tensor) {
        match &mut self.gradient {
            Some(sum) => add_assign(sum, &gradient),
            empty => *empty = Some(gradient),
        }
    }
}
