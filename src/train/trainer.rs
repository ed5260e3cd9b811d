//! A fine-tune from start to end: fit the head, choose layers, tune them, keep the best epoch.

use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::adapted::Adapted;
use super::batches::{balanced, batches, split};
use super::checkpoint::Keeper;
use super::config::{Config, Method, Select};
use super::course::{Best, Counts, Course, Pass, Stage};
use super::data::{Data, Sets};
use super::error::Error;
use super::head::{Features, Head, fit};
use super::improved::Improved;
use super::place::Place;
use super::plan::{Memory, Plan, Planner, Sizes};
use super::progress::{Event, Observer, Phase};
use super::tuned::{Tuned, TunedLayer};
use crate::base::Base;
use crate::format::{Digest, Summary};
use crate::kernels::Workspace;
use crate::runtime::{self, Examples, Input, Network, Score, Settings, Weights, score};

/// Fine-tunes a task of `network` over `base` on labelled examples, of which a share is held out to validate
/// with unless there are others for that. [`super::Checkpoint::fine_tune`] does the same and survives being killed.
///
/// # Errors
/// If a setting is out of range, there are too few examples, their classes are not those of the head that is
/// kept, an input does not fit the network, or the loss stays no number.
pub fn fine_tune<'a>(
    base: &Base,
    network: &impl Network,
    data: impl Into<Data<'a>>,
    config: &Config,
    observer: &mut dyn Observer,
) -> Result<Tuned, Error> {
    Run::checked(base, network, data.into(), config)?.all(&mut Keeper::none(), observer)
}

/// As [`fine_tune`], computed on a device and in the numbers to which the base has been uploaded, in place of what
/// [`Config::processor`] and [`Config::arithmetic`] say:
/// tasks that run there and those that are trained share one base.
///
/// # Errors
/// As [`fine_tune`], and if the device fails.
#[cfg(feature = "candle")]
pub fn fine_tune_on<'a>(
    device: &std::sync::Arc<crate::device::DeviceBase>,
    base: &Base,
    network: &impl Network,
    data: impl Into<Data<'a>>,
    config: &Config,
    observer: &mut dyn Observer,
) -> Result<Tuned, Error> {
    let (processor, arithmetic) = (crate::runtime::Processor::Cpu, crate::runtime::Arithmetic::F32);
    let config = &Config { processor, arithmetic, ..config.clone() };
    let run = Run::checked(base, network, data.into(), config)?;
    let place = Place::on(device, network);
    place.check(config)?;
    Run { place, ..run }.all(&mut Keeper::none(), observer)
}

pub(super) struct Run<'a, N> {
    pub(super) base: &'a Base,
    pub(super) network: &'a N,
    pub(super) data: Sets<'a>,
    /// What the adapter will be bound to.
    pub(super) settings: Settings,
    /// Digest of the base as it was when the run began.
    content: Digest,
    pub(super) config: &'a Config,
    pub(super) train: Vec<usize>,
    pub(super) validation: Vec<usize>,
    pub(super) workspace: Workspace,
    pub(super) random: ChaCha8Rng,
    pub(super) counts: Counts,
    pub(super) stopped: bool,
    /// When this process took it up.
    pub(super) began: Instant,
    /// Tells what it takes; none where tasks are trained together.
    pub(super) planner: Option<Planner<'a, N>>,
    /// Examples that are computed at once.
    pub(super) sizes: Sizes,
    pub(super) place: Place,
    /// The most bytes that pool and task have had in a phase that has ended.
    memory: usize,
}

/// Heads over the frozen base: one fitted to the end, with its score, and one to start tuning from. Without any
/// the base's own is kept.
pub(super) struct Heads {
    alone: Option<Head>,
    pub(super) head_alone: Score,
    pub(super) warm: Option<Head>,
}

impl<'a, N: Network> Run<'a, N> {
    /// A run of settings and data that suit the network.
    pub(super) fn checked(base: &'a Base, network: &'a N, data: Data<'a>, config: &'a Config) -> Result<Self, Error> {
        config.check()?;
        data.check(config, network.layout())?;
        if !base.is_same(network.layout().base()) {
            return Err(runtime::Error::OtherBase { task: "to be trained".to_owned() }.into());
        }
        if let Select::Ranked(ranking) = &config.select {
            ranking.worth(network)?;
        }
        let place = Place::open(base, network, config)?;
        place.check(config)?;
        Ok(Self { place, ..Self::new(base, network, data, config)? })
    }

    /// A run that has done nothing but divide the examples.
    pub(super) fn new(base: &'a Base, network: &'a N, data: Data<'a>, config: &'a Config) -> Result<Self, Error> {
        let data = Sets::new(data)?;
        let settings = data.settings(network)?;
        base.check_whole()?;
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        let (train, validation) = match data.validation {
            Some(validation) => ((0..data.train.len()).collect(), (0..validation.len()).collect()),
            None => split(&data.train, config.validation, &mut random),
        };
        let workspace = Workspace::new(config.threads);
        let (counts, stopped, sizes, memory) = (Counts::default(), false, Sizes::new(config, network.layout()), 0);
        let (began, planner) = (Instant::now(), None);
        Ok(Self {
            content: base.content(),
            settings,
            base,
            network,
            data,
            config,
            train,
            validation,
            workspace,
            random,
            counts,
            stopped,
            began,
            planner,
            sizes,
            place: Place::Host,
            memory,
        })
    }
}

impl<N: Network> Run<'_, N> {
    pub(super) fn all(&mut self, keeper: &mut Keeper<'_>, observer: &mut dyn Observer) -> Result<Tuned, Error> {
        let parts = [self.train.as_slice(), &self.validation];
        let settings = self.settings.clone();
        let planner =
            Planner::new(self.base, self.network, self.data, settings, self.config, parts, self.random.clone())?;
        self.sizes = planner.sizes;
        let mut plan = match self.config.method {
            Method::Head => Some(self.without_memory_of_device(planner.chosen(&[])?)),
            _ => None,
        };
        self.planner = Some(planner);
        self.check_time()?;
        if let Some(plan) = &plan {
            observer.event(&Event::Planned { plan });
        }
        let mut course = match keeper.resume(self)? {
            Some(course) => {
                let epoch = if course.stage == Stage::Tune { course.pass.epoch } else { 0 };
                let (of, Counts { steps, elapsed, .. }) = (self.config.epochs, self.counts);
                observer.event(&Event::Resumed { epoch, of, steps, elapsed });
                (self.sizes.step, self.sizes.recompute) =
                    course.at_once.unwrap_or((self.sizes.step, self.sizes.recompute));
                self.planner.iter_mut().for_each(|planner| planner.sizes = self.sizes);
                course
            }
            None => self.start(observer)?,
        };
        if course.stage == Stage::Scores {
            self.score_layers(&mut course, keeper, observer)?;
        }
        if course.stage == Stage::Tune {
            plan = self.planned(&mut course, observer)?;
            self.tune(&mut course, keeper, observer)?;
            let kept: usize = course.best.layers.iter().map(TunedLayer::bytes).sum();
            let validated = self.validation.len().min(self.sizes.validation);
            self.end_phase(course.adapted.own_bytes() + kept, self.sizes.step.max(validated));
        }
        self.check_base()?;
        Ok(self.outcome(course, plan))
    }

    /// Fits the head and, where that takes no steps of training, chooses layers.
    fn start(&mut self, observer: &mut dyn Observer) -> Result<Course, Error> {
        let (config, layout) = (self.config, self.network.layout());
        let Heads { alone, head_alone, warm } = self.heads(observer)?;
        let layers = TunedLayer::snapshot(&self.with_head(alone.as_ref()), layout);
        observer.event(&Event::Epoch {
            epoch: 0,
            of: config.epochs,
            loss: head_alone.loss,
            validation: head_alone,
            active: 0,
            best: true,
        });
        drop(alone);
        let mut course = Course {
            stage: Stage::Done,
            head_alone,
            worth: Vec::new(),
            adapted: self.with_head(warm.as_ref()),
            warm,
            total: None,
            at_once: None,
            best: Best { layers, score: head_alone, epoch: 0 },
            pass: Pass::begin(1, &self.random),
        };
        if config.own_head {
            observer.event(&Event::Improved(&Improved::new(self, &course.best)));
        }
        match config.method {
            Method::Head => {}
            _ if self.stopped => {}
            Method::Taps => self.select(&mut course, observer)?,
            _ => self.chosen(&mut course, Vec::new(), observer),
        }
        Ok(course)
    }

    /// Refuses a base whose bytes are not those that the run began with: its adapter would be bound to weights that it was
    /// not trained on.
    pub(super) fn check_base(&self) -> Result<(), Error> {
        Ok(self.base.check_content(self.content)?)
    }

    fn outcome(&self, course: Course, plan: Option<Plan>) -> Tuned {
        let (counts, summary) = (&self.counts, self.summary(&course.best));
        Tuned {
            layers: course.best.layers,
            labels: self.labels().to_vec(),
            settings: self.settings.clone(),
            summary,
            method: self.config.method_name(),
            validation: course.best.score,
            head_alone: course.head_alone,
            epoch: course.best.epoch,
            steps: counts.steps,
            dropped: counts.dropped,
            seconds_per_step: counts.tuning.as_secs_f64() / f64::from(counts.tuned.max(1)),
            worth: course.worth,
            memory: self.memory,
            plan,
            stopped: self.stopped,
        }
    }

    /// Whether these can be weight and bias of the task's head; nothing where the base's is kept.
    pub(super) fn head_fits(&self, weight: Option<&[f32]>, bias: Option<&[f32]>) -> bool {
        let classes = self.data.train.classes().len();
        let expected =
            [classes * self.network.layout().features(), classes].map(|size| self.config.own_head.then_some(size));
        [weight, bias].map(|values| values.map(<[f32]>::len)) == expected
    }

    /// Class names that an adapter brings.
    pub(super) fn labels(&self) -> &[String] {
        if self.config.own_head { self.data.train.classes() } else { &[] }
    }

    pub(super) fn summary(&self, best: &Best) -> Summary {
        let summary = Tuned::summarize(self.config, self.network.layout(), &best.layers, self.train.len());
        let validation = (best.score.examples > 0).then(|| best.score.accuracy() as f32);
        Summary { steps: self.counts.steps, validation, ..summary }
    }

    /// The batches of a pass over the training examples, of `size` examples each.
    pub(super) fn order(&mut self, size: usize) -> Vec<Vec<usize>> {
        let (label, random) = (|index| self.data.train.label(index), &mut self.random);
        match self.config.balanced {
            true => balanced(&self.train, label, size, random),
            false => batches(&self.train, size, random),
        }
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
        let bare = self.place.ready(&bare)?;
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
        let train = features(&self.data.train, &self.train)?;
        let validation = features(self.data.held(), &self.validation)?;
        let train = train.standardized(self.data.train.classes().len());
        let (random, workspace) = (&mut self.random, &self.workspace);
        let (warm, _) = fit(&train, &validation, config.warm_epochs, config, random, workspace, observer);
        let (alone, head_alone) = fit(&train, &validation, config.head_epochs, config, random, workspace, observer);
        self.stopped = observer.stop();
        drop((train, validation));
        // Weight and bias six times: two fitted heads, one being fitted, its two states, and the best so far.
        self.end_phase(6 * alone.bytes(), self.sizes.features.min(self.train.len()));
        Ok(Heads { alone: Some(alone), head_alone, warm: Some(warm) })
    }

    /// How well what is being trained does on the validation examples.
    pub(super) fn validate(&self, weights: &impl Weights) -> Result<Score, Error> {
        self.scored(weights, self.data.held(), &self.validation)
    }

    /// How well weights do on the examples `indices`.
    pub(super) fn scored(
        &self,
        weights: &impl Weights,
        examples: &dyn Examples,
        indices: &[usize],
    ) -> Result<Score, Error> {
        let ready = self.place.ready(weights)?;
        let logits = |input: &Input| ready.logits(self.network, input, &self.workspace);
        score(examples, indices, self.sizes.validation, &self.workspace, logits)
    }

    pub(super) fn with_head(&self, head: Option<&Head>) -> Adapted {
        let mut adapted = Adapted::new(self.base, self.network.layout());
        if let Some(head) = head {
            adapted.set_head(head.weight.clone(), head.bias.clone());
        }
        adapted
    }

    /// Tells what tuning will take, now that it is known what may change, and how many steps are affordable.
    fn planned(&mut self, course: &mut Course, observer: &mut dyn Observer) -> Result<Option<Plan>, Error> {
        let Some(planner) = &self.planner else { return Ok(None) };
        let mut plan = self.without_memory_of_device(planner.chosen(&course.worth)?);
        if course.total.is_none() {
            let steps = self.steps_per_epoch() * self.config.epochs;
            let pace = self.calibrate(course, steps)?;
            course.total = Some(self.affordable(&pace, steps));
            course.at_once = Some((self.sizes.step, self.sizes.recompute));
            plan.pace = Some(pace);
        }
        plan.steps = course.total.unwrap_or(0);
        plan.epochs = plan.steps.div_ceil(self.steps_per_epoch().max(1));
        observer.event(&Event::Planned { plan: &plan });
        Ok(Some(plan))
    }

    /// A plan that says nothing of memory where a device computes, since that is not predicted.
    fn without_memory_of_device(&self, plan: Plan) -> Plan {
        match self.place.is_device() {
            true => Plan { memory: Memory::default(), ..plan },
            false => plan,
        }
    }

    /// Counts what a phase has taken, `own` bytes beside the pool and batches of up to `examples`, and frees the buffers
    /// that it leaves.
    pub(super) fn end_phase(&mut self, own: usize, examples: usize) {
        if !self.place.is_device() {
            let batch = self.planner.as_ref().map_or(0, |planner| planner.batch_bytes(examples));
            self.memory = self.memory.max(self.workspace.peak_bytes() + own + batch);
        }
        self.workspace.release();
    }
}
