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

use taps::train::{Budget, Config, Method};

use common::{Recorded, Report, Result, Start, Subset};

const DATA: &str = "../shared/data/activity/activity.safetensors";
const ACTIVITIES: [&str; 5] = ["seated", "sitting down", "standing up", "turning", "walking"];
/// Windows that a new subject's first recordings have at least.
const OWN: usize = 50;
/// Largest move of a window in a training step: channels and samples.
const SHIFT: [usize; 2] = [0, 16];

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
    let signals = raw.normalized(&train);
    let subset = |chosen: &[usize]| Subset { signals: &signals, chosen: chosen.to_vec(), shift: SHIFT };
    let base = Start { widths: [16, 32, 64], blocks: 2, epochs: 24, rate: 1e-2, seed: 0 }.train(&subset(&train))?;

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

/// A subject's windows, cut at the first start of a recording that leaves `least` of them or more before it. Within a
/// recording the phone's windows come before the watch's.
fn split<'a>(windows: &'a [usize], watches: &[usize], least: usize) -> (&'a [usize], &'a [usize]) {
    let starts = |&at: &usize| at > 0 && watches[windows[at - 1]] > watches[windows[at]];
    windows.split_at((least..windows.len()).find(starts).unwrap_or(windows.len()))
}
