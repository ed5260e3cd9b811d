//! How fast a run is, measured by steps that change nothing, and how far it gets in the time it may take.

use std::time::{Duration, Instant};

use super::adapted::Step;
use super::amount::Amount;
use super::config::{Method, Select};
use super::course::Course;
use super::error::Error;
use super::run::Run;
use super::timing::{Pace, measured};
use super::tuning::Learned;
use crate::runtime::{Examples, Network};

/// What of the time that is left is planned with; the rest is for a machine that gets slower.
const USED: f64 = 0.95;

impl<N: Network> Run<'_, N> {
    /// Time since the run began, also in a process that was killed.
    pub(super) fn elapsed(&self) -> Duration {
        self.counts.elapsed + self.began.elapsed()
    }

    /// Whether the time that the run may take is over.
    pub(super) fn is_over(&self) -> bool {
        self.config.budget.max_time.is_some_and(|time| self.elapsed() >= time)
    }

    /// Refuses a time in which not even the head, the choice of layers and one step are done. It goes by a forward pass
    /// over a few examples; a step takes about three.
    pub(super) fn check_time(&self) -> Result<(), Error> {
        let Some(limit) = self.config.budget.max_time else { return Ok(()) };
        let few = &self.train[..self.train.len().min(self.sizes.features)];
        let bare = self.with_head(None);
        let mut pass = Duration::ZERO;
        for _ in 0..2 {
            let input = self.data.train.batch(few)?;
            let started = Instant::now();
            self.place.ready(&bare)?.features(self.network, &input, &self.workspace)?;
            pass = started.elapsed();
        }
        let rows = |indices: &[usize]| indices.iter().map(|&index| self.data.train.rows(index)).sum::<usize>() as f64;
        let example = pass.as_secs_f64() / rows(few).max(1.0) * rows(&self.train) / self.train.len() as f64;
        let probed = match (self.config.method, &self.config.select) {
            (Method::Taps, Select::Probe | Select::ProbeScores) => self.config.probe_batches,
            _ => 0,
        };
        let stepped = if self.config.method == Method::Head { 0 } else { 3 * self.config.batch * (probed + 1) };
        let validated = if self.config.method == Method::Head { 1 } else { 2 };
        let examples = self.train.len() + validated * self.validation.len() + stepped;
        let least = Duration::from_secs_f64(example * examples as f64);
        match least > limit {
            true => Err(Error::Budget {
                of: "time",
                asked: Amount::Time(limit),
                least: Amount::Time(least),
                what: "fitting the head, choosing layers and one step".to_owned(),
                advice: "fewer examples, smaller inputs or more threads",
            }),
            false => Ok(()),
        }
    }

    /// Measures what is ahead of a run of `total` steps whose task may change what it may.
    pub(super) fn calibrate(&mut self, course: &mut Course, total: usize) -> Result<Pace, Error> {
        let random = self.random.clone();
        let order = self.order(self.config.batch);
        self.random = random;
        let rows = |batch: &[usize]| batch.iter().map(|&index| self.data.train.rows(index)).sum::<usize>() as f64;
        let mut row = 0.0;
        let adapted = &mut course.adapted;
        let mut there = self.resident(adapted)?;
        for batch in order.iter().take(measured(total)) {
            let started = Instant::now();
            let step = Step { rate: 0.0, head_rate: 0.0, score_rate: 0.0, ..self.update(0, total, total) };
            // Gradients that are no numbers end here, and the run itself will tell of them.
            match &mut there {
                Some(there) => _ = self.step_there(there, adapted.wanted(), batch, step)?,
                None => {
                    let Learned { gradients, .. } = self.gradients(adapted, adapted.wanted(), batch)?;
                    gradients.into_iter().for_each(|(id, gradient)| adapted.accumulate(id, gradient));
                    let _ = adapted.update(&self.workspace, step);
                }
            }
            // The first one touches its memory for the first time.
            row = started.elapsed().as_secs_f64() / rows(batch).max(1.0);
        }
        adapted.forget();
        let step = row * order.iter().map(|batch| rows(batch)).sum::<f64>() / order.len().max(1) as f64;
        let few = &self.validation[..self.validation.len().min(self.sizes.validation)];
        let started = Instant::now();
        self.scored(&course.adapted, self.data.held(), few)?;
        let share = self.validation.len() as f64 / few.len().max(1) as f64;
        Ok(Pace { step: Duration::from_secs_f64(step), validation: started.elapsed().mul_f64(share) })
    }

    /// Steps of tuning that the budget affords, of as many as the settings say.
    pub(super) fn affordable(&self, pace: &Pace, steps: usize) -> usize {
        let budget = &self.config.budget;
        let per_epoch = self.steps_per_epoch().max(1) as u32;
        let in_time = |time: Duration| {
            let left = time.saturating_sub(self.elapsed()).mul_f64(USED).saturating_sub(pace.validation);
            let each = pace.step + pace.validation / per_epoch;
            (left.as_secs_f64() / each.as_secs_f64().max(f64::MIN_POSITIVE)) as usize
        };
        let left = budget.max_steps.map(|steps| steps.saturating_sub(self.counts.steps as usize));
        steps.min(budget.max_time.map_or(usize::MAX, in_time)).min(left.unwrap_or(usize::MAX))
    }
}
