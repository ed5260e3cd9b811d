//! A fine-tune from start to end: fit the head, choose layers, tune them, keep the best epoch.

use super::checkpoint::Keeper;
use super::config::{Config, Method};
use super::course::{Best, Counts, Course, Pass, Stage};
use super::data::Data;
use super::error::Error;
use super::heads::Heads;
use super::improved::Improved;
#[cfg(feature = "candle")]
use super::place::Place;
use super::plan::{Memory, Plan, Planner};
use super::progress::{Event, Observer};
use super::run::Run;
use super::tuned::Tuned;
use super::tuned_layer::TunedLayer;
use crate::base::Base;
use crate::runtime::Network;

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
    let mut run = Run::checked(base, network, data.into(), config)?;
    run.place = Place::on(device, network);
    run.place.check(config)?;
    run.all(&mut Keeper::none(), observer)
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
}
