//! A fine-tune from start to end: fit the head, choose layers, tune them, keep the best epoch.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::adapted::Adapted;
use super::batches::{batches, split};
use super::config::{Config, Method, Norms, Patch, Select};
use super::data::Data;
use super::error::Error;
use super::gate::Gate;
use super::head::{Features, Head, fit};
use super::plan::{Plan, Planner, Sizes};
use super::progress::{Event, Observer, Phase};
use super::select::{self, Worth};
use super::tuned::{Tuned, TunedLayer};
use crate::base::Base;
use crate::kernels::Workspace;
use crate::runtime::{Examples, LayerKind, Network, Score, Weights, evaluate};

/// Fine-tunes a task of `network` over `base` on labelled examples, of which a share is held out to validate
/// with unless there are others for that.
///
/// # Errors
/// If a setting is out of range, there are too few examples, their classes are not those of the head that is
/// kept, an input does not fit the network, or the loss stops being a number.
pub fn fine_tune<'a>(
    base: &Base,
    network: &impl Network,
    data: impl Into<Data<'a>>,
    config: &Config,
    observer: &mut dyn Observer,
) -> Result<Tuned, Error> {
    let data = data.into();
    config.check()?;
    data.check(config, network.layout())?;
    Run::new(base, network, data, config).all(observer)
}

pub(super) struct Run<'a, N> {
    base: &'a Base,
    pub(super) network: &'a N,
    pub(super) data: Data<'a>,
    pub(super) config: &'a Config,
    pub(super) train: Vec<usize>,
    pub(super) validation: Vec<usize>,
    pub(super) workspace: Workspace,
    pub(super) random: ChaCha8Rng,
    pub(super) steps: u32,
    /// Time spent in steps.
    pub(super) stepping: Duration,
    pub(super) stopped: bool,
    /// Examples that are computed at once.
    sizes: Sizes,
    /// The most bytes that pool and task have had in a phase that has ended.
    memory: usize,
}

/// The best state so far.
pub(super) struct Best {
    pub(super) layers: Vec<TunedLayer>,
    pub(super) score: Score,
    pub(super) epoch: usize,
}

/// Heads over the frozen base: one fitted to the end, with its score, and one to start tuning from. Without any
/// the base's own is kept.
pub(super) struct Heads {
    alone: Option<Head>,
    pub(super) head_alone: Score,
    pub(super) warm: Option<Head>,
}

impl<'a, N: Network> Run<'a, N> {
    /// A run that has done nothing but divide the examples.
    pub(super) fn new(base: &'a Base, network: &'a N, data: Data<'a>, config: &'a Config) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        let (train, validation) = match data.validation {
            Some(validation) => ((0..data.train.len()).collect(), (0..validation.len()).collect()),
            None => split(data.train, config.validation, &mut random),
        };
        let workspace = Workspace::new(config.threads);
        let (steps, stepping, stopped) = (0, Duration::ZERO, false);
        let (sizes, memory) = (Sizes::new(config), 0);
        Self {
            base,
            network,
            data,
            config,
            train,
            validation,
            workspace,
            random,
            steps,
            stepping,
            stopped,
            sizes,
            memory,
        }
    }
}

impl<N: Network> Run<'_, N> {
    fn all(&mut self, observer: &mut dyn Observer) -> Result<Tuned, Error> {
        let layout = self.network.layout();
        let parts = [self.train.as_slice(), &self.validation];
        let planner = Planner::new(self.base, self.network, self.data, self.config, parts, self.random.clone())?;
        self.sizes = planner.sizes;
        let mut plan = None;
        if self.config.method == Method::Head {
            plan = Some(self.planned(&planner, &[], observer)?);
        }
        let Heads { alone, head_alone, warm } = self.heads(observer)?;
        let mut best =
            Best { layers: TunedLayer::snapshot(&self.with_head(alone.as_ref()), layout), score: head_alone, epoch: 0 };
        let mut adapted = self.with_head(warm.as_ref());
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
                worth = self.select(warm.as_ref(), &adapted, &planner, observer)?;
                observer.event(&Event::Selected { layers: &worth });
            }
            if !self.stopped {
                plan = Some(self.planned(&planner, &worth, observer)?);
                drop(planner);
                self.open(&mut adapted, &worth);
                let before = (self.stepping, self.steps);
                self.tune(&mut adapted, &mut best, observer)?;
                let (time, steps) = (self.stepping - before.0, self.steps - before.1);
                seconds_per_step = time.as_secs_f64() / f64::from(steps.max(1));
                let kept: usize = best.layers.iter().map(TunedLayer::bytes).sum();
                let heads = [&alone, &warm].into_iter().flatten().map(Head::bytes).sum::<usize>();
                // A better epoch is copied before the one before it is let go of.
                self.end_phase(adapted.own_bytes() + kept * best.epoch.clamp(1, 2) + heads);
            }
        }
        let mut summary = Tuned::summarize(self.config, layout, &best.layers, self.train.len());
        summary.steps = self.steps;
        summary.validation = (best.score.examples > 0).then(|| best.score.accuracy() as f32);
        Ok(Tuned {
            layers: best.layers,
            labels: if self.config.own_head { self.data.train.classes().to_vec() } else { Vec::new() },
            summary,
            method: self.config.method_name(),
            validation: best.score,
            head_alone,
            epoch: best.epoch,
            steps: self.steps,
            seconds_per_step,
            worth,
            memory: self.memory + plan.as_ref().map_or(0, |plan| plan.memory.batch),
            plan,
            stopped: self.stopped,
        })
    }

    pub(super) fn heads(&mut self, observer: &mut dyn Observer) -> Result<Heads, Error> {
        let config = self.config;
        if !config.own_head {
            let head_alone = self.validate(&Adapted::new(self.base, self.network.layout()))?;
            return Ok(Heads { alone: None, head_alone, warm: None });
        }
        let forward =
            self.train.len().div_ceil(self.sizes.features) + self.validation.len().div_ceil(self.sizes.features);
        observer.event(&Event::Begin { phase: Phase::Head, steps: forward + config.head_epochs + config.warm_epochs });
        let bare = Adapted::new(self.base, self.network.layout());
        let mut features = |examples: &dyn Examples, indices: &[usize]| {
            let mut progress = || {
                observer.event(&Event::Step { loss: f32::NAN });
                !observer.stop()
            };
            Features::compute(
                self.network,
                &bare,
                examples,
                indices,
                self.sizes.features,
                &self.workspace,
                &mut progress,
            )
        };
        let held = self.data.validation.unwrap_or(self.data.train);
        let (train, validation) = (features(self.data.train, &self.train)?, features(held, &self.validation)?);
        let train = train.standardized(self.data.train.classes().len());
        let (random, workspace) = (&mut self.random, &self.workspace);
        let (warm, _) = fit(&train, &validation, config.warm_epochs, config, random, workspace, observer);
        let (alone, head_alone) = fit(&train, &validation, config.head_epochs, config, random, workspace, observer);
        self.stopped = observer.stop();
        drop((train, validation));
        // Weight and bias six times: two fitted heads, one being fitted, its two states, and the best so far.
        self.end_phase(6 * alone.bytes());
        Ok(Heads { alone: Some(alone), head_alone, warm: Some(warm) })
    }

    /// How well what is being trained does on the validation examples.
    pub(super) fn validate(&self, weights: &impl Weights) -> Result<Score, Error> {
        let held = self.data.validation.unwrap_or(self.data.train);
        Ok(evaluate(self.network, weights, held, &self.validation, self.sizes.validation, &self.workspace)?)
    }

    pub(super) fn with_head(&self, head: Option<&Head>) -> Adapted {
        let mut adapted = Adapted::new(self.base, self.network.layout());
        if let Some(head) = head {
            adapted.set_head(head.weight.clone(), head.bias.clone());
        }
        adapted
    }

    pub(super) fn gate(&self) -> Gate {
        Gate::new(self.config.initial_score, self.config.threshold)
    }

    /// What each tapped layer is worth, and which are chosen.
    fn select(
        &mut self,
        head: Option<&Head>,
        bare: &Adapted,
        planner: &Planner<'_, N>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Worth>, Error> {
        let layout = self.network.layout();
        let mut own = 2 * bare.own_bytes();
        let mut worth = match &self.config.select {
            Select::Given(names) => select::given(self.network, names)?,
            Select::Last => select::last(layout),
            Select::Random => select::random(layout, &mut self.random),
            Select::Probe => {
                let mut order = batches(&self.train, self.sizes.probe, &mut self.random);
                order.truncate(self.config.probe_batches * self.config.batch.div_ceil(self.sizes.probe));
                observer.event(&Event::Begin { phase: Phase::Select, steps: order.len() });
                let mut progress = |loss| {
                    observer.event(&Event::Step { loss });
                    !observer.stop()
                };
                select::probe(self.network, bare, self.data.train, &order, &self.workspace, &mut progress)?
            }
            Select::Scores => {
                let mut adapted = self.with_head(head);
                for id in layout.tapped() {
                    adapted.own(id, Some(self.gate()));
                }
                self.own_norms(&mut adapted);
                self.run_scores(&mut adapted, observer)?;
                own += adapted.own_bytes();
                select::scores(self.network, &adapted)
            }
        };
        if !matches!(self.config.select, Select::Given(_)) {
            let budget = &self.config.budget;
            let (cap, bytes) = (budget.max_active_layers, budget.max_layer_bytes);
            match budget.weighs() {
                true => planner.choose(&mut worth)?,
                false => select::choose(layout, &mut worth, cap.unwrap_or(usize::MAX), bytes.unwrap_or(usize::MAX)),
            }
        }
        self.stopped = observer.stop();
        self.end_phase(own);
        Ok(worth)
    }

    /// Tells what the run will take, now that its layers are known.
    fn planned(&self, planner: &Planner<'_, N>, worth: &[Worth], observer: &mut dyn Observer) -> Result<Plan, Error> {
        let plan = planner.chosen(worth)?;
        observer.event(&Event::Planned { plan: &plan });
        Ok(plan)
    }

    /// Counts what a phase has taken, `own` bytes beside the pool, and frees the buffers that it leaves.
    fn end_phase(&mut self, own: usize) {
        self.memory = self.memory.max(self.workspace.peak_bytes() + own);
        self.workspace.release();
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
                // Under a cap the choice is made. A penalty would go on closing layers whose deltas have
                // done their work, since ⟨∂L/∂W, δ⟩ vanishes where training converges.
                let gate = || (!self.config.is_decided()).then(|| self.gate());
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
