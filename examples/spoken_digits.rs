//! A recognizer of spoken digits is made one person's own with 50 of their utterances:
//!
//! ```text
//! cargo run --release --example spoken_digits -- [spoken-digits.safetensors] [--validate]
//! ```
//!
//! Each of the four speakers in turn is the new one. A small residual network is trained from random weights on the
//! other three and becomes the base; five utterances of each digit by the new speaker make a task of it, by a head
//! alone, by TAPS with four layers, and by all layers. The table has, for each speaker and for all together:
//! - `before`, `after`: accuracy of the base and of the task on the other 450 utterances of the new speaker;
//!   `after, int8`: with the deltas stored in int8;
//! - `seconds` from the base to the adapter, and the bytes of the adapter in f32 and int8;
//! - `others`: accuracy on a fifth of the three speakers' utterances, which the base was not trained on: of the base
//!   before, of the task, and of the base after switching back to it, whose scores must not differ in a single bit.
//!
//! `--validate` is what the settings were chosen by: the 50 utterances alone, in five rounds trained on 40 of them and
//! measured on 10.
//!
//! The bands of the spectrum are the network's channels, and time the height of its images: an average over places
//! would lose which band is which.

mod common;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use taps::train::{Budget, Config, Method};

use common::{Recorded, Report, Result, Start, Subset};

const DATA: &str = "../shared/data/spoken-digits/spoken-digits.safetensors";
const SPEAKERS: [&str; 4] = ["jackson", "nicolas", "theo", "yweweler"];
const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
/// Utterances of each digit by the new speaker.
const OWN: usize = 5;
/// Largest move of an utterance in a training step: bands and frames.
const SHIFT: [usize; 2] = [2, 5];

fn main() -> Result<()> {
    let (flags, paths): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let recorded = Recorded::open(paths.first(), DATA)?;
    let raw = recorded.signals("features", "digit", &DIGITS)?;
    let speakers = recorded.numbers("speaker")?;

    // All 50 are trained on: nothing is held out, and the last epoch is kept. Layers are tuned under the base's head.
    let layers = Config { own_head: false, validation: 0.0, smoothing: 0.1, ..Config::default() };
    let mut report = Report::new(&[
        ("head", Config { method: Method::Head, own_head: true, head_epochs: 1000, ..layers.clone() }),
        ("TAPS", Config { budget: Budget::layers(4), epochs: 100, batch: 25, rate: 3e-3, ..layers.clone() }),
        ("full", Config { method: Method::Full, epochs: 30, batch: 10, rate: 1e-2, ..layers }),
    ]);
    for (new, name) in SPEAKERS.iter().enumerate() {
        let split = Split::new(&raw.labels, &speakers, new);
        let signals = raw.normalized(&split.train);
        let subset = |chosen: &[usize]| Subset { signals: &signals, chosen: chosen.to_vec(), shift: SHIFT };
        let start = Start { widths: [16, 32, 64], blocks: 2, epochs: 20, rate: 1e-2, seed: 0 };
        let base = start.train(&subset(&split.train))?;
        let rounds = match flags.iter().any(|flag| flag == "--validate") {
            true => (0..OWN).map(|fold| split.fold(fold).map(|chosen| subset(&chosen))).collect(),
            false => vec![[subset(&split.own), subset(&split.rest)]],
        };
        report.add(name, &base, &rounds, &subset(&split.held))?;
    }
    report.print(&[]);
    Ok(())
}

/// Which utterances are for what.
#[derive(Default)]
struct Split {
    /// The others', to train the base on.
    train: Vec<usize>,
    /// The others', to measure on: a fifth of each speaker's utterances of each digit.
    held: Vec<usize>,
    /// The new speaker's, to tune the task on, digit by digit.
    own: Vec<usize>,
    /// The new speaker's, to measure on.
    rest: Vec<usize>,
}

impl Split {
    fn new(digits: &[usize], speakers: &[usize], new: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut split = Self::default();
        for speaker in 0..SPEAKERS.len() {
            for digit in 0..DIGITS.len() {
                let is_one = |&index: &usize| speakers[index] == speaker && digits[index] == digit;
                let mut those: Vec<usize> = (0..digits.len()).filter(is_one).collect();
                those.shuffle(&mut random);
                let (few, many) = those.split_at(if speaker == new { OWN } else { those.len() / 5 });
                let [to_few, to_many] = match speaker == new {
                    true => [&mut split.own, &mut split.rest],
                    false => [&mut split.held, &mut split.train],
                };
                to_few.extend(few);
                to_many.extend(many);
            }
        }
        split
    }

    /// The utterances to tune on without one of each digit, and these.
    fn fold(&self, fold: usize) -> [Vec<usize>; 2] {
        let (test, train): (Vec<_>, Vec<_>) = self.own.iter().enumerate().partition(|(place, _)| place % OWN == fold);
        [train, test].map(|part| part.into_iter().map(|(_, &index)| index).collect())
    }
}
