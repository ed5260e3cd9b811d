//! One task while it is trained with others.

use std::collections::VecDeque;

use super::view::View;
use super::{Form, JointConfig, JointTask};
use crate::base::Base;
use crate::graph::LayerGrad;
use crate::kernels::Workspace;
use crate::runtime::{Examples, LayerId, Network, Score};
use crate::train::adapted::Step;
use crate::train::batches::count;
use crate::train::run::Run;
use crate::train::select::{self, Worth};
use crate::train::tuned::Tuned;
use crate::train::tuned_layer::TunedLayer;
use crate::train::tuning::Learned;
use crate::train::{Adapted, Config, Error, Event, Observer};

/// A task: what it has of its own, and the batches it is still to see in this pass.
pub(super) struct Member<'a, N> {
    pub(super) name: &'a str,
    pub(super) run: Run<'a, N>,
    own: Adapted,
    /// Score of a head alone over the base as it was.
    pub(super) head_alone: Score,
    left: VecDeque<Vec<usize>>,
    worth: Vec<Worth>,
    /// Mean training loss of each epoch.
    pub(super) losses: Vec<f32>,
    seen: (f32, usize),
}

/// A task's own part of the best epoch.
pub(super) struct Kept {
    layers: Vec<TunedLayer>,
    worth: Vec<Worth>,
    pub(super) score: Score,
}

impl<'a, N: Network> Member<'a, N> {
    /// Fits a head to the base, and gives the task what the form lets it have.
    pub(super) fn start(
        base: &'a Base,
        network: &'a N,
        task: &JointTask<'a>,
        number: usize,
        form: Form,
        config: &'a Config,
        observer: &mut dyn Observer,
    ) -> Result<Self, Error> {
        let mut run = Run::new(base, network, task.data, config)?;
        // Tasks divide the same examples alike, so that none trains on what another is validated with, and then
        // draw apart.
        run.random.set_stream(number as u64);
        observer.event(&Event::Task { name: task.name });
        let heads = run.heads(observer)?;
        let mut own = run.with_head(heads.warm.as_ref());
        if form == Form::Literal {
            network.layout().tapped().for_each(|id| own.own(id, Some(run.gate())));
        }
        run.own_norms(&mut own);
        let (left, worth, losses) = (VecDeque::new(), Vec::new(), Vec::new());
        Ok(Self { name: task.name, run, own, head_alone: heads.head_alone, left, worth, losses, seen: (0.0, 0) })
    }

    /// Batches in a pass over its examples.
    pub(super) fn batches(&self) -> usize {
        count(self.run.train.len(), self.run.config.batch)
    }

    /// Forward and backward over the task's next batch. Its gradients are kept for its own part, and the share
    /// `share` of them goes to the shared weights; returns the loss.
    pub(super) fn learn(&mut self, shared: &mut Adapted, share: f32) -> Result<f32, Error> {
        if self.left.is_empty() {
            self.left = self.run.order(self.run.config.batch).into();
        }
        let batch = self.left.pop_front().unwrap_or_default();
        let wanted: Vec<bool> = shared.wanted().iter().zip(self.own.wanted()).map(|(a, b)| a | b).collect();
        let view = View { shared, own: &self.own };
        let Learned { loss, gradients, moments } = self.run.gradients(&view, &wanted, &batch)?;
        if !loss.is_finite() {
            return Err(Error::Diverged { step: self.run.counts.steps, rate: self.run.config.rate });
        }
        moments.iter().for_each(|moments| self.own.follow(moments, self.run.config.momentum));
        for (id, gradient) in gradients {
            if shared.wanted()[id.index()] {
                shared.accumulate(id, scaled(&self.run.workspace, &gradient, share));
            }
            self.own.accumulate(id, gradient);
        }
        self.seen = (self.seen.0 + loss * batch.len() as f32, self.seen.1 + batch.len());
        Ok(loss)
    }

    /// Updates the task's own part over the shared weights, which have been updated before; returns whether its
    /// gradients are numbers.
    pub(super) fn update(&mut self, shared: &Adapted, step: Step) -> bool {
        self.run.counts.steps += 1;
        self.own.update_over(&self.run.workspace, step, shared)
    }

    /// Keeps the layers with the highest scores for good, as far as the limits allow, and frees the others.
    pub(super) fn choose(&mut self) -> Result<(), Error> {
        let mut worth = select::scores(self.run.network, &self.own);
        self.run.afford(&mut worth, &self.run.config.budget)?;
        let chosen = |id: LayerId| worth.iter().any(|worth| worth.layer == id && worth.chosen);
        self.own.settle(chosen);
        self.worth = worth;
        Ok(())
    }

    /// Ends an epoch.
    pub(super) fn score(&mut self, shared: &Adapted) -> Result<Score, Error> {
        let (loss, examples) = std::mem::take(&mut self.seen);
        self.losses.push(loss / examples.max(1) as f32);
        self.run.validate(&View { shared, own: &self.own })
    }

    /// Tapped layers of its own that are in use.
    pub(super) fn active(&self) -> usize {
        self.own.active().count()
    }

    /// What the task has of its own now.
    pub(super) fn keep(&self, score: Score) -> Kept {
        let network = self.run.network;
        let gated = self.own.gated().next().is_some();
        let mut worth = if gated { select::scores(network, &self.own) } else { self.worth.clone() };
        if gated {
            worth.iter_mut().for_each(|worth| worth.chosen = self.own.is_active(worth.layer));
        }
        Kept { layers: TunedLayer::snapshot(&self.own, network.layout()), worth, score }
    }

    /// The task as it was in epoch `epoch`.
    pub(super) fn tuned(&self, kept: Kept, config: &JointConfig, epoch: usize, seconds: f64, stopped: bool) -> Tuned {
        let run = &self.run;
        let mut summary = Tuned::summarize(run.config, run.network.layout(), &kept.layers, run.train.len());
        summary.steps = run.counts.steps;
        summary.validation = (kept.score.examples > 0).then(|| kept.score.accuracy() as f32);
        Tuned {
            layers: kept.layers,
            labels: run.data.train.classes().to_vec(),
            settings: run.settings.clone(),
            summary,
            method: config.method_name(),
            validation: kept.score,
            head_alone: self.head_alone,
            epoch,
            steps: run.counts.steps,
            dropped: 0,
            seconds_per_step: seconds,
            worth: kept.worth,
            plan: None,
            memory: 0,
            stopped,
        }
    }
}

fn scaled(workspace: &Workspace, gradient: &LayerGrad, share: f32) -> LayerGrad {
    let part = |tensor| {
        let mut part = workspace.copy(tensor);
        part.iter_mut().for_each(|value| *value *= share);
        part
    };
    LayerGrad { weight: part(&gradient.weight), bias: gradient.bias.as_ref().map(part) }
}
