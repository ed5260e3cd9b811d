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

use std::sync::Arc;

use taps::train::{Budget, Config, Method};

use common::spoken::{BASE, DATA, DIGITS, OWN, SHIFT, SPEAKERS, Split};
use common::{Recorded, Report, Result, Subset};

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
        let signals = Arc::new(raw.normalized(&split.train));
        let subset = |chosen: &[usize]| Subset { signals: signals.clone(), chosen: chosen.to_vec(), shift: SHIFT };
        let base = BASE.train(&subset(&split.train))?;
        let rounds = match flags.iter().any(|flag| flag == "--validate") {
            true => (0..OWN).map(|fold| split.fold(fold).map(|chosen| subset(&chosen))).collect(),
            false => vec![[subset(&split.own), subset(&split.rest)]],
        };
        report.add(name, &base, &rounds, &subset(&split.held))?;
    }
    report.print(&[]);
    Ok(())
}
