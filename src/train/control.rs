//! A fine-tune steered from other threads: paused, slowed down, ended.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::progress::{Event, Observer};

/// A handle on a running fine-tune. Clones steer the same one.
#[derive(Clone, Debug, Default)]
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    wish: Mutex<Wish>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wish {
    paused: bool,
    ended: bool,
}

impl Control {
    /// A handle on nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the run wait after the step it is in, until [`Control::go_on`] or [`Control::end`].
    pub fn pause(&self) {
        self.set(|wish| wish.paused = true);
    }

    /// Lets a paused run go on.
    pub fn go_on(&self) {
        self.set(|wish| wish.paused = false);
    }

    /// Ends the run after the step it is in, with the best adapter so far, also where it is paused.
    pub fn end(&self) {
        self.set(|wish| wish.ended = true);
    }

    /// The observer that makes a run follow this handle, and tells `inner` what happens.
    pub fn steer<'a>(&self, inner: &'a mut dyn Observer) -> Steered<'a> {
        Steered { control: self.clone(), inner, pace: None, since: Instant::now() }
    }

    fn set(&self, change: impl FnOnce(&mut Wish)) {
        change(&mut self.wish());
        self.shared.changed.notify_all();
    }

    fn wish(&self) -> MutexGuard<'_, Wish> {
        self.shared.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the run is paused, and at least `rest` unless it is ended.
    fn wait(&self, rest: Duration) {
        let until = Instant::now() + rest;
        let mut wish = self.wish();
        while !wish.ended {
            let left = until.saturating_duration_since(Instant::now());
            wish = match (wish.paused, left.is_zero()) {
                (true, _) => self.shared.changed.wait(wish).unwrap_or_else(PoisonError::into_inner),
                (false, true) => return,
                (false, false) => {
                    let waited = self.shared.changed.wait_timeout(wish, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

/// An observer that waits and ends as a [`Control`] says.
pub struct Steered<'a> {
    control: Control,
    inner: &'a mut dyn Observer,
    pace: Option<Box<dyn FnMut() -> f32 + 'a>>,
    since: Instant,
}

impl<'a> Steered<'a> {
    /// The same, with `pace` asked after every step for the share of time to work in, above 0 and up to 1: at 0.25 the
    /// run rests three times as long as the step took. For a device that gets warm.
    pub fn with_pace(self, pace: impl FnMut() -> f32 + 'a) -> Self {
        Self { pace: Some(Box::new(pace)), ..self }
    }
}

impl Observer for Steered<'_> {
    fn event(&mut self, event: &Event<'_>) {
        self.inner.event(event);
        if let Event::Step { .. } = event {
            let share = self.pace.as_mut().map_or(1.0, |pace| pace());
            let share = if share.is_nan() { 1.0 } else { share.clamp(0.01, 1.0) };
            self.control.wait(self.since.elapsed().mul_f32(1.0 / share - 1.0));
        }
        self.since = Instant::now();
    }

    fn stop(&self) -> bool {
        self.control.wish().ended || self.inner.stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Quiet;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn what_is_paused_waits_until_it_goes_on_or_ends() {
        let within = |wake: fn(&Control)| {
            let control = Control::new();
            control.pause();
            let (waiter, order) = (control.clone(), Mutex::new(Vec::new()));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    waiter.wait(Duration::ZERO);
                    order.lock().unwrap().push("on");
                });
                std::thread::sleep(Duration::from_millis(20));
                order.lock().unwrap().push("woken");
                wake(&control);
            });
            assert_eq!(order.into_inner().unwrap(), ["woken", "on"]);
        };
        within(Control::go_on);
        within(Control::end);
    }

    #[test]
    fn a_rest_ends_with_the_run() {
        let control = Control::new();
        control.end();
        control.wait(LONG);
        assert!(control.steer(&mut Quiet).stop());
    }

    #[test]
    fn a_pace_that_is_no_share_is_one_all_the_same() {
        let control = Control::new();
        for pace in [f32::INFINITY, f32::NAN, 2.0, 1.0] {
            let mut quiet = Quiet;
            let mut steered = control.steer(&mut quiet).with_pace(move || pace);
            steered.since = Instant::now() - Duration::from_secs(60);
            steered.event(&Event::Step { loss: 0.0 });
        }
    }

    #[test]
    fn at_half_the_pace_a_run_rests_as_long_as_it_works() {
        let (control, mut quiet) = (Control::new(), Quiet);
        let mut steered = control.steer(&mut quiet).with_pace(|| 0.5);
        let worked = Duration::from_millis(20);
        steered.since = Instant::now() - worked;
        let before = Instant::now();
        steered.event(&Event::Step { loss: 0.0 });
        assert!(before.elapsed() >= worked);
    }
}
