//! Tasks and the weights they share, trained together.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::member::{Kept, Member};
use super::{Form, JointConfig, JointTask};
use crate::base::Base;
use crate::kernels::Workspace;
use crate::runtime::{LayerKind, Network, Score};
use crate::train::adapted::Step;
use crate::train::bake::baked;
use crate::train::schedule::cosine;
use crate::train::{Adapted, Config, Error, Event, Observer, Phase, Tuned};

/// The shared weights and the tasks over them.
pub(super) struct Together<'a, N> {
    base: &'a Base,
    network: &'a N,
    config: &'a JointConfig,
    workspace: Workspace,
    shared: Adapted,
    members: Vec<Member<'a, N>>,
    stepping: Duration,
    stopped: bool,
}

/// The best epoch: the bytes and configuration of the shared weights as a base, and each task's own part.
struct Best {
    file: Vec<u8>,
    config: Value,
    tasks: Vec<Kept>,
    epoch: usize,
}

/// What came of training together.
pub(super) struct Trained {
    /// The bytes of the new base, and its configuration.
    pub(super) base: (Vec<u8>, Value),
    /// Each task over the new base, and its mean training loss in each epoch.
    pub(super) tasks: Vec<(Tuned, Vec<f32>)>,
    pub(super) stopped: bool,
}

impl<'a, N: Network> Together<'a, N> {
    /// Every layer of the body shared, and a head for each task fitted to the base.
    pub(super) fn start(
        base: &'a Base,
        network: &'a N,
        tasks: &[JointTask<'a>],
        config: &'a JointConfig,
        together: &'a Config,
        observer: &mut dyn Observer,
    ) -> Result<Self, Error> {
        let layout = network.layout();
        let mut shared = Adapted::new(base, layout);
        let body = layout.layers().filter(|(_, layer)| layer.kind != LayerKind::Head);
        body.for_each(|(id, _)| shared.own(id, None));
        let mut members = Vec::new();
        for (number, task) in tasks.iter().enumerate() {
            let member = Member::start(base, network, task, number, config.form, together, observer);
            members.push(member.map_err(|error| error.of_task(task.name))?);
        }
        let workspace = Workspace::new(config.tune.threads);
        Ok(Self { base, network, config, workspace, shared, members, stepping: Duration::ZERO, stopped: false })
    }

    /// Trains to the end and keeps the best epoch.
    pub(super) fn train(mut self, observer: &mut dyn Observer) -> Result<Trained, Error> {
        let (config, tune) = (self.config, &self.config.tune);
        let per_epoch = self.members.iter().map(Member::batches).max().unwrap_or(0);
        let total = per_epoch * config.epochs;
        let choose_at = (config.form == Form::Literal && config.is_capped()).then_some(total / 2);
        let heads: Vec<Score> = self.members.iter().map(|member| member.head_alone).collect();
        self.tell(0, f32::NAN, &heads, true, observer);
        observer.event(&Event::Begin { phase: Phase::Joint, steps: total });
        let mut best: Option<Best> = None;
        'epochs: for epoch in 1..=config.epochs {
            let mut loss = 0.0;
            for step in (epoch - 1) * per_epoch..epoch * per_epoch {
                if choose_at == Some(step) {
                    self.members.iter_mut().try_for_each(Member::choose)?;
                }
                if observer.stop() {
                    self.stopped = true;
                    break 'epochs;
                }
                loss += self.step(step, total, choose_at.unwrap_or(total), observer)?;
            }
            let mut scores = Vec::new();
            for member in &mut self.members {
                scores.push(member.score(&self.shared).map_err(|error| error.of_task(member.name))?);
            }
            let within = choose_at.is_none_or(|step| epoch * per_epoch > step);
            let better = within && best.as_ref().is_none_or(|best| is_better(&scores, &best.tasks));
            if better {
                best = Some(self.keep(&scores, epoch)?);
            }
            self.tell(epoch, loss / per_epoch.max(1) as f32, &scores, better, observer);
            let best_epoch = best.as_ref().map_or(epoch, |best| best.epoch);
            if tune.patience.is_some_and(|patience| epoch - best_epoch >= patience) {
                break;
            }
        }
        self.finish(best.ok_or(Error::Stopped)?)
    }

    /// A batch of every task, and then one update of all weights; returns the mean loss.
    fn step(&mut self, step: usize, total: usize, gated: usize, observer: &mut dyn Observer) -> Result<f32, Error> {
        let started = Instant::now();
        let share = 1.0 / self.members.len() as f32;
        let mut loss = 0.0;
        for member in &mut self.members {
            loss += share * member.learn(&mut self.shared, share).map_err(|error| error.of_task(member.name))?;
        }
        let rate = self.config.rate * cosine(step, total, self.config.tune.warmup);
        for (number, member) in self.members.iter_mut().enumerate() {
            let own = member.run.update(step, total, gated);
            let shared = number > 0 || self.shared.update(&self.workspace, Step { rate, lambda: 0.0, ..own });
            if !shared || !member.update(&self.shared, own) {
                return Err(Error::Diverged { step: step as u32 + 1, rate });
            }
        }
        self.stepping += started.elapsed();
        observer.event(&Event::Step { loss });
        Ok(loss)
    }

    fn keep(&self, scores: &[Score], epoch: usize) -> Result<Best, Error> {
        let (file, config) = baked(self.base, self.network, &self.shared, None)?;
        let tasks = self.members.iter().zip(scores).map(|(member, &score)| member.keep(score)).collect();
        Ok(Best { file, config, tasks, epoch })
    }

    fn finish(self, best: Best) -> Result<Trained, Error> {
        let steps = self.members.first().map_or(0, |member| member.run.counts.steps);
        let seconds = self.stepping.as_secs_f64() / f64::from(steps.max(1));
        let tuned = |(member, kept): (Member<'_, N>, Kept)| {
            let tuned = member.tuned(kept, self.config, best.epoch, seconds, self.stopped);
            (tuned, member.losses)
        };
        let tasks = self.members.into_iter().zip(best.tasks).map(tuned).collect();
        Ok(Trained { base: (best.file, best.config), tasks, stopped: self.stopped })
    }

    fn tell(&self, epoch: usize, loss: f32, scores: &[Score], best: bool, observer: &mut dyn Observer) {
        let examples: usize = scores.iter().map(|score| score.examples).sum();
        let validation = Score {
            correct: scores.iter().map(|score| score.correct).sum(),
            examples,
            loss: scores.iter().map(|score| score.loss * score.examples as f32).sum::<f32>() / examples.max(1) as f32,
        };
        let active = self.members.iter().map(Member::active).sum();
        let active = if epoch == 0 { 0 } else { active };
        observer.event(&Event::Epoch { epoch, of: self.config.epochs, loss, validation, active, best });
    }
}

/// Whether the mean accuracy over tasks is higher, or as high at a lower mean loss; without held-out examples the
/// later epoch is the better one.
fn is_better(scores: &[Score], than: &[Kept]) -> bool {
    let of = |scores: &mut dyn Iterator<Item = &Score>| {
        scores.fold((0.0, 0.0), |sum, score| (sum.0 + score.accuracy(), sum.1 - f64::from(score.loss)))
    };
    let (now, before) = (of(&mut scores.iter()), of(&mut than.iter().map(|kept| &kept.score)));
    scores.iter().all(|score| score.examples == 0) || now > before
}
