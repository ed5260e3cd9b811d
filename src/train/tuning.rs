//! Steps and epochs of a fine-tune.

use std::time::Instant;

use super::adapted::{Adapted, Step};
use super::backward::LayerGrad;
use super::batches::batches;
use super::config::Norms;
use super::error::Error;
use super::progress::{Event, Observer, Phase};
use super::schedule::cosine;
use super::tape::{Moments, Tape};
use super::trainer::{Best, Run};
use super::tuned::TunedLayer;
use crate::kernels::cross_entropy;
use crate::runtime::{LayerId, Network, Weights};

/// What one batch teaches.
pub(super) struct Learned {
    /// Mean loss, without the penalty.
    pub(super) loss: f32,
    pub(super) gradients: Vec<(LayerId, LayerGrad)>,
    /// What batch normalizations saw, with the rows it is over.
    pub(super) moments: Vec<(Moments, usize)>,
}

impl<N: Network> Run<'_, N> {
    /// TAPS with a gate on every layer, gates free to close and to open again.
    pub(super) fn run_scores(&mut self, adapted: &mut Adapted, observer: &mut dyn Observer) -> Result<(), Error> {
        let per_epoch = batches(&self.train, self.config.batch, &mut self.random.clone()).len();
        let total = per_epoch * self.config.select_epochs;
        observer.event(&Event::Begin { phase: Phase::Select, steps: total });
        let mut step = 0;
        for _ in 0..self.config.select_epochs {
            for batch in batches(&self.train, self.config.batch, &mut self.random) {
                self.step(adapted, &batch, step, total, observer)?;
                step += 1;
                if observer.stop() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Tunes what `adapted` may change and leaves the best epoch in `best`.
    pub(super) fn tune(
        &mut self,
        adapted: &mut Adapted,
        best: &mut Best,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let per_epoch = batches(&self.train, self.config.batch, &mut self.random.clone()).len();
        let total = per_epoch * self.config.epochs;
        observer.event(&Event::Begin { phase: Phase::Tune, steps: total });
        let mut step = 0;
        for epoch in 1..=self.config.epochs {
            let mut loss = 0.0;
            for batch in batches(&self.train, self.config.batch, &mut self.random) {
                loss += self.step(adapted, &batch, step, total, observer)? * batch.len() as f32;
                adapted.free_closed();
                step += 1;
                if observer.stop() {
                    self.stopped = true;
                    return Ok(());
                }
            }
            let score = self.validate(adapted)?;
            let better = score.examples == 0 || score.is_better_than(&best.score);
            if better {
                *best = Best { layers: TunedLayer::snapshot(adapted, self.network.layout()), score, epoch };
            }
            observer.event(&Event::Epoch {
                epoch,
                of: self.config.epochs,
                loss: loss / self.train.len() as f32,
                validation: score,
                active: adapted.active().count(),
                best: better,
            });
            if self.config.patience.is_some_and(|patience| epoch - best.epoch >= patience) {
                break;
            }
        }
        Ok(())
    }

    /// One step of forward, backward and update; returns the loss without the penalty.
    fn step(
        &mut self,
        adapted: &mut Adapted,
        batch: &[usize],
        step: usize,
        total: usize,
        observer: &mut dyn Observer,
    ) -> Result<f32, Error> {
        let started = Instant::now();
        let Learned { loss, gradients, moments } = self.gradients(adapted, adapted.wanted(), batch)?;
        moments.iter().for_each(|(moments, rows)| adapted.follow(moments, *rows, self.config.momentum));
        gradients.into_iter().for_each(|(id, gradient)| adapted.accumulate(id, gradient));
        adapted.update(&self.workspace, self.update(step, total));
        self.steps += 1;
        self.stepping += started.elapsed();
        observer.event(&Event::Step { loss });
        Ok(loss)
    }

    /// Forward and backward over one batch.
    pub(super) fn gradients(&self, weights: &impl Weights, wanted: &[bool], batch: &[usize]) -> Result<Learned, Error> {
        let (config, examples) = (self.config, self.data.train);
        let labels: Vec<usize> = batch.iter().map(|&index| examples.label(index)).collect();
        let input = examples.training_batch(batch, config.seed.wrapping_add(u64::from(self.steps) << 32))?;
        let mut gradients = Vec::new();
        let mut tape = Tape::new(weights, wanted, &self.workspace);
        let norms = config.resolved_norms(self.network.layout());
        if norms == Norms::Statistics {
            tape = tape.with_batch_statistics();
        }
        let logits = self.network.logits(&mut tape, &input)?;
        let (loss, gradient) = cross_entropy(&self.workspace, logits.values(), &labels, config.smoothing);
        if !loss.is_finite() {
            return Err(Error::Diverged { step: self.steps, rate: config.rate });
        }
        let moments = tape.take_moments();
        tape.backward(&logits, gradient, &mut |id, gradient| gradients.push((id, gradient)))?;
        Ok(Learned { loss, gradients, moments })
    }

    /// The update of step `step` of `total`.
    pub(super) fn update(&self, step: usize, total: usize) -> Step {
        let config = self.config;
        let factor = cosine(step, total, config.warmup);
        let penalized = step as f32 >= total as f32 * config.penalty_warmup;
        Step {
            optimizer: config.optimizer,
            rate: config.rate * factor,
            head_rate: config.head_rate * factor,
            score_rate: config.score_rate,
            decay: config.decay,
            lambda: if penalized { config.lambda } else { 0.0 },
            clip: config.clip,
            number: step as u32 + 1,
        }
    }
}
