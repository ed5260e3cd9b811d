//! Steps and epochs of a fine-tune.

use std::time::Instant;

use super::adapted::Step;
use super::batches::count;
use super::checkpoint::Keeper;
use super::config::Norms;
use super::course::{Best, Course, Pass, Stage};
use super::error::Error;
use super::head::Head;
use super::improved::Improved;
use super::phase::Phase;
use super::place::{BackwardOptions, Ready};
use super::progress::{Event, Observer};
use super::resident::{Resident, Stepped};
use super::run::Run;
use super::schedule::cosine;
use super::select;
use super::tuned_layer::TunedLayer;
use super::varied::Varied;
use crate::graph::{LayerGrad, Moments};
use crate::kernels::Tensor;
use crate::runtime::{Arithmetic, Examples, LayerId, Network, Weights};

/// Dropped steps in a row after which the learning rate is halved.
const HALVED_AFTER: u32 = 3;
/// Dropped steps in a row after which the run ends.
const ENDED_AFTER: u32 = 12;

/// What one batch teaches.
pub(super) struct Learned {
    /// Mean loss, without the penalty.
    pub(super) loss: f32,
    pub(super) gradients: Vec<(LayerId, LayerGrad)>,
    /// What batch normalizations saw.
    pub(super) moments: Vec<Moments>,
}

impl<N: Network> Run<'_, N> {
    /// TAPS with a gate on every layer, gates free to close and to open again; then chooses by the scores.
    pub(super) fn score_layers(
        &mut self,
        course: &mut Course,
        keeper: &mut Keeper<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let steps = self.steps_per_epoch() * self.config.select_epochs;
        // Of few steps half are left to tune what is chosen.
        let total = steps.min(self.config.budget.max_steps.map_or(usize::MAX, |steps| steps / 2));
        observer.event(&Event::Begin { phase: Phase::Select, steps: total });
        while course.pass.epoch <= self.config.select_epochs && !self.stopped && !self.is_over() {
            self.pass(course, total, keeper, observer)?;
            if !self.stopped {
                course.pass = Pass::begin(course.pass.epoch + 1, &self.random);
            }
        }
        if !self.stopped {
            let mut worth = select::scores(self.network, &course.adapted);
            self.afford(&mut worth, &self.config.budget)?;
            let heads = course.warm.as_ref().map_or(0, Head::bytes);
            let best: usize = course.best.layers.iter().map(TunedLayer::bytes).sum();
            self.end_phase(heads + best + course.adapted.own_bytes(), self.sizes.step);
            self.chosen(course, worth, observer);
        }
        Ok(())
    }

    /// Tunes what the task may change and keeps the best epoch.
    pub(super) fn tune(
        &mut self,
        course: &mut Course,
        keeper: &mut Keeper<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let total = course.total.unwrap_or(0);
        let of = total.div_ceil(self.steps_per_epoch().max(1));
        observer.event(&Event::Begin { phase: Phase::Tune, steps: total });
        while course.pass.epoch <= of {
            self.pass(course, total, keeper, observer)?;
            if self.stopped {
                return Ok(());
            }
            if course.pass.done > 0 {
                self.end_epoch(course, of, observer)?;
            }
            let epoch = course.pass.epoch;
            let patience = self.config.patience.is_some_and(|patience| epoch - course.best.epoch >= patience);
            if patience || self.is_over() {
                break;
            }
            course.pass = Pass::begin(epoch + 1, &self.random);
        }
        course.stage = Stage::Done;
        keeper.keep(self, course, observer);
        Ok(())
    }

    /// Validates, and keeps what is better than all before and has no more layers than it may.
    fn end_epoch(&self, course: &mut Course, of: usize, observer: &mut dyn Observer) -> Result<(), Error> {
        let (epoch, score) = (course.pass.epoch, self.validate(&course.adapted)?);
        let is_chosen = !self.config.has_candidates() || course.adapted.gated().next().is_none();
        // What was asked for to be compared is never the head alone.
        let is_first = course.best.epoch == 0 && !self.config.may_end_as_head();
        let better = is_chosen && (is_first || score.examples == 0 || score.is_better_than(&course.best.score));
        if better {
            // What was best is let go of before the better one is copied.
            course.best.layers = Vec::new();
            let layers = TunedLayer::snapshot(&course.adapted, self.network.layout());
            course.best = Best { layers, score, epoch };
        }
        observer.event(&Event::Epoch {
            epoch,
            of,
            loss: course.pass.mean_loss(),
            validation: score,
            active: course.adapted.active().count(),
            best: better,
        });
        if better {
            observer.event(&Event::Improved(&Improved::new(self, &course.best)));
        }
        Ok(())
    }

    pub(super) fn steps_per_epoch(&self) -> usize {
        count(self.train.len(), self.config.batch)
    }

    /// What is left of the pass that is under way, up to step `total` or the end of the time.
    fn pass(
        &mut self,
        course: &mut Course,
        total: usize,
        keeper: &mut Keeper<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let order = self.order(self.config.batch);
        let before = (course.pass.epoch - 1) * order.len();
        let mut there = self.resident(&course.adapted)?;
        for (number, batch) in order.iter().enumerate().skip(course.pass.done) {
            let step = before + number;
            if step >= total || self.is_over() {
                break;
            }
            self.step(course, there.as_mut(), batch, [step, total], observer)?;
            course.pass.done = number + 1;
            if course.stage == Stage::Tune && self.is_settled(course, step + 1, total) {
                self.settle(course, observer)?;
                there = self.resident(&course.adapted)?;
            }
            self.stopped = observer.stop();
            if keeper.is_due() || self.stopped {
                there.iter().try_for_each(|there| there.write_back(&mut course.adapted))?;
                keeper.keep(self, course, observer);
            }
            if self.stopped {
                break;
            }
        }
        there.iter().try_for_each(|there| there.write_back(&mut course.adapted))
    }

    /// One step of forward, backward and update. One whose loss or gradient is no number changes nothing.
    fn step(
        &mut self,
        course: &mut Course,
        there: Option<&mut Resident>,
        batch: &[usize],
        [step, total]: [usize; 2],
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let adapted = &mut course.adapted;
        let update = self.update(step, total, self.gated_steps(total));
        let Stepped { loss, moments, done } = match there {
            Some(there) => self.step_there(there, adapted.wanted(), batch, update)?,
            None => {
                let Learned { loss, gradients, moments } = self.gradients(adapted, adapted.wanted(), batch)?;
                gradients.into_iter().for_each(|(id, gradient)| adapted.accumulate(id, gradient));
                let done = loss.is_finite() && adapted.update(&self.workspace, update);
                Stepped { loss, moments, done }
            }
        };
        if done {
            moments.iter().for_each(|moments| adapted.follow(moments, self.config.momentum));
            course.pass.loss += loss * batch.len() as f32;
            course.pass.learned += batch.len();
        }
        if course.stage == Stage::Tune {
            // Without limits a closed gate may open again, as in the paper.
            let freed = match self.config.has_candidates() {
                true => adapted.free_closed(self.config.budget.max_active_layers.unwrap_or(0)),
                false => Vec::new(),
            };
            if !freed.is_empty() {
                observer.event(&Event::Freed { layers: &freed, left: adapted.active().count() });
            }
            self.counts.tuned += 1;
            self.counts.tuning += started.elapsed();
        }
        self.counts.steps += 1;
        observer.event(&Event::Step { loss });
        if done {
            self.counts.in_row = 0;
            return Ok(());
        }
        // Weights that were written over are whose fault it is then.
        self.check_base()?;
        // Numbers of 16 bits may overflow once and not again; f32 at the base will do it in every step.
        if self.counts.steps == 1 && self.config.arithmetic == Arithmetic::F32 {
            return Err(Error::NotFinite { what: "the loss or a gradient of the first step".to_owned(), loss });
        }
        self.drop_step(loss, observer)
    }

    /// Counts a step that taught nothing, and slows down or ends the run after several.
    fn drop_step(&mut self, loss: f32, observer: &mut dyn Observer) -> Result<(), Error> {
        let counts = &mut self.counts;
        (counts.dropped, counts.in_row) = (counts.dropped + 1, counts.in_row + 1);
        if counts.in_row.is_multiple_of(HALVED_AFTER) {
            counts.slowed /= 2.0;
        }
        observer.event(&Event::Dropped { step: counts.steps, loss, slowed: counts.slowed });
        match counts.in_row < ENDED_AFTER {
            true => Ok(()),
            false => Err(Error::Diverged { step: counts.steps, rate: self.config.rate }),
        }
    }

    /// Forward and, where the loss is a number, backward over one batch, as many examples at once as there may be.
    pub(super) fn gradients(&self, weights: &impl Weights, wanted: &[bool], batch: &[usize]) -> Result<Learned, Error> {
        let mut all = Learned { loss: 0.0, gradients: Vec::new(), moments: Vec::new() };
        let ready = self.place.ready(weights)?;
        for (part, share, seed) in self.parts(batch) {
            self.add_gradients(&ready, wanted, &self.varied(part, seed)?, share, &mut all)?;
            if !all.loss.is_finite() {
                all.gradients.clear();
                break;
            }
        }
        Ok(all)
    }

    /// As many examples of a batch as there may be at once, the share of it that they are, and a seed.
    pub(super) fn parts<'b>(&self, batch: &'b [usize]) -> impl Iterator<Item = (&'b [usize], f32, u64)> + use<'b, N> {
        let seed = self.config.seed.wrapping_add(u64::from(self.counts.steps) << 32);
        let parts = batch.chunks(self.sizes.step).enumerate();
        parts
            .map(move |(number, part)| (part, part.len() as f32 / batch.len() as f32, seed.wrapping_add(number as u64)))
    }

    /// Examples as they are learned from.
    pub(super) fn varied(&self, part: &[usize], seed: u64) -> Result<Varied, Error> {
        let (config, examples) = (self.config, &self.data.train);
        let labels: Vec<usize> = part.iter().map(|&index| examples.label(index)).collect();
        Ok(Varied::new(examples.training_batch(part, seed)?, labels, config, seed))
    }

    /// Adds what some examples of a batch teach, by the `share` of it that they are.
    fn add_gradients(
        &self,
        weights: &Ready<'_, impl Weights>,
        wanted: &[bool],
        part: &Varied,
        share: f32,
        all: &mut Learned,
    ) -> Result<(), Error> {
        let config = self.config;
        let way = BackwardOptions {
            wanted,
            batch_statistics: config.resolved_norms(self.network.layout()) == Norms::Statistics,
            recompute: self.sizes.recompute,
        };
        let loss = |logits: &Tensor| {
            let (loss, mut gradient) = part.loss(&self.workspace, logits, config.smoothing);
            if share < 1.0 {
                gradient.iter_mut().for_each(|value| *value *= share);
            }
            (loss, gradient)
        };
        let sums = &mut all.gradients;
        let mut sink = |id: LayerId, gradient: LayerGrad| match sums.iter_mut().find(|(of, _)| *of == id) {
            Some((_, sum)) => sum.add(&gradient),
            None => sums.push((id, gradient)),
        };
        let (loss, moments) = weights.learn(self.network, &part.input, &self.workspace, way, loss, &mut sink)?;
        all.loss += share * loss;
        all.moments.extend(moments);
        Ok(())
    }

    /// The update of step `step` of `total`, of which the first `gated` are with gates.
    pub(super) fn update(&self, step: usize, total: usize, gated: usize) -> Step {
        let config = self.config;
        let factor = cosine(step, total, config.warmup) * self.counts.slowed;
        let penalized = step as f32 >= gated as f32 * config.penalty_warmup;
        Step {
            optimizer: config.optimizer,
            states: config.states,
            rate: config.rate * factor,
            head_rate: config.head_rate * factor,
            score_rate: config.score_rate,
            decay: config.decay,
            lambda: if penalized { config.lambda } else { 0.0 },
            by_bytes: config.penalty_by_bytes,
            clip: config.clip,
            number: step as u32 + 1,
        }
    }
}
