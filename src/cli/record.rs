//! The record of a run, beside its adapter: `banking.taps` has `banking.run.json`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Error;
use super::planned::Planned;
use super::progress::Progress;
use crate::files::{Output, read_json};
use crate::format::{Adapter, Digest};
use crate::runtime::Score;
use crate::train::{Config, Event, Observer, Phase, Tuned};

/// How file names of records end.
pub(super) const SUFFIX: &str = ".run.json";

/// One fine-tune: what it was asked for, what came of it, and how it got there.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) task: String,
    pub(super) method: String,
    /// Elements of all tensors of the adapter.
    pub(super) parameters: u64,
    /// Digest of the adapter file.
    #[serde(default)]
    pub(super) adapter: Option<String>,
    #[serde(default)]
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) settings: Settings,
    /// Examples that were trained on.
    #[serde(default)]
    pub(super) examples: u64,
    /// Examples that the best epoch was chosen by.
    #[serde(default)]
    pub(super) held_out: u64,
    #[serde(default)]
    pub(super) classes: u64,
    /// Size of the adapter file.
    #[serde(default)]
    pub(super) bytes: u64,
    /// Names of the layers with a delta, in network order.
    #[serde(default)]
    pub(super) active_layers: Vec<String>,
    #[serde(default)]
    pub(super) tapped_layers: u64,
    #[serde(default)]
    pub(super) validation_accuracy: Option<f64>,
    #[serde(default)]
    pub(super) head_alone_accuracy: Option<f64>,
    /// Added by `taps eval --record`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) test_accuracy: Option<f64>,
    /// Wall-clock time of the whole run, up to the last checkpoint in processes that were killed.
    #[serde(default)]
    pub(super) seconds: Option<f64>,
    /// What the run was reckoned to take, and what it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) plan: Option<Planned>,
    /// Steps before the run went on from a checkpoint for the last time, which is where the curves begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resumed_after: Option<u64>,
    #[serde(default)]
    pub(super) curves: Curves,
}

/// What the run was asked for; what is not known is `None`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    pub(super) max_active_layers: Option<u64>,
    pub(super) lambda: Option<f32>,
    pub(super) rate: Option<f32>,
    pub(super) epochs: Option<u64>,
    pub(super) seed: Option<u64>,
    pub(super) select: Option<String>,
    pub(super) norms: Option<String>,
}

/// Losses as they fell. Each list has one mean loss a step.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Curves {
    /// Of passes over the features of the frozen base: the head alone.
    pub(super) head: Vec<f32>,
    /// While layers were chosen.
    pub(super) select: Vec<f32>,
    /// While the chosen layers were tuned.
    pub(super) tune: Vec<f32>,
    pub(super) epochs: Vec<Epoch>,
}

/// The state after an epoch; epoch 0 is the head alone.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Epoch {
    pub(super) epoch: u64,
    /// Tuning steps done by then.
    pub(super) step: u64,
    /// Mean training loss of the epoch.
    pub(super) loss: Option<f32>,
    pub(super) validation_accuracy: Option<f64>,
    pub(super) validation_loss: Option<f32>,
    pub(super) active_layers: u64,
}

/// Where the record of the adapter at `adapter` lies.
pub(super) fn path(adapter: &Path) -> PathBuf {
    adapter.with_extension(&SUFFIX[1..])
}

impl Record {
    /// What an adapter itself tells of its run.
    pub(super) fn of_adapter(adapter: &Adapter<'_>) -> Self {
        let summary = adapter.summary();
        Self {
            task: adapter.task().to_owned(),
            method: adapter.method().to_owned(),
            parameters: adapter.entries().fold(0, |sum, entry| sum.saturating_add(entry.elements() as u64)),
            adapter: Some(adapter.digest().to_string()),
            architecture: adapter.architecture().to_owned(),
            settings: Settings {
                max_active_layers: summary.max_active_layers.map(u64::from),
                lambda: Some(summary.lambda),
                seed: Some(summary.seed),
                ..Settings::default()
            },
            examples: summary.examples.into(),
            classes: adapter.labels().len() as u64,
            bytes: adapter.len() as u64,
            tapped_layers: summary.layers.into(),
            validation_accuracy: summary.validation.map(f64::from),
            ..Self::default()
        }
    }

    /// A run that has just ended, and the adapter that it made.
    pub(super) fn of_run(
        adapter: &Adapter<'_>,
        active: &[&str],
        config: &Config,
        tuned: &Tuned,
        course: Recorded,
    ) -> Self {
        let known = Self::of_adapter(adapter);
        Self {
            settings: Settings {
                rate: Some(config.rate),
                epochs: Some(config.epochs as u64),
                select: Some(config.select.name().to_owned()),
                norms: Some(config.norms.name().to_owned()),
                ..known.settings
            },
            held_out: tuned.validation.examples as u64,
            active_layers: active.iter().map(|&name| name.to_owned()).collect(),
            validation_accuracy: accuracy(&tuned.validation),
            head_alone_accuracy: accuracy(&tuned.head_alone),
            seconds: Some(course.seconds),
            resumed_after: course.resumed_after,
            plan: tuned.plan.as_ref().map(|plan| Planned::new(plan, tuned.memory)),
            curves: course.curves,
            ..known
        }
    }

    /// Reads a record and checks that its numbers can be drawn.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::of(path, read_json(path)?)
    }

    fn of(path: &Path, json: serde_json::Value) -> Result<Self, Error> {
        let record: Self = serde_json::from_value(json)
            .map_err(|error| Error::Failed(format!("{}: not the record of a run: {error}", path.display())))?;
        let scores = [record.validation_accuracy, record.head_alone_accuracy, record.test_accuracy];
        let epochs = &record.curves.epochs;
        let mut shares = scores.into_iter().chain(epochs.iter().map(|epoch| epoch.validation_accuracy)).flatten();
        let losses = [&record.curves.head, &record.curves.select, &record.curves.tune].into_iter().flatten().copied();
        let means = epochs.iter().flat_map(|epoch| [epoch.loss, epoch.validation_loss]).flatten();
        let message = if !shares.all(|share| (0.0..=1.0).contains(&share)) {
            "an accuracy is not from 0 to 1"
        } else if !losses.chain(means).all(|loss| loss.is_finite() && loss >= 0.0) {
            "a loss is not a number from 0 on"
        } else if !record.seconds.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0) {
            "the seconds are not a number from 0 on"
        } else {
            return Ok(record);
        };
        Err(Error::Failed(format!("{}: not the record of a run: {message}", path.display())))
    }

    /// Writes the record.
    pub(super) fn write(&self, out: &Output) -> Result<(), Error> {
        save(out, self)
    }
}

/// A record to add a test accuracy to: everything else in the file stays, known here or not.
pub(super) struct Measured {
    out: Output,
    all: serde_json::Value,
}

impl Measured {
    /// Opens the record of the run that made the adapter of this task and digest.
    pub(super) fn open(path: &Path, task: &str, digest: Option<Digest>) -> Result<Self, Error> {
        let all = read_json(path)?;
        let record = Record::of(path, all.clone())?;
        let digest = digest.map(|digest| digest.to_string());
        if record.task != task || record.adapter.is_some() && record.adapter != digest {
            let (path, of) = (path.display(), record.task);
            let message = match of == task {
                true => format!(
                    "{path}: the record of another adapter of task {of}: the file that it names has other bytes"
                ),
                false => format!("{path}: the record of another adapter, of task {of}: name that of {task}"),
            };
            return Err(Error::Usage(message));
        }
        Ok(Self { out: Output::at(path)?, all })
    }

    pub(super) fn save(mut self, accuracy: f64) -> Result<(), Error> {
        self.all["test_accuracy"] = accuracy.into();
        save(&self.out, &self.all)
    }
}

fn save(out: &Output, value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_vec(value);
    let mut bytes = json.map_err(|error| Error::Failed(format!("{}: {error}", out.path().display())))?;
    bytes.push(b'\n');
    Ok(out.write(&bytes)?)
}

fn accuracy(score: &Score) -> Option<f64> {
    (score.examples > 0).then(|| score.accuracy())
}

/// How a run went.
#[derive(Default)]
pub(super) struct Recorded {
    curves: Curves,
    seconds: f64,
    resumed_after: Option<u64>,
}

/// Shows a run's progress and keeps its curves.
pub(super) struct Recorder {
    shown: Progress,
    phase: Phase,
    /// Passes that fitted the head to tune from, which come before those of the head alone.
    warm: usize,
    course: Recorded,
    started: Instant,
}

impl Recorder {
    pub(super) fn new(shown: Progress, config: &Config) -> Self {
        let warm = config.warm_epochs;
        Self { shown, phase: Phase::Head, warm, course: Recorded::default(), started: Instant::now() }
    }

    pub(super) fn finish(self) -> Recorded {
        Recorded { seconds: self.course.seconds + self.started.elapsed().as_secs_f64(), ..self.course }
    }
}

impl Observer for Recorder {
    fn event(&mut self, event: &Event<'_>) {
        let Recorded { curves, seconds, resumed_after } = &mut self.course;
        match event {
            Event::Begin { phase, .. } => self.phase = *phase,
            Event::Resumed { steps, elapsed, .. } => {
                (*seconds, *resumed_after) = (elapsed.as_secs_f64(), Some(u64::from(*steps)));
            }
            Event::Step { loss } if !loss.is_finite() => {}
            Event::Step { loss } => match self.phase {
                Phase::Head if self.warm > 0 => self.warm -= 1,
                Phase::Head => curves.head.push(*loss),
                Phase::Select => curves.select.push(*loss),
                Phase::Tune | Phase::Joint => curves.tune.push(*loss),
            },
            Event::Epoch { epoch, loss, validation, active, .. } => curves.epochs.push(Epoch {
                epoch: *epoch as u64,
                step: curves.tune.len() as u64,
                loss: (*epoch > 0).then_some(*loss),
                validation_accuracy: accuracy(validation),
                validation_loss: accuracy(validation).map(|_| validation.loss).filter(|loss| loss.is_finite()),
                active_layers: *active as u64,
            }),
            _ => {}
        }
        self.shown.event(event);
    }

    fn stop(&self) -> bool {
        self.shown.stop()
    }
}
