//! Labelled signals in memory.

use std::path::Path;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taps::base::{Base, Dtype, TensorView};
use taps::runtime::{self, Examples, Images, Input};

use super::Result;

/// A safetensors file of signals and of numbers that belong to them.
pub struct Recorded(Base);

impl Recorded {
    /// Opens `path`, or `default` where none is given.
    pub fn open(path: Option<&String>, default: &str) -> Result<Self> {
        let path = Path::new(path.map_or(default, String::as_str));
        if !path.is_file() {
            return Err(format!(
                "no file {}: it holds the data of this example, whose path may be given as an argument",
                path.display()
            )
            .into());
        }
        Ok(Self(Base::open(path)?))
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        let missing = || format!("{} has no tensor `{name}`", self.0.path().display());
        Ok(self.0.tensor(self.0.find(name).ok_or_else(missing)?))
    }

    /// A small number for each signal.
    pub fn numbers(&self, name: &str) -> Result<Vec<usize>> {
        let tensor = self.tensor(name)?;
        match tensor.dtype {
            Dtype::U8 => Ok(tensor.bytes.iter().map(|&number| number.into()).collect()),
            other => Err(format!("{}: `{name}` is {other} and not U8", self.0.path().display()).into()),
        }
    }

    /// Signals `[signals, steps, channels]` and the class of each.
    pub fn signals(&self, name: &str, labels: &str, classes: &[&str]) -> Result<Signals> {
        let (tensor, labels) = (self.tensor(name)?, self.numbers(labels)?);
        let path = self.0.path().display();
        let &[count, steps, channels] = tensor.shape else {
            return Err(format!("{path}: `{name}` is {:?} and not [signals, steps, channels]", tensor.shape).into());
        };
        if !tensor.dtype.is_weight() || labels.len() != count || labels.iter().any(|&label| label >= classes.len()) {
            return Err(format!("{path}: `{name}` is not {count} signals of {} classes", classes.len()).into());
        }
        let rows = tensor.to_vec();
        let mut values = Vec::with_capacity(rows.len());
        for signal in rows.chunks_exact(steps * channels) {
            for channel in 0..channels {
                values.extend(signal[channel..].iter().step_by(channels));
            }
        }
        let classes = classes.iter().map(|&class| class.to_owned()).collect();
        Ok(Signals { values, shape: [channels, steps], labels, classes, mean: Vec::new(), deviation: Vec::new() })
    }
}

/// Labelled signals of one length. A network sees each as an image one pixel wide, its steps below one another.
#[derive(Clone)]
pub struct Signals {
    /// `[signals, channels, steps]`, row-major.
    values: Vec<f32>,
    /// Channels and steps.
    pub shape: [usize; 2],
    /// Class of each signal.
    pub labels: Vec<usize>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// What was taken from each channel; empty before [`Signals::normalized`].
    pub mean: Vec<f32>,
    /// What each channel was then divided by; empty before [`Signals::normalized`].
    pub deviation: Vec<f32>,
}

impl Signals {
    /// The same signals, each channel by its mean and deviation over the signals `by`.
    pub fn normalized(&self, by: &[usize]) -> Self {
        let [channels, steps] = self.shape;
        let mut out = self.clone();
        let count = (by.len() * steps) as f64;
        for channel in 0..channels {
            let line = |&index: &usize| &self.values[(index * channels + channel) * steps..][..steps];
            let values = || by.iter().flat_map(line).map(|&value| f64::from(value));
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            out.mean.push(mean as f32);
            out.deviation.push(variance.sqrt() as f32);
        }
        for (number, line) in out.values.chunks_exact_mut(steps).enumerate() {
            let (mean, deviation) = (out.mean[number % channels], out.deviation[number % channels]);
            line.iter_mut().for_each(|value| *value = (*value - mean) / deviation);
        }
        out
    }
}

/// Some of the signals, as examples.
pub struct Subset {
    /// All of them.
    pub signals: Arc<Signals>,
    /// Which these are.
    pub chosen: Vec<usize>,
    /// By how many channels and steps a signal moves at most in a training step, each way.
    pub shift: [usize; 2],
}

impl Subset {
    /// Signals `indices` of these, each moved by what `by` says, its edges drawn out to where nothing moved to.
    fn input(&self, indices: &[usize], mut by: impl FnMut() -> [isize; 2]) -> Input {
        let [channels, steps] = self.signals.shape;
        let clamp = |at: usize, by: isize, size: usize| (at as isize - by).clamp(0, size as isize - 1) as usize;
        let mut pixels = Vec::with_capacity(indices.len() * channels * steps);
        for &index in indices {
            let signal = &self.signals.values[self.chosen[index] * channels * steps..][..channels * steps];
            let [up, later] = by();
            for channel in 0..channels {
                let line = &signal[clamp(channel, up, channels) * steps..][..steps];
                pixels.extend((0..steps).map(|step| line[clamp(step, later, steps)]));
            }
        }
        Input::Images(Images { pixels, batch: indices.len(), channels, height: steps, width: 1 })
    }
}

impl Examples for Subset {
    fn len(&self) -> usize {
        self.chosen.len()
    }

    fn classes(&self) -> &[String] {
        &self.signals.classes
    }

    fn label(&self, index: usize) -> usize {
        self.signals.labels[self.chosen[index]]
    }

    fn batch(&self, indices: &[usize]) -> std::result::Result<Input, runtime::Error> {
        Ok(self.input(indices, || [0, 0]))
    }

    fn training_batch(&self, indices: &[usize], seed: u64) -> std::result::Result<Input, runtime::Error> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut within = |most: usize| random.random_range(-(most as i32)..=most as i32) as isize;
        Ok(self.input(indices, || self.shift.map(&mut within)))
    }
}
