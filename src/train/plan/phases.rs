//! What each phase of a run takes: the head, the choice of layers, and tuning.

use super::dry_run::{DryRun, highest};
use super::planner::{ALL, FEW, Planner};
use super::task_shape::TaskShape;
use super::{Memory, step};
use crate::runtime::{Examples, Network};
use crate::train::Error;
use crate::train::batches::cut;
use crate::train::sizes::Sizes;
use crate::train::timing::measured;

impl<N: Network> Planner<'_, N> {
    /// Counts what the head alone has as the best so far, and the head to start tuning from where it is kept apart.
    fn own_heads(&self, dry: &DryRun, apart: bool) {
        let head = self.classes().map_or(0, |_| size_of::<f32>() * self.bare().delta(self.layout().head()));
        dry.own(|own| {
            own.deltas += if apart { head } else { 0 };
            own.best += head;
        });
    }

    /// The features of all examples, computed `size` at once, and the head fitted to them.
    pub(super) fn head(&self, size: usize) -> Result<Memory, Error> {
        highest(self.config.threads, |dry| self.fit_head(dry, size))
    }

    fn fit_head(&self, dry: &DryRun, size: usize) -> Result<(), Error> {
        let bare = self.bare();
        let Some(classes) = self.classes() else { return self.validate(dry, &bare, &self.validation, size) };
        let features = self.layout().features();
        let mut all = Vec::new();
        for (examples, indices) in [(&self.data.train as &dyn Examples, &self.train), (self.held(), &self.validation)] {
            all.push(step::all_features(dry, indices.len(), features));
            let chunks = indices.chunks(size).map(<[usize]>::to_vec).collect();
            for batch in self.shape.telling(examples, chunks, ALL) {
                let input = self.shape.batch(examples, &batch)?;
                step::features(dry, self.network, &bare, &input)?;
            }
        }
        let head = size_of::<f32>() * bare.delta(self.layout().head());
        // The head being fitted, the best so far, a candidate, and the one fitted before.
        dry.own(|own| (own.deltas, own.states) = (4 * head, 2 * head));
        step::fit(dry, classes, features, [self.train.len(), self.validation.len()], 64);
        Ok(())
    }

    /// Gradients of every tapped layer.
    pub(super) fn probe(&self, Sizes { probe: size, recompute, .. }: Sizes) -> Result<Memory, Error> {
        let mut bare = self.bare();
        self.layout().tapped().for_each(|id| bare.wanted[id.index()] = true);
        let mut batches = cut(&self.drawn.probe, size);
        batches.truncate(self.config.probe_batches * self.config.batch.div_ceil(size));
        let batches = self.shape.telling(&self.data.train, batches, ALL);
        highest(self.config.threads, |dry| {
            self.own_heads(dry, true);
            step::own(dry, &self.bare().with([]));
            for batch in &batches {
                let input = self.shape.batch(&self.data.train, batch)?;
                step::probe(dry, self.network, &bare, &input, recompute)?;
            }
            Ok(())
        })
    }

    /// A gate and a delta on every tapped layer.
    pub(super) fn scores(&self, sizes: Sizes) -> Result<Memory, Error> {
        let task = self.task(&self.layout().tapped().collect::<Vec<_>>());
        highest(self.config.threads, |dry| {
            self.own_heads(dry, true);
            self.steps(dry, &task, &self.drawn.scores, sizes, None, ALL)
        })
    }

    /// Steps of tuning and validation, of at most `count` batches.
    pub(super) fn tune(&self, task: &TaskShape<'_>, sizes: Sizes, count: usize) -> Result<Memory, Error> {
        highest(self.config.threads, |dry| {
            self.own_heads(dry, false);
            self.steps(dry, task, &self.drawn.tune, sizes, Some(sizes.validation), count)
        })
    }

    fn steps(
        &self,
        dry: &DryRun,
        task: &TaskShape<'_>,
        epochs: &[Vec<Vec<usize>>],
        sizes: Sizes,
        validation: Option<usize>,
        count: usize,
    ) -> Result<(), Error> {
        let deltas = step::own(dry, task);
        if validation.is_some() {
            let best = self.best(task, deltas);
            dry.own(|own| own.best = if epochs.is_empty() { own.best } else { own.best.max(best) });
        }
        let each = (count / epochs.len().max(1)).max(FEW);
        let step = |batch: &Vec<usize>| {
            let parts = batch.chunks(sizes.step.max(1)).map(|part| self.shape.batch(&self.data.train, part));
            let parts = parts.collect::<Result<Vec<_>, _>>()?;
            Ok::<_, Error>(step::step(dry, self.network, task, self.config, &parts, sizes.recompute)?)
        };
        if let (Some(size), Some(first)) = (validation, epochs.first()) {
            first.iter().take(measured(first.len() * self.config.epochs)).try_for_each(step)?;
            self.validate(dry, task, &self.validation[..self.validation.len().min(size)], size)?;
        }
        let mut left = self.config.budget.max_steps.unwrap_or(usize::MAX);
        for epoch in epochs {
            let seen = epoch[..epoch.len().min(left)].to_vec();
            left -= seen.len();
            self.shape.telling(&self.data.train, seen, each).iter().try_for_each(step)?;
            if let Some(size) = validation {
                self.validate(dry, task, &self.validation, size)?;
            }
        }
        Ok(())
    }

    /// Bytes of the best epoch of `task`, with `deltas` bytes of deltas: candidates come before any epoch is kept, and of
    /// them no more than the largest go on.
    fn best(&self, task: &TaskShape<'_>, deltas: usize) -> usize {
        let (true, Some(cap)) = (self.config.has_candidates(), self.config.budget.max_active_layers) else {
            return deltas;
        };
        let candidates = task.layout.tapped().filter(|id| task.own[id.index()]);
        let mut bytes: Vec<usize> = candidates.map(|id| size_of::<f32>() * task.delta(id)).collect();
        bytes.sort_unstable_by(|a, b| b.cmp(a));
        deltas - bytes.iter().skip(cap).sum::<usize>()
    }

    /// Validation on examples in batches of `size` of similar length.
    fn validate(&self, dry: &DryRun, task: &TaskShape<'_>, examples: &[usize], size: usize) -> Result<(), Error> {
        let mut order = examples.to_vec();
        order.sort_by_key(|&index| self.held().rows(index));
        let chunks = order.chunks(size.max(1)).map(<[usize]>::to_vec).collect();
        for batch in self.shape.telling(self.held(), chunks, FEW) {
            let input = self.shape.batch(self.held(), &batch)?;
            step::evaluate(dry, self.network, task, &input)?;
        }
        Ok(())
    }
}
