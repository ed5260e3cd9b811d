//! What a plan knows of a task's weights: their shapes, which are the task's own, and which gradients are wanted.

use std::sync::Arc;

use super::ledger::{Buffer, Ledger};
use crate::base::Base;
use crate::runtime::{LayerId, LayerKind, Layout, Part};

/// The weights of a task in outline.
#[derive(Clone)]
pub(super) struct Outline<'a> {
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

impl<'a> Outline<'a> {
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

    pub(super) fn is_depthwise(&self, id: LayerId) -> bool {
        self.layout.layer(id).kind == LayerKind::Depthwise
    }

    pub(super) fn has_bias(&self, id: LayerId) -> bool {
        self.layout.layer(id).bias.is_some()
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

    /// The scratch in which a tensor is formed where it is not read in place: of the base's and a delta, or converted.
    pub(super) fn floats(&self, ledger: &Ledger, id: LayerId, part: Part) -> Option<Buffer> {
        let (layer, own) = (self.layout.layer(id), self.own[id.index()]);
        let view = self.base.tensor(layer.param(part)?.tensor?);
        if layer.kind == LayerKind::Head && self.classes.is_some() {
            return None;
        }
        let delta = own && matches!(part, Part::Weight | Part::Bias);
        let statistics = own && self.statistics && !delta;
        let sum = delta.then(|| ledger.take(1, view.elements()));
        let converted = (!statistics && view.as_f32().is_none()).then(|| ledger.take(1, view.elements()));
        sum.or(converted)
    }
}
