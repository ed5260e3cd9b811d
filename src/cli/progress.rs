//! A fine-tune's progress: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::{bytes, percent};
use super::{console, signals};
use crate::runtime::Score;
use crate::train::{Amount, Event, Observer, Phase};

static STOP: AtomicBool = AtomicBool::new(false);

/// Makes Ctrl-C, the end of a terminal and a request to end stop a fine-tune with the best adapter so far, and a second
/// one end the process.
pub(super) fn stop_on_signals() {
    if let Err(error) = signals::on_each(|code| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(code);
        }
    }) {
        console::note(format_args!("Ctrl-C will end the run without an adapter: {error}"));
    }
}

/// A validation score as a percentage, where examples were held out.
fn accuracy(score: &Score) -> String {
    if score.examples == 0 { "none".to_owned() } else { percent(score.accuracy()) }
}

/// Shows a fine-tune's progress on stderr.
pub(super) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    terminal: bool,
}

impl Progress {
    /// One that shows nothing if `quiet`.
    pub(super) fn new(quiet: bool) -> Self {
        let terminal = stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        Self { bar, quiet, terminal }
    }

    fn line(&self, line: String) {
        match (self.quiet, self.terminal) {
            (true, _) => {}
            (false, true) => self.bar.println(console::escaped(&line)),
            (false, false) => console::progress(line),
        }
    }
}

impl Progress {
    /// Says what must not be missed, also where progress is not shown.
    fn note(&self, line: &str) {
        if self.quiet { console::note(line) } else { self.line(format!("note: {line}")) }
    }
}

impl Observer for Progress {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Task { name } => self.line(format!("task {name}")),
            Event::Begin { phase, steps } => {
                let name = match phase {
                    Phase::Head => "fitting the head",
                    Phase::Select => "choosing layers",
                    Phase::Tune => "tuning",
                    Phase::Joint => "training together",
                };
                self.bar.finish_and_clear();
                if self.terminal && !self.quiet {
                    self.bar = ProgressBar::new(*steps as u64).with_message(name);
                    if let Ok(style) = ProgressStyle::with_template("{msg:17} {bar:32} {pos}/{len} steps, {eta} left") {
                        self.bar.set_style(style);
                    }
                } else {
                    self.line(format!("{name}: {steps} steps"));
                }
            }
            Event::Resumed { epoch: 0, steps, .. } => {
                self.line(format!("going on after {steps} steps of choosing layers"))
            }
            Event::Resumed { epoch, of, steps, .. } => {
                self.line(format!("going on in epoch {epoch}/{of}, after {steps} steps"));
            }
            Event::Step { .. } => self.bar.inc(1),
            Event::Dropped { step, loss, slowed } => {
                let rate = if *slowed < 1.0 { format!(", learning rate times {slowed}") } else { String::new() };
                self.note(&format!("step {step} was dropped: loss {loss}, or a gradient that is no number{rate}"));
            }
            Event::NotKept { error } => self.note(&format!("no checkpoint was written: {error}")),
            Event::Improved(_) => {}
            Event::Selected { layers } => {
                let chosen = layers.iter().filter(|worth| worth.chosen).count();
                self.line(format!("chose {chosen} of {} layers", layers.len()));
            }
            Event::Candidates { layers } => {
                let count = layers.iter().filter(|worth| worth.chosen).count();
                self.line(format!("{count} of {} layers are candidates", layers.len()));
            }
            Event::Freed { layers, left } => self.line(format!("{} closed, {left} active", layers.len())),
            Event::Planned { plan } => {
                let (memory, adapter) = (&plan.memory, bytes(plan.adapter_bytes));
                if memory.total() > 0 {
                    self.line(format!("will take {} of memory: {memory}", bytes(memory.total())));
                }
                let again = if plan.recompute { " with activations computed again" } else { "" };
                self.line(format!("{} examples of a step at once{again}, an adapter of up to {adapter}", plan.at_once));
                if let (Some(pace), Some(time)) = (plan.pace, plan.time()) {
                    let (step, time) = (Amount::Time(pace.step), Amount::Time(time));
                    self.line(format!("{} steps of {step}, {time} with {} validations", plan.steps, plan.epochs));
                }
            }
            Event::Epoch { epoch: 0, validation, .. } => {
                self.line(format!("head alone: validation {}", accuracy(validation)));
            }
            Event::Epoch { epoch, of, loss, validation, active, best } => {
                let (accuracy, star) = (accuracy(validation), if *best { ", best so far" } else { "" });
                self.line(format!("epoch {epoch}/{of}: loss {loss:.4}, validation {accuracy}, {active} active{star}"));
            }
        }
    }

    fn stop(&self) -> bool {
        STOP.load(Ordering::Relaxed)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
