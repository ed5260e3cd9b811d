//! Which layers a task may change: how they are chosen, and how the task comes to own them.

use super::adapted::Adapted;
use super::budget::Budget;
use super::config::{Method, Norms, Patch, Select};
use super::course::{Course, Pass, Stage};
use super::error::Error;
use super::gate::Gate;
use super::phase::Phase;
use super::probe;
use super::progress::{Event, Observer};
use super::run::Run;
use super::select::{self, Worth};
use super::tuned_layer::TunedLayer;
use crate::runtime::{LayerKind, Network};

/// How many times what the limits allow is tuned with gates, where layers are chosen by scores among candidates.
const CANDIDATES: usize = 2;

impl<N: Network> Run<'_, N> {
    /// Chooses layers or candidates for them, or begins to train the scores that they are to be chosen by.
    pub(super) fn select(&mut self, course: &mut Course, observer: &mut dyn Observer) -> Result<(), Error> {
        let (config, layout) = (self.config, self.network.layout());
        let mut worth = match &config.select {
            Select::Scores => {
                layout.tapped().for_each(|id| course.adapted.own(id, Some(self.gate())));
                self.own_norms(&mut course.adapted);
                course.stage = Stage::Scores;
                return Ok(());
            }
            Select::Given(names) => select::given(self.network, names)?,
            Select::Ranked(ranking) => ranking.worth(self.network)?,
            Select::Last => select::last(layout),
            Select::Random => select::random(layout, &mut self.random),
            Select::Probe | Select::ProbeScores => self.probe(&course.adapted, observer)?,
        };
        if !matches!(config.select, Select::Given(_)) {
            let times = if config.has_candidates() { CANDIDATES } else { 1 };
            self.afford(&mut worth, &config.budget.widened(times))?;
        }
        self.stopped = observer.stop();
        let heads = 2 * course.adapted.own_bytes() + course.best.layers.iter().map(TunedLayer::bytes).sum::<usize>();
        self.end_phase(heads, self.sizes.probe.min(self.train.len()));
        self.chosen(course, worth, observer);
        Ok(())
    }

    /// What each layer is worth by its gradient with the base's weights and the task's head.
    pub(super) fn probe(&mut self, bare: &Adapted, observer: &mut dyn Observer) -> Result<Vec<Worth>, Error> {
        let mut order = self.order(self.sizes.probe);
        order.truncate(self.config.probe_batches * self.config.batch.div_ceil(self.sizes.probe));
        observer.event(&Event::Begin { phase: Phase::Select, steps: order.len() });
        let mut progress = |loss| {
            observer.event(&Event::Step { loss });
            !observer.stop()
        };
        let recompute = self.sizes.recompute;
        let ready = self.place.ready(bare)?;
        probe::probe_at(&ready, self.network, &self.data.train, &order, (&self.workspace, recompute), &mut progress)
    }

    /// Chooses the worthiest layers that `budget` can afford.
    pub(super) fn afford(&mut self, worth: &mut [Worth], budget: &Budget) -> Result<(), Error> {
        match &mut self.planner {
            Some(planner) if budget.weighs() => {
                planner.choose(worth, budget)?;
                self.sizes = planner.sizes;
                Ok(())
            }
            _ => {
                let (cap, bytes) = (budget.max_active_layers, budget.max_layer_bytes);
                let [cap, bytes] = [cap, bytes].map(|limit| limit.unwrap_or(usize::MAX));
                select::choose(self.network.layout(), worth, cap, bytes);
                Ok(())
            }
        }
    }

    /// Gives the task what it may change, the layers chosen by `worth` among it, to be tuned from the warm head.
    pub(super) fn chosen(&self, course: &mut Course, worth: Vec<Worth>, observer: &mut dyn Observer) {
        match self.config.method {
            Method::Taps if self.config.has_candidates() => observer.event(&Event::Candidates { layers: &worth }),
            Method::Taps => observer.event(&Event::Selected { layers: &worth }),
            _ => {}
        }
        if !self.stopped {
            course.adapted = self.with_head(course.warm.take().as_ref());
            self.open(&mut course.adapted, &worth);
            course.stage = Stage::Tune;
            course.pass = Pass::begin(1, &self.random);
        }
        course.worth = worth;
    }

    /// Steps with gates, of `total` in a stage.
    pub(super) fn gated_steps(&self, total: usize) -> usize {
        let share = if self.config.has_candidates() { self.config.gated_share } else { 1.0 };
        ((total as f32 * share).ceil() as usize).clamp(1, total.max(1))
    }

    /// Whether a choice among candidates is to end after step `step` of `total`: as many are left as there may be, or the
    /// steps with gates are over.
    pub(super) fn is_settled(&self, course: &Course, step: usize, total: usize) -> bool {
        let gated = course.adapted.gated().count();
        let few = self.config.budget.max_active_layers.is_some_and(|cap| gated <= cap);
        self.config.has_candidates() && gated > 0 && (few || step >= self.gated_steps(total))
    }

    /// Ends the choice among candidates: those with the highest scores that the budget affords go on without gates, the
    /// others are freed.
    pub(super) fn settle(&mut self, course: &mut Course, observer: &mut dyn Observer) -> Result<(), Error> {
        let mut worth = select::candidates(self.network, &course.adapted);
        self.afford(&mut worth, &self.config.budget)?;
        course.at_once = Some((self.sizes.step, self.sizes.recompute));
        course.adapted.settle(|id| worth.iter().any(|worth| worth.layer == id && worth.chosen));
        observer.event(&Event::Selected { layers: &worth });
        course.worth = worth;
        Ok(())
    }

    pub(super) fn gate(&self) -> Gate {
        Gate::new(self.config.initial_score, self.config.threshold)
    }

    pub(super) fn own_norms(&self, adapted: &mut Adapted) {
        let layout = self.network.layout();
        let norms = self.config.resolved_norms(layout);
        for (id, layer) in layout.layers().filter(|(_, layer)| layer.kind == LayerKind::Norm) {
            if norms != Norms::Frozen {
                adapted.own(id, None);
            }
            if norms == Norms::Statistics && layer.statistics.is_some() {
                adapted.own_statistics(id);
            }
        }
    }

    /// Gives the task what the method lets it change.
    fn open(&self, adapted: &mut Adapted, worth: &[Worth]) {
        let layout = self.network.layout();
        match self.config.method {
            Method::Head => {}
            Method::Taps => {
                // Where the choice is made there is no gate. A penalty would go on closing layers whose deltas have
                // done their work, since ⟨∂L/∂W, δ⟩ vanishes where training converges.
                let is_open = self.config.has_candidates() || !self.config.is_decided();
                let gate = || is_open.then(|| self.gate());
                worth.iter().filter(|worth| worth.chosen).for_each(|worth| adapted.own(worth.layer, gate()));
            }
            Method::Patch(Patch::ScaleBias) => {}
            Method::Patch(Patch::Depthwise) => {
                let depthwise = layout.layers().filter(|(_, layer)| layer.kind == LayerKind::Depthwise);
                depthwise.for_each(|(id, _)| adapted.own(id, None));
            }
            Method::Full => {
                let body =
                    layout.layers().filter(|(_, layer)| !matches!(layer.kind, LayerKind::Head | LayerKind::Norm));
                body.for_each(|(id, _)| adapted.own(id, None));
            }
        }
        self.own_norms(adapted);
    }
}
