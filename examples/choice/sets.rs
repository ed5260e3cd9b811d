//! The sets of tasks.

use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use taps::data::{self, Augment, ImageSet, Options, Tokenizer, read_idx_images, read_idx_labels};
use taps::models::{InputSpec, Options as ModelOptions};
use taps::runtime::{self, Examples, ImageSpec, Input};
use taps::train::{Config, Method};
use taps::{Base, Model};

use crate::common::{Recorded, Result, Subset, activity, spoken};

/// Digits before this one are to train on; those from it on were held out when the base was trained.
const HELD_OUT: usize = 1197;
/// Digits that a task learns from.
const FEW: usize = 200;

/// A task over a base.
pub struct Case {
    pub base: Base,
    pub model: Model,
    pub train: Box<dyn Examples>,
    pub validation: Option<Box<dyn Examples>>,
    pub test: Box<dyn Examples>,
}

/// Tasks that are measured together.
pub struct Set {
    pub name: String,
    pub cases: Vec<Case>,
    /// Learning rates to choose from, with some layers and with all.
    pub rates: &'static [f32],
    pub full_rates: &'static [f32],
    settings: Config,
    /// Epochs and batch with all layers.
    full: (usize, usize),
}

impl Set {
    /// The set called `name`.
    pub fn open(name: &str, minilm: &str, each: usize) -> Result<Self> {
        let rates: &[f32] = &[5e-4, 1e-3];
        let full_rates: &[f32] = &[2e-4, 5e-4];
        let default = Config::default();
        let texts = |folder: &str| -> Result<Vec<Case>> {
            Ok(vec![texts(minilm, &format!("{folder}/train.csv"), &format!("{folder}/test.csv"), each)?])
        };
        let (cases, rates, full_rates, settings) = match name {
            "banking77" => {
                let cases = texts("../shared/data/banking77")?;
                (cases, rates, full_rates, Config { epochs: 4, ..default })
            }
            "python-docs" => {
                let cases = texts("target/python-docs")?;
                (cases, rates, full_rates, Config { epochs: 4, ..default })
            }
            "clothing96" => (vec![clothing()?], rates, full_rates, Config { epochs: 5, ..default }),
            "digits" => {
                let settings = Config { epochs: 14, head_rate: 3e-3, ..default };
                (digits()?, [1e-3, 3e-3].as_slice(), [1e-3, 3e-3].as_slice(), settings)
            }
            "activity" => {
                let settings =
                    Config { epochs: 30, own_head: false, validation: 0.0, smoothing: 0.1, batch: 25, ..default };
                (activities()?, [1e-3].as_slice(), [1e-3].as_slice(), settings)
            }
            "spoken-digits" => {
                let settings =
                    Config { epochs: 100, own_head: false, validation: 0.0, smoothing: 0.1, batch: 25, ..default };
                (speakers()?, [3e-3].as_slice(), [1e-2].as_slice(), settings)
            }
            _ => return Err(format!("no set is called {name}").into()),
        };
        let full = if name == "spoken-digits" { (30, 10) } else { (settings.epochs, settings.batch) };
        Ok(Self { name: name.to_owned(), cases, rates, full_rates, settings, full })
    }

    /// The settings of a run that may change what `method` says.
    pub fn settings(&self, method: &Config) -> Config {
        let (epochs, batch) = match method.method {
            Method::Full => self.full,
            _ => (self.settings.epochs, self.settings.batch),
        };
        let Config { method: what, select, budget, .. } = method.clone();
        let settings = Config { method: what, select, budget, epochs, batch, ..self.settings.clone() };
        match what {
            Method::Head => Config { own_head: true, ..settings },
            _ => settings,
        }
    }
}

fn texts(minilm: &str, train: &str, test: &str, each: usize) -> Result<Case> {
    let base = Base::open(minilm)?;
    let model = Model::open(&base)?;
    let tokenizer = Tokenizer::open(base.folder().join("tokenizer.json"), 128)?;
    let how = Options { tokenizer: Some(&tokenizer), ..Options::default() };
    let train = data::open(train, &how)?;
    let test = data::open(test, &Options { labels: Some(train.classes()), ..how.clone() })?;
    let train = Part::of_each(train, each);
    Ok(Case { base, model, train: Box::new(train), validation: None, test: Box::new(test) })
}

fn clothing() -> Result<Case> {
    let base = Base::open("../shared/models/mobilenet_v2")?;
    let model = Model::open_with(&base, &ModelOptions { image_size: Some([96, 96]), ..ModelOptions::default() })?;
    let spec = spec(&model)?;
    let how = Options { image: Some(&spec), augment: Augment { crop: 6, flip: true }, ..Options::default() };
    let part = |name: &str, labels: Option<&[String]>| {
        data::open(format!("../shared/data/clothing96/{name}"), &Options { labels, ..how.clone() })
    };
    let train = part("train", None)?;
    let (validation, test) = (part("validation", Some(train.classes()))?, part("test", Some(train.classes()))?);
    Ok(Case { base, model, train: Box::new(train), validation: Some(Box::new(validation)), test: Box::new(test) })
}

fn spec(model: &Model) -> Result<ImageSpec> {
    match model.input() {
        InputSpec::Images(spec) => Ok(spec),
        InputSpec::Tokens(_) => Err("the base reads no images".into()),
    }
}

/// The tasks of `taps demo`: a quarter turn, inverted contrast, and the kinds of strokes as classes.
fn digits() -> Result<Vec<Case>> {
    let images = read_idx_images("adapters/digits/data/digits-images-idx3-ubyte")?;
    let labels = read_idx_labels("adapters/digits/data/digits-labels-idx1-ubyte")?;
    let side = images.height;
    let turned = |image: &[u8]| (0..side * side).map(|at| image[(side - 1 - at % side) * side + at / side]).collect();
    let inverted = |image: &[u8]| image.iter().map(|pixel| 255 - pixel).collect();
    let digits: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let kind = |digit: u8| match digit {
        0 | 6 | 8 | 9 => 0,
        1 | 4 | 7 => 1,
        _ => 2,
    };
    type View<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    type Task<'a> = (View<'a>, &'a dyn Fn(u8) -> usize, &'a [String]);
    let tasks: [Task; 3] = [
        (&turned, &|digit| digit.into(), &digits),
        (&inverted, &|digit| digit.into(), &digits),
        (&<[u8]>::to_vec, &kind, &["round", "straight", "curved"].map(str::to_owned)),
    ];
    let case = |(view, label, classes): Task| {
        let base = Base::open("adapters/digits/base")?;
        let model = Model::open(&base)?;
        let spec = spec(&model)?;
        let part = |range: std::ops::Range<usize>| {
            let pixels = images.pixels[range.start * side * side..range.end * side * side].chunks_exact(side * side);
            let labels = labels[range].iter().map(|&digit| label(digit)).collect();
            ImageSet::new(pixels.flat_map(view).collect(), labels, classes.to_vec(), spec.clone())
        };
        let (train, validation, test) = (part(0..FEW)?, part(FEW..2 * FEW)?, part(HELD_OUT..labels.len())?);
        Ok(Case { base, model, train: Box::new(train), validation: Some(Box::new(validation)), test: Box::new(test) })
    };
    tasks.into_iter().map(case).collect()
}

/// Each of the last subjects' own recordings, over a base of the others.
fn activities() -> Result<Vec<Case>> {
    let recorded = Recorded::open(None, activity::DATA)?;
    let raw = recorded.signals("windows", "activity", &activity::ACTIVITIES)?;
    let (subjects, watches) = (recorded.numbers("subject")?, recorded.numbers("is_watch")?);
    let windows = |subject: usize| (0..subjects.len()).filter(|&index| subjects[index] == subject).collect::<Vec<_>>();
    let mut train = Vec::new();
    for subject in 1..14 {
        let windows = windows(subject);
        train.extend_from_slice(activity::split(&windows, &watches, windows.len() * 4 / 5).0);
    }
    let signals = Arc::new(raw.normalized(&train));
    let subset =
        |chosen: &[usize]| Subset { signals: signals.clone(), chosen: chosen.to_vec(), shift: activity::SHIFT };
    let trained = activity::BASE.train(&subset(&train))?;
    let case = |subject: usize| {
        let windows = windows(subject);
        let (own, rest) = activity::split(&windows, &watches, activity::OWN);
        let (base, model) = (trained.base().clone(), Model::open(trained.base())?);
        Ok(Case { base, model, train: Box::new(subset(own)), validation: None, test: Box::new(subset(rest)) })
    };
    (14..=18).map(case).collect()
}

/// Each speaker's few utterances, over a base of the other three.
fn speakers() -> Result<Vec<Case>> {
    let recorded = Recorded::open(None, spoken::DATA)?;
    let raw = recorded.signals("features", "digit", &spoken::DIGITS)?;
    let speakers = recorded.numbers("speaker")?;
    let case = |new: usize| {
        let split = spoken::Split::new(&raw.labels, &speakers, new);
        let signals = Arc::new(raw.normalized(&split.train));
        let subset =
            |chosen: &[usize]| Subset { signals: signals.clone(), chosen: chosen.to_vec(), shift: spoken::SHIFT };
        let trained = spoken::BASE.train(&subset(&split.train))?;
        let (base, model) = (trained.base().clone(), Model::open(trained.base())?);
        Ok(Case {
            base,
            model,
            train: Box::new(subset(&split.own)),
            validation: None,
            test: Box::new(subset(&split.rest)),
        })
    };
    (0..spoken::SPEAKERS.len()).map(case).collect()
}

/// Some of other examples.
struct Part<E> {
    all: E,
    chosen: Vec<usize>,
}

impl<E: Examples> Part<E> {
    /// `each` of every class, drawn at random; all where a class has no more.
    fn of_each(all: E, each: usize) -> Self {
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(0));
        let mut seen = vec![0; all.classes().len()];
        order.retain(|&index| {
            let seen = &mut seen[all.label(index)];
            *seen += 1;
            *seen <= each
        });
        Self { all, chosen: order }
    }

    fn of(&self, indices: &[usize]) -> Vec<usize> {
        indices.iter().map(|&index| self.chosen[index]).collect()
    }
}

impl<E: Examples> Examples for Part<E> {
    fn len(&self) -> usize {
        self.chosen.len()
    }

    fn classes(&self) -> &[String] {
        self.all.classes()
    }

    fn label(&self, index: usize) -> usize {
        self.all.label(self.chosen[index])
    }

    fn rows(&self, index: usize) -> usize {
        self.all.rows(self.chosen[index])
    }

    fn batch(&self, indices: &[usize]) -> std::result::Result<Input, runtime::Error> {
        self.all.batch(&self.of(indices))
    }
}
