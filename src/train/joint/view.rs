//! A task over weights that are trained with it.

use crate::runtime::{LayerId, Layout, Part, WeightRef, Weights};
use crate::train::Adapted;

/// The weights of one task: its own where it has any in use, whose deltas are over the shared ones, and the shared
/// ones elsewhere.
pub(super) struct View<'a> {
    pub(super) shared: &'a Adapted,
    pub(super) own: &'a Adapted,
}

impl Weights for View<'_> {
    fn param(&self, layer: LayerId, part: Part) -> Option<WeightRef<'_>> {
        self.own.own_param(layer, part).or_else(|| self.shared.param(layer, part))
    }

    fn layout(&self) -> &Layout {
        self.shared.layout()
    }

    fn name(&self) -> &str {
        self.own.name()
    }
}
