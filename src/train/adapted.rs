//! A task that is being trained: the base, and deltas of the layers that may change.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::gate::Gate;
use super::optimizer::{Optimizer, State, Update};
use super::own::{OwnLayer, OwnParam};
use crate::base::Base;
use crate::graph::{LayerGrad, Moments};
use crate::kernels::{Precision, Workspace};
use crate::runtime::{Layer, LayerId, LayerKind, Layout, Part, WeightRef, Weights};

/// The weights of a task that is being trained.
pub struct Adapted {
    base: Base,
    layout: Arc<Layout>,
    own: Vec<Option<OwnLayer>>,
    wanted: Vec<bool>,
    tapped: usize,
    highest: usize,
}

/// Settings of one update.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// How parameters follow their gradients.
    pub optimizer: Optimizer,
    /// How the optimizer keeps its running means.
    pub states: Precision,
    /// Learning rate of deltas.
    pub rate: f32,
    /// Learning rate of the head.
    pub head_rate: f32,
    /// Learning rate of scores.
    pub score_rate: f32,
    /// Decay of delta and head weights; biases, norms and scores do not decay.
    pub decay: f32,
    /// Weight λ of the penalty on scores.
    pub lambda: f32,
    /// Whether the penalty on a score is in proportion to the bytes of its layer, with λ for one of mean size.
    pub by_bytes: bool,
    /// Largest norm of all gradients together.
    pub clip: Option<f32>,
    /// Number of the step, from 1.
    pub number: u32,
}

/// Learning rate and decay of a tensor, of those of deltas, the rate of the head, and the decay of weights.
pub(super) fn pace(kind: LayerKind, is_weight: bool, [rate, head_rate, decay]: [f32; 3]) -> [f32; 2] {
    let (rate, decay) = match kind {
        LayerKind::Head => (head_rate, decay),
        LayerKind::Linear | LayerKind::Depthwise => (rate, decay),
        LayerKind::Norm | LayerKind::Embedding => (rate, 0.0),
    };
    [rate, if is_weight { decay } else { 0.0 }]
}

impl Step {
    /// The factor that brings gradients of this norm to the largest that there may be.
    pub(super) fn clipped(&self, norm: f32) -> f32 {
        self.clip.map_or(1.0, |clip| if norm > clip { clip / norm } else { 1.0 })
    }
}

impl Adapted {
    /// The base, with nothing of the task's own.
    pub fn new(base: &Base, layout: &Arc<Layout>) -> Self {
        Self {
            base: base.clone(),
            own: layout.layers().map(|_| None).collect(),
            wanted: vec![false; layout.len()],
            tapped: layout.tapped().count(),
            layout: layout.clone(),
            highest: 0,
        }
    }

    /// Gives the task a zero delta of a layer, under a gate or under none.
    pub fn own(&mut self, id: LayerId, gate: Option<Gate>) {
        let layer = self.layout.layer(id);
        let delta = |param: &crate::runtime::Param| OwnParam::delta(param.elements());
        let bias = layer.bias.as_ref().map(delta);
        let own = OwnLayer { gate, weight: delta(&layer.weight), bias, statistics: None };
        self.own[id.index()] = Some(own);
        self.wanted[id.index()] = true;
    }

    /// Gives the task a head: weight `[classes, features]` and bias `[classes]`.
    pub fn set_head(&mut self, weight: Vec<f32>, bias: Vec<f32>) {
        let head = self.layout.head().index();
        let (weight, bias) = (OwnParam::replacement(weight), Some(OwnParam::replacement(bias)));
        self.own[head] = Some(OwnLayer { gate: None, weight, bias, statistics: None });
        self.wanted[head] = true;
    }

    /// Gives the task running statistics of an owned batch normalization, which start as the base's.
    pub fn own_statistics(&mut self, id: LayerId) {
        let layer = self.layout.layer(id);
        let values = |part| Some(self.base.tensor(layer.param(part)?.tensor?).to_vec());
        if let (Some(own), Some(mean), Some(variance)) =
            (&mut self.own[id.index()], values(Part::Mean), values(Part::Variance))
        {
            own.statistics = Some([mean, variance]);
        }
    }

    /// Moves owned running statistics towards those of a batch by the share `momentum`; the variance towards the unbiased
    /// one, as in the field.
    pub fn follow(&mut self, moments: &Moments, momentum: f32) {
        let own = self.own[moments.layer.index()].as_mut().and_then(|own| own.statistics.as_mut());
        let Some([mean, variance]) = own else { return };
        let unbiased = moments.rows as f32 / moments.rows.saturating_sub(1).max(1) as f32;
        let towards = |running: &mut [f32], batch: &[f32], factor: f32| {
            running
                .iter_mut()
                .zip(batch)
                .for_each(|(running, &batch)| *running += momentum * (batch * factor - *running));
        };
        towards(mean, &moments.mean, 1.0);
        towards(variance, &moments.variance, unbiased);
    }

    /// Takes a layer back to the base's for good, and frees its delta.
    pub fn free(&mut self, id: LayerId) {
        self.own[id.index()] = None;
        self.wanted[id.index()] = false;
    }

    /// Frees layers whose gates are closed, those with the lowest scores first, as long as more than `least` have gates;
    /// returns them.
    pub fn free_closed(&mut self, least: usize) -> Vec<LayerId> {
        let spare = self.gated().count().saturating_sub(least);
        let mut closed: Vec<(f32, LayerId)> =
            self.gated().filter(|(_, gate)| !gate.is_open()).map(|(id, gate)| (gate.score(), id)).collect();
        closed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let freed: Vec<LayerId> = closed.into_iter().take(spare).map(|(_, id)| id).collect();
        freed.iter().for_each(|&id| self.free(id));
        freed
    }

    /// Closes the gates of all but the `cap` open layers with the highest scores.
    pub fn cap(&mut self, cap: usize) {
        let mut open: Vec<(f32, LayerId)> =
            self.gated().filter(|(_, gate)| gate.is_open()).map(|(id, gate)| (gate.score(), id)).collect();
        open.sort_by(|a, b| b.0.total_cmp(&a.0));
        for &(_, id) in open.iter().skip(cap) {
            if let Some(gate) = self.own[id.index()].as_mut().and_then(|own| own.gate.as_mut()) {
                gate.close();
            }
        }
    }

    /// Ends the choice of layers: the gated ones that are `chosen` lose their gate, and the others are freed.
    pub(super) fn settle(&mut self, chosen: impl Fn(LayerId) -> bool) {
        for id in self.gated().map(|(id, _)| id).collect::<Vec<_>>() {
            match &mut self.own[id.index()] {
                Some(own) if chosen(id) => own.gate = None,
                _ => self.free(id),
            }
        }
    }

    /// Layers with a gate, in network order.
    pub fn gated(&self) -> impl Iterator<Item = (LayerId, &Gate)> {
        self.layout.layers().filter_map(|(id, _)| Some((id, self.own[id.index()].as_ref()?.gate.as_ref()?)))
    }

    /// Tapped layers that are active: with an open gate, or without one.
    pub fn active(&self) -> impl Iterator<Item = LayerId> {
        self.layout.tapped().filter(|id| self.own[id.index()].as_ref().is_some_and(OwnLayer::is_open))
    }

    /// The delta of one tensor of a layer; for the head and for statistics the values. `None` where the task has
    /// none.
    pub fn delta(&self, id: LayerId, part: Part) -> Option<&[f32]> {
        let own = self.own[id.index()].as_ref()?;
        match part {
            Part::Weight => Some(&own.weight.values),
            Part::Bias => own.bias.as_ref().map(|bias| bias.values.as_slice()),
            Part::Mean => own.statistics.as_ref().map(|[mean, _]| mean.as_slice()),
            Part::Variance => own.statistics.as_ref().map(|[_, variance]| variance.as_slice()),
        }
    }

    /// Whether the task has its own, used values in a layer.
    pub fn is_active(&self, id: LayerId) -> bool {
        self.own[id.index()].as_ref().is_some_and(OwnLayer::is_open)
    }

    /// For each layer whether its gradient is wanted.
    pub fn wanted(&self) -> &[bool] {
        &self.wanted
    }

    /// Tensors that are trained, with their layers.
    #[cfg(feature = "candle")]
    pub(super) fn trained(&self) -> impl Iterator<Item = (LayerId, Part, &OwnParam)> {
        let layers = self.own.iter().enumerate().filter_map(|(index, own)| Some((LayerId(index), own.as_ref()?)));
        layers.flat_map(|(id, own)| {
            [Part::Weight, Part::Bias].into_iter().zip(own.params()).map(move |(part, param)| (id, part, param))
        })
    }

    /// One of them.
    #[cfg(feature = "candle")]
    pub(super) fn trained_mut(&mut self, id: LayerId, part: Part) -> Option<&mut OwnParam> {
        let own = self.own[id.index()].as_mut()?;
        match part {
            Part::Weight => Some(&mut own.weight),
            Part::Bias => own.bias.as_mut(),
            Part::Mean | Part::Variance => None,
        }
    }

    /// The penalty (λ / L) Σ |s| over the L tapped layers of the network.
    pub fn penalty(&self, lambda: f32) -> f32 {
        lambda / self.tapped.max(1) as f32 * self.gated().map(|(_, gate)| gate.score().abs()).sum::<f32>()
    }

    /// Adds a layer's gradients to those of the next update.
    pub fn accumulate(&mut self, id: LayerId, gradient: LayerGrad) {
        if let Some(own) = &mut self.own[id.index()] {
            own.accumulate(gradient);
        }
    }

    /// As [`Adapted::update`], with deltas of the weights `ground` in place of the base's from now on.
    #[must_use]
    pub fn update_over(&mut self, workspace: &Workspace, step: Step, ground: &impl Weights) -> bool {
        let followed = self.update(workspace, step);
        let layers = self.own.iter_mut().enumerate().filter_map(|(index, own)| Some((LayerId(index), own.as_mut()?)));
        for (id, own) in layers.filter(|(_, own)| followed && own.is_open()) {
            own.weight.merge(workspace, ground.param(id, Part::Weight));
            if let Some(bias) = &mut own.bias {
                bias.merge(workspace, ground.param(id, Part::Bias));
            }
        }
        followed
    }

    /// Forgets what the optimizer keeps.
    pub(super) fn forget(&mut self) {
        for own in self.own.iter_mut().flatten() {
            own.params_mut().for_each(|param| param.state = State::default());
            own.gate.iter_mut().for_each(|gate| gate.state = State::default());
        }
    }

    /// The most bytes that deltas and optimizer states have had.
    pub fn own_bytes(&self) -> usize {
        self.highest.max(self.bytes())
    }

    fn bytes(&self) -> usize {
        self.own.iter().flatten().map(OwnLayer::bytes).sum()
    }

    /// Updates deltas, scores and head from the accumulated gradients. Where the norm of the gradients is no number,
    /// they are dropped and nothing changes; returns whether it is one.
    #[must_use]
    pub fn update(&mut self, workspace: &Workspace, step: Step) -> bool {
        let open = |own: &&OwnLayer| own.is_open();
        let norm = self.own.iter().flatten().filter(open).map(OwnLayer::squared_gradient).sum::<f32>().sqrt();
        if !norm.is_finite() {
            self.own.iter_mut().flatten().flat_map(OwnLayer::params_mut).for_each(|param| param.gradient = None);
            return false;
        }
        let clipped = step.clipped(norm);
        let penalty = step.lambda / self.tapped.max(1) as f32;
        let mean = self.layout.tapped().map(|id| self.layout.layer(id).elements()).sum::<usize>() as f32
            / self.tapped.max(1) as f32;
        for (id, layer) in self.layout.layers() {
            let Some(own) = &mut self.own[id.index()] else { continue };
            let scale = if own.is_open() { clipped } else { 0.0 };
            let along = own.along_delta() * clipped;
            for (part, param) in own.params_mut().enumerate() {
                let Some(gradient) = param.gradient.take() else { continue };
                let [rate, decay] = pace(layer.kind, part == 0, [step.rate, step.head_rate, step.decay]);
                let update = Update { rate, decay, scale, step: step.number, states: step.states };
                step.optimizer.update(workspace, &mut param.values, &gradient, &mut param.state, update);
            }
            if let Some(gate) = &mut own.gate {
                let price = if step.by_bytes { layer.elements() as f32 / mean } else { 1.0 };
                let gradient = gate.gradient(along, penalty * price);
                let (rate, decay, scale) = (step.score_rate, 0.0, 1.0);
                let update = Update { rate, decay, scale, step: step.number, states: step.states };
                let (score, state) = gate.score_mut();
                step.optimizer.update(workspace, std::slice::from_mut(score), &[gradient], state, update);
            }
        }
        self.highest = self.own_bytes();
        true
    }

    /// What was serialized, over `base` again; nothing where the layers are not those of `layout`.
    pub(super) fn restored(base: &Base, layout: &Arc<Layout>, own: Vec<Option<OwnLayer>>) -> Option<Self> {
        let mut adapted = Self::new(base, layout);
        let fits = |(id, own): (LayerId, &Option<OwnLayer>)| own.as_ref().is_none_or(|own| own.fits(layout.layer(id)));
        if own.len() != layout.len() || !layout.layers().map(|(id, _)| id).zip(&own).all(fits) {
            return None;
        }
        adapted.wanted = own.iter().map(Option::is_some).collect();
        adapted.own = own;
        let head = layout.head().index();
        let deltas = adapted.own.iter_mut().enumerate().filter(|&(id, _)| id != head);
        deltas.filter_map(|(_, own)| own.as_mut()).flat_map(OwnLayer::params_mut).for_each(OwnParam::set_delta);
        Some(adapted)
    }

    /// The weights, head or statistics that the task has of its own and uses.
    pub(super) fn own_param(&self, id: LayerId, part: Part) -> Option<WeightRef<'_>> {
        let own = self.own[id.index()].as_ref().filter(|own| own.is_open())?;
        let base = || Some(self.base.tensor(self.layout.layer(id).param(part)?.tensor?));
        match part {
            Part::Weight => Some(own.weight.over(base())),
            Part::Bias => own.bias.as_ref().map(|bias| bias.over(base())),
            Part::Mean => own.statistics.as_ref().map(|[mean, _]| WeightRef::Merged(mean)),
            Part::Variance => own.statistics.as_ref().map(|[_, variance]| WeightRef::Merged(variance)),
        }
    }
}

fn base_param<'a>(base: &'a Base, layer: &Layer, part: Part) -> Option<WeightRef<'a>> {
    Some(WeightRef::Base(base.tensor(layer.param(part)?.tensor?)))
}

/// As what is the task's own: for each layer of the network its values, optimizer states and gate, or nothing.
impl Serialize for Adapted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.own.serialize(serializer)
    }
}

impl Weights for Adapted {
    fn param(&self, id: LayerId, part: Part) -> Option<WeightRef<'_>> {
        self.own_param(id, part).or_else(|| base_param(&self.base, self.layout.layer(id), part))
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn name(&self) -> &str {
        "being trained"
    }
}
