//! A recognizer of what people do, from the accelerometer and gyroscope of a phone or a watch, is made one person's
//! own with their first recordings:
//!
//! ```text
//! cargo run --release --example activity -- [activity.safetensors] [--validate]
//! ```
//!
//! A small residual network is trained from random weights on subjects 1 to 13 and becomes the base. Subjects 14 to 18
//! each get a task of it, by a head alone, by TAPS with four layers, and by all layers. A subject's windows lie in the
//! order they were recorded in, and neighbours overlap by half; a recording is one walk of a phone and a watch at the
//! same time. So a subject's first whole recordings, until they have 50 windows, are what is learned from, with as many
//! windows of each activity as there happen to be, and all later ones what is measured on. The first table has, for
//! each subject and for all together:
//! - `before`, `after`: accuracy of the base and of the task on the later recordings; `after, int8`: with the deltas
//!   stored in int8;
//! - `seconds` from the base to the adapter, and the bytes of the adapter in f32 and int8;
//! - `others`: accuracy on the last fifth of the 13 subjects' recordings, which the base was not trained on: of the base
//!   before, of the task, and of the base after switching back to it, whose scores must not differ in a single bit.
//!
//! The second has the share of each activity that is right, all five subjects together: three windows in four are of
//! walking.
//!
//! `--validate` is what the settings were chosen by: a base of subjects 1 to 8, and tasks of subjects 9 to 13.

mod common;

use std::sync::Arc;

use taps::train::{Budget, Config, Method};

use common::activity::{ACTIVITIES, BASE, DATA, OWN, SHIFT, split};
use common::{Recorded, Report, Result, Subset};

fn main() -> Result<()> {
    let (flags, paths): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let recorded = Recorded::open(paths.first(), DATA)?;
    let raw = recorded.signals("windows", "activity", &ACTIVITIES)?;
    let (subjects, watches) = (recorded.numbers("subject")?, recorded.numbers("is_watch")?);
    let windows = |subject: usize| (0..subjects.len()).filter(|&index| subjects[index] == subject).collect::<Vec<_>>();
    let new = if flags.iter().any(|flag| flag == "--validate") { 9..=13 } else { 14..=18 };

    let (mut train, mut held) = (Vec::new(), Vec::new());
    for subject in 1..*new.start() {
        let windows = windows(subject);
        let (first, last) = split(&windows, &watches, windows.len() * 4 / 5);
        train.extend(first);
        held.extend(last);
    }
    let signals = Arc::new(raw.normalized(&train));
    let subset = |chosen: &[usize]| Subset { signals: signals.clone(), chosen: chosen.to_vec(), shift: SHIFT };
    let base = BASE.train(&subset(&train))?;

    // All windows are trained on: nothing is held out, and the last epoch is kept. Layers are tuned under the base's
    // head.
    let layers = Config { own_head: false, validation: 0.0, smoothing: 0.1, batch: 25, ..Config::default() };
    let mut report = Report::new(&[
        ("head", Config { method: Method::Head, own_head: true, head_epochs: 1000, ..layers.clone() }),
        ("TAPS", Config { budget: Budget::layers(4), epochs: 30, rate: 1e-3, ..layers.clone() }),
        ("full", Config { method: Method::Full, epochs: 30, rate: 1e-3, ..layers }),
    ]);
    for subject in new {
        let windows = windows(subject);
        let (own, rest) = split(&windows, &watches, OWN);
        report.add(&format!("subject {subject}"), &base, &[[subset(own), subset(rest)]], &subset(&held))?;
    }
    report.print(&signals.classes);
    Ok(())
}
