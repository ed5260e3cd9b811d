//! A fine-tune from start to end: fit the head, choose layers, tune them, keep the best epoch.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::adapted::{Adapted, Step};
use super::batches::{batches, split};
use super::config::{Config, Method, Norms, Select};
use super::error::Error;
use super::gate::Gate;
use super::head::{Features, Head, fit};
use super::progress::{Event, Observer, Phase};
use super::schedule::cosine;
use super::select::{self, Worth};
use super::tape::Tape;
use super::tuned::{Tuned, TunedLayer};
use crate::base::Base;
use crate::kernels::{Workspace, cross_entropy};
use crate::runtime::{Examples, LayerId, LayerKind, Network, Score, evaluate};

/// Fine-tunes a task of `network` over `base` on `examples`.
///
/// # Errors
/// If a setting is out of range, there are too few examples, an input does not fit the network, or the
/// loss stops being a number.
pub fn fine_tune(
    base: &Base,
    network: &impl Network,
    examples: &dyn Examples,
    config: &Config,
    observer: &mut dyn Observer,
) -> Result<Tuned, Error> {
    config.check()?;
    let classes = examples.classes().len();
    if examples.len() < 2 || classes < 2 {
        return Err(Error::TooFewExamples { examples: examples.len(), classes });
    }
    let mut random = ChaCha8Rng::seed_from_u64(config.seed);
    let (train, validation) = split(examples, config.validation, &mut random);
    let workspace = Workspace::new(config.threads);
    let mut run = Run {
        base,
        network,
        examples,
        config,
        train,
        validation,
        workspace,
        random,
        steps: 0,
        stepping: Duration::ZERO,
        stopped: false,
    };
    run.all(observer)
}

struct Run<'a, N> {
    base: &'a Base,
    network: &'a N,
    examples: &'a dyn Examples,
    config: &'a Config,
    train: Vec<usize>,
    validation: Vec<usize>,
    workspace: Workspace,
    random: ChaCha8Rng,
    steps: u32,
    /// Time spent in steps.
    stepping: Duration,
    stopped: bool,
}

/// The best state so far.
struct Best {
    layers: Vec<TunedLayer>,
    score: Score,
    epoch: usize,
}

/// Heads over the frozen base: one fitted to the end, with its score, and one to start tuning from.
struct Heads {
    alone: Head,
    head_alone: Score,
    warm: Head,
}

impl<N: Network> Run<'_, N> {
    fn all(&mut self, observer: &mut dyn Observer) -> Result<Tuned, Error> {
        let layout = self.network.layout();
        let Heads { alone, head_alone, warm } = self.fit_heads(observer)?;
        let mut best =
            Best { layers: TunedLayer::snapshot(&self.with_head(&alone), layout), score: head_alone, epoch: 0 };
        let mut adapted = self.with_head(&warm);
        observer.event(&Event::Epoch {
            epoch: 0,
            of: self.config.epochs,
            loss: head_alone.loss,
            validation: head_alone,
            active: 0,
            best: true,
        });
        let mut worth = Vec::new();
        let mut seconds_per_step = 0.0;
        if self.config.method != Method::Head && !self.stopped {
            if self.config.method == Method::Taps {
                worth = self.select(&warm, &adapted, observer)?;
                observer.event(&Event::Selected { layers: &worth });
            }
            if !self.stopped {
                self.open(&mut adapted, &worth);
                let before = (self.stepping, self.steps);
                self.tune(&mut adapted, &mut best, observer)?;
                let (time, steps) = (self.stepping - before.0, self.steps - before.1);
                seconds_per_step = time.as_secs_f64() / f64::from(steps.max(1));
            }
        }
        let mut summary = Tuned::summarize(self.config, layout, &best.layers, self.train.len());
        summary.steps = self.steps;
        summary.validation = (best.score.examples > 0).then(|| best.score.accuracy() as f32);
        Ok(Tuned {
            layers: best.layers,
            labels: self.examples.classes().to_vec(),
            summary,
            method: self.config.method,
            validation: best.score,
            head_alone,
            epoch: best.epoch,
            steps: self.steps,
            seconds_per_step,
            worth,
            stopped: self.stopped,
        })
    }

    fn fit_heads(&mut self, observer: &mut dyn Observer) -> Result<Heads, Error> {
        let config = self.config;
        let forward = self.train.len().div_ceil(32) + self.validation.len().div_ceil(32);
        observer.event(&Event::Begin { phase: Phase::Head, steps: forward + config.head_epochs + config.warm_epochs });
        let bare = Adapted::new(self.base, self.network.layout());
        let mut features = |indices: &[usize]| {
            let mut progress = || {
                observer.event(&Event::Step { loss: f32::NAN });
                !observer.stop()
            };
            Features::compute(self.network, &bare, self.examples, indices, &self.workspace, &mut progress)
        };
        let (train, validation) = (features(&self.train)?, features(&self.validation)?);
        let train = train.standardized(self.examples.classes().len());
        let (random, workspace) = (&mut self.random, &self.workspace);
        let (warm, _) = fit(&train, &validation, config.warm_epochs, config, random, workspace, observer);
        let (alone, head_alone) = fit(&train, &validation, config.head_epochs, config, random, workspace, observer);
        self.stopped = observer.stop();
        Ok(Heads { alone, head_alone, warm })
    }

    fn with_head(&self, head: &Head) -> Adapted {
        let mut adapted = Adapted::new(self.base, self.network.layout());
        adapted.set_head(head.weight.clone(), head.bias.clone());
        adapted
    }

    fn gate(&self) -> Gate {
        Gate::new(self.config.initial_score, self.config.threshold)
    }

    /// What each tapped layer is worth, and which are chosen.
    fn select(&mut self, head: &Head, bare: &Adapted, observer: &mut dyn Observer) -> Result<Vec<Worth>, Error> {
        let cap = self.config.max_active_layers.unwrap_or(usize::MAX);
        let mut worth = match &self.config.select {
            Select::Given(names) => select::given(self.network, names)?,
            Select::Probe => {
                let mut order = batches(&self.train, self.config.batch, &mut self.random);
                order.truncate(self.config.probe_batches);
                observer.event(&Event::Begin { phase: Phase::Select, steps: order.len() });
                let mut progress = |loss| {
                    observer.event(&Event::Step { loss });
                    !observer.stop()
                };
                select::probe(self.network, bare, self.examples, &order, &self.workspace, &mut progress)?
            }
            Select::Scores => {
                let mut adapted = self.with_head(head);
                for id in self.network.layout().tapped() {
                    adapted.own(id, Some(self.gate()));
                }
                self.own_norms(&mut adapted);
                self.run_scores(&mut adapted, observer)?;
                select::scores(self.network, &adapted)
            }
        };
        if !matches!(self.config.select, Select::Given(_)) {
            select::choose(&mut worth, cap);
        }
        self.stopped = observer.stop();
        Ok(worth)
    }

    fn own_norms(&self, adapted: &mut Adapted) {
        if self.config.norms == Norms::Owned {
            let norms = self.network.layout().layers().filter(|(_, layer)| layer.kind == LayerKind::Norm);
            norms.for_each(|(id, _)| adapted.own(id, None));
        }
    }

    /// Gives the task what the method lets it change.
    fn open(&self, adapted: &mut Adapted, worth: &[Worth]) {
        let layout = self.network.layout();
        match self.config.method {
            Method::Head => {}
            Method::Taps => {
                // Under a cap the choice is made. A penalty would go on closing layers whose deltas have
                // done their work, since ⟨∂L/∂W, δ⟩ vanishes where training converges.
                let gate = || self.config.max_active_layers.is_none().then(|| self.gate());
                worth.iter().filter(|worth| worth.chosen).for_each(|worth| adapted.own(worth.layer, gate()));
                self.own_norms(adapted);
            }
            Method::Full => {
                let body: Vec<LayerId> = layout.layers().map(|(id, _)| id).filter(|&id| id != layout.head()).collect();
                body.into_iter().for_each(|id| adapted.own(id, None));
            }
        }
    }

    /// TAPS with a gate on every layer, gates free to close and to open again.
    fn run_scores(&mut self, adapted: &mut Adapted, observer: &mut dyn Observer) -> Result<(), Error> {
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
    fn tune(&mut self, adapted: &mut Adapted, best: &mut Best, observer: &mut dyn Observer) -> Result<(), Error> {
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
            let score = evaluate(self.network, adapted, self.examples, &self.validation, 64, &self.workspace)?;
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
        let (config, started) = (self.config, Instant::now());
        let labels: Vec<usize> = batch.iter().map(|&index| self.examples.label(index)).collect();
        let input = self.examples.batch(batch);
        let mut gradients = Vec::new();
        let wanted = adapted.wanted().to_vec();
        let mut tape = Tape::new(adapted, &wanted, &self.workspace);
        let logits = self.network.logits(&mut tape, &input)?;
        let (loss, gradient) = cross_entropy(&self.workspace, logits.values(), &labels, config.smoothing);
        if !loss.is_finite() {
            return Err(Error::Diverged { step: self.steps, rate: config.rate });
        }
        tape.backward(&logits, gradient, &mut |id, gradient| gradients.push((id, gradient)))?;
        drop(logits);
        gradients.into_iter().for_each(|(id, gradient)| adapted.accumulate(id, gradient));
        let factor = cosine(step, total, config.warmup);
        let penalized = step as f32 >= total as f32 * config.penalty_warmup;
        let update = Step {
            optimizer: config.optimizer,
            rate: config.rate * factor,
            head_rate: config.head_rate * factor,
            score_rate: config.score_rate,
            decay: config.decay,
            lambda: if penalized { config.lambda } else { 0.0 },
            clip: config.clip,
            number: step as u32 + 1,
        };
        adapted.update(&self.workspace, update);
        self.steps += 1;
        self.stepping += started.elapsed();
        observer.event(&Event::Step { loss });
        Ok(loss)
    }
}
