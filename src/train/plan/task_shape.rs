//! What a plan knows of a task's weights: their shapes, which are the task's own, and which gradients are wanted.

use std::sync::Arc;

use crate::base::Base;
use crate::runtime::{LayerId, LayerKind, Layout, Part, WeightRef, Weights};

/// The weights of a task without their values.
#[derive(Clone)]
pub(super) struct TaskShape<'a> {
    pub(super) base: &'a Base,
    pub(super) layout: Arc<Layout>,
    /// Classes of the task's own head; `None` where the base's head is kept.
    pub(super) classes: Option<usize>,
    /// Layers with deltas of the task's own.
    pub(super) own: Vec<bool>,
    /// Layers whose gradients are wanted.
    pub(super) wanted: Vec<bool>,
    /// Whether norms have running statistics of the task's own, and batches are normalized by theirs.
    pub(super) statistics: bool,
}

impl<'a> TaskShape<'a> {
    /// The base, and a head.
    pub(super) fn new(base: &'a Base, layout: &Arc<Layout>, classes: Option<usize>) -> Self {
        let none = vec![false; layout.len()];
        Self { base, layout: layout.clone(), classes, own: none.clone(), wanted: none, statistics: false }
    }

    /// The same with layers that are changed, and the head where it is the task's own.
    pub(super) fn with(mut self, layers: impl IntoIterator<Item = LayerId>) -> Self {
        for id in layers {
            self.own[id.index()] = true;
            self.wanted[id.index()] = true;
        }
        let head = self.layout.head().index();
        self.wanted[head] |= self.classes.is_some();
        self
    }

    pub(super) fn is_wanted(&self, id: LayerId) -> bool {
        self.wanted[id.index()]
    }

    /// Elements of a layer's weight.
    pub(super) fn elements(&self, id: LayerId) -> usize {
        let layer = self.layout.layer(id);
        match self.classes {
            Some(classes) if layer.kind == LayerKind::Head => classes * self.layout.features(),
            _ => layer.weight.elements(),
        }
    }

    /// Elements of everything that a layer's delta, or the head, has.
    pub(super) fn delta(&self, id: LayerId) -> usize {
        let layer = self.layout.layer(id);
        match self.classes {
            Some(classes) if layer.kind == LayerKind::Head => classes * (self.layout.features() + 1),
            _ => layer.elements(),
        }
    }
}

impl Weights for TaskShape<'_> {
    fn param(&self, id: LayerId, part: Part) -> Option<WeightRef<'_>> {
        let (layer, own) = (self.layout.layer(id), self.own[id.index()]);
        if let (LayerKind::Head, Some(classes)) = (layer.kind, self.classes) {
            return match part {
                Part::Weight => Some(WeightRef::Absent(self.elements(id))),
                Part::Bias => Some(WeightRef::Absent(classes)),
                Part::Mean | Part::Variance => None,
            };
        }
        let view = self.base.tensor(layer.param(part)?.tensor?);
        Some(match part {
            Part::Weight | Part::Bias if own => WeightRef::Sum(view, &[]),
            Part::Mean | Part::Variance if own && self.statistics => WeightRef::Absent(view.elements()),
            _ => WeightRef::Base(view),
        })
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn name(&self) -> &str {
        "planned"
    }
}
