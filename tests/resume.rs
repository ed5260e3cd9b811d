//! Fine-tunes that are interrupted: they go on from their checkpoint to the same bytes, and what does not fit a
//! checkpoint is refused. What goes wrong in between costs a step and not the run.
#![cfg(all(feature = "train", feature = "data"))]

mod common;

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use common::digits::{digits, open};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taps::format::{Adapter, Encoding};
use taps::kernels::Precision;
use taps::runtime::{self, Images, Input};
use taps::train::{
    Budget, Checkpoint, Control, Error, Event, Method, Norms, Observer, Optimizer, Quiet, Select, Tuned,
};
use taps::{Config, Examples, Runtime, fine_tune};

const COUNT: usize = 120;

fn small() -> Config {
    Config {
        epochs: 2,
        batch: 16,
        rate: 3e-3,
        budget: Budget::layers(2),
        validation: 0.25,
        threads: 1,
        ..Config::default()
    }
}

/// One that is free to close gates while it tunes.
fn gated() -> Config {
    Config { budget: Budget::default(), lambda: 2.0, score_rate: 1e-2, penalty_warmup: 0.0, ..small() }
}

fn bytes(tuned: &Tuned) -> Vec<u8> {
    let (base, model) = open();
    tuned.adapter(&base, &model, "digits", Encoding::F32).unwrap()
}

fn uninterrupted(config: &Config) -> Tuned {
    let (base, model) = open();
    fine_tune(&base, &model, &digits(COUNT), config, &mut Quiet).unwrap()
}

fn resumed(at: &Path, config: &Config, observer: &mut dyn Observer) -> Result<Tuned, Error> {
    let (base, model) = open();
    let checkpoint = Checkpoint::at(at).every(Duration::ZERO);
    checkpoint.fine_tune(&base, &model, &digits(COUNT), config, observer)
}

/// Asks to stop after some steps of choosing or tuning layers; counts what it is told.
#[derive(Default)]
struct Watch {
    stop_after: Option<u32>,
    tuning: bool,
    steps: Cell<u32>,
    resumed: u32,
    dropped: u32,
    not_kept: u32,
    improved: Vec<Vec<u8>>,
}

impl Watch {
    fn stopping_after(steps: u32) -> Self {
        Self { stop_after: Some(steps), ..Self::default() }
    }
}

impl Observer for Watch {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin { phase, .. } => self.tuning = *phase != taps::train::Phase::Head,
            Event::Step { .. } if self.tuning => self.steps.set(self.steps.get() + 1),
            Event::Resumed { .. } => self.resumed += 1,
            Event::Dropped { .. } => self.dropped += 1,
            Event::NotKept { .. } => self.not_kept += 1,
            Event::Improved(improved) => self.improved.push(improved.adapter("digits", Encoding::F32).unwrap()),
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        self.stop_after.is_some_and(|steps| self.steps.get() >= steps)
    }
}

#[test]
fn a_run_that_stops_at_every_step_comes_to_the_same_bytes() {
    let sgd = Optimizer::Sgd { momentum: 0.9 };
    let settings = [
        ("probe", small()),
        ("candidates", Config { select: Select::ProbeScores, gated_share: 0.5, ..small() }),
        ("bf16 states", Config { states: Precision::Bf16, ..small() }),
        ("int8 states", Config { states: Precision::Int8, method: Method::Full, ..small() }),
        ("parts", Config { select: Select::Last, micro_batch: Some(5), ..small() }),
        ("scores", Config { select: Select::Scores, ..small() }),
        ("gates", gated()),
        ("full", Config { method: Method::Full, optimizer: sgd, ..small() }),
        ("norms", Config { norms: Norms::Affine, patience: Some(1), ..small() }),
        ("head", Config { method: Method::Head, ..small() }),
    ];
    for (name, config) in settings {
        let expected = uninterrupted(&config);
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("x.checkpoint");
        let (mut runs, mut resumptions) = (0, 0);
        let tuned = loop {
            // The first run has its choice of layers to get through before there is anything to go on from.
            let mut watch = Watch::stopping_after(if at.exists() { 1 } else { 8 });
            let tuned = resumed(&at, &config, &mut watch).unwrap();
            (runs, resumptions) = (runs + 1, resumptions + watch.resumed);
            assert!(runs < 100, "{name}: it never ends");
            if !tuned.stopped {
                break tuned;
            }
        };
        assert_eq!(bytes(&tuned), bytes(&expected), "{name}: after {runs} runs");
        assert_eq!((tuned.steps, tuned.epoch), (expected.steps, expected.epoch), "{name}");
        assert_eq!(resumptions, runs - 1, "{name}");
        assert_eq!(runs > 3, config.method != Method::Head, "{name}: {runs} runs");
        // What is over is over: once more costs no step.
        if at.exists() {
            let mut again = Watch::default();
            assert_eq!(bytes(&resumed(&at, &config, &mut again).unwrap()), bytes(&expected), "{name}");
            assert_eq!((again.steps.get(), again.resumed), (0, 1), "{name}");
        }
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("x.checkpoint");
    assert!(resumed(&at, &small(), &mut Watch::stopping_after(8)).unwrap().stopped);
    let kept = std::fs::read(&at).unwrap();
    let (base, model) = open();
    let checkpoint = Checkpoint::at(&at);
    let refused = |examples: &dyn Examples, config: &Config, what: &str| {
        let error = checkpoint.fine_tune(&base, &model, examples, config, &mut Quiet).err().unwrap();
        assert!(matches!(error, Error::OtherCheckpoint { .. }) && error.to_string().contains(what), "{error}");
        assert_eq!(std::fs::read(&at).unwrap(), kept);
    };
    refused(&digits(COUNT), &Config { seed: 1, ..small() }, "settings");
    refused(&digits(COUNT), &Config { rate: 1e-3, ..small() }, "settings");
    refused(&digits(COUNT + 1), &small(), "examples");
    for in_training in [false, true] {
        let middle = |index| index == COUNT / 2;
        refused(&Spoiled { digits: digits(COUNT), spoiled: middle, in_training }, &small(), "examples");
    }
    std::fs::write(&at, &kept[..kept.len() - 1]).unwrap();
    let error = checkpoint.fine_tune(&base, &model, &digits(COUNT), &small(), &mut Quiet).err().unwrap();
    assert!(matches!(error, Error::Checkpoint { .. }) && error.to_string().contains("x.checkpoint"), "{error}");
    checkpoint.remove().unwrap();
    checkpoint.remove().unwrap();
    let threads = Config { threads: 2, ..small() };
    assert!(!checkpoint.fine_tune(&base, &model, &digits(COUNT), &threads, &mut Quiet).unwrap().stopped);
}

/// What a checkpoint ends with is a checksum of all before it: one who forges a state can make that hold.
#[test]
fn a_forged_checkpoint_is_refused_or_goes_on() {
    const FORGED: u64 = 400;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("x.checkpoint");
    let config = Config { select: Select::Scores, states: Precision::Int8, patience: Some(1), ..small() };
    let (mut refused, mut went_on) = (0, 0);
    for steps in [4, 8] {
        checkpoint_after(&at, &config, steps);
        let genuine = std::fs::read(&at).unwrap();
        for seed in 0..FORGED {
            let random = &mut ChaCha8Rng::seed_from_u64(seed);
            let mut forged = genuine[..genuine.len() - 32].to_vec();
            // Most of a state are numbers that may be any; where its parts are counted is at its ends.
            let (length, end) = (forged.len(), random.random_range(1..=forged.len()).min(400));
            for _ in 0..random.random_range(1..4) {
                let place = random.random_range(0..end);
                let place = if seed % 2 == 0 { length - 1 - place } else { 10 + place };
                forged[place.min(length - 1)] = random.random();
            }
            let checksum = blake3::hash(&forged);
            forged.extend(checksum.as_bytes());
            std::fs::write(&at, &forged).unwrap();
            match resumed(&at, &config, &mut Quiet) {
                Ok(_) => went_on += 1,
                Err(Error::Checkpoint { .. } | Error::OtherCheckpoint { .. } | Error::Diverged { .. }) => refused += 1,
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
    }
    println!("{refused} refused, {went_on} went on");
    assert!(refused > 100 && went_on > 100, "{refused} {went_on}");
}

fn checkpoint_after(at: &Path, config: &Config, steps: u32) {
    let _ = std::fs::remove_file(at);
    assert!(resumed(at, config, &mut Watch::stopping_after(steps)).unwrap().stopped);
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut watch = Watch::default();
    let tuned = resumed(&folder.path().join("nowhere/x.checkpoint"), &small(), &mut watch).unwrap();
    assert!(watch.not_kept > 0);
    assert_eq!(bytes(&tuned), bytes(&uninterrupted(&small())));
}

/// Digits of which some have pixels that are no numbers.
struct Spoiled {
    digits: taps::data::ImageSet,
    spoiled: fn(usize) -> bool,
    /// In what is trained on, or else in what is looked at without training.
    in_training: bool,
}

impl Spoiled {
    fn spoil(&self, indices: &[usize]) -> Result<Input, runtime::Error> {
        let Input::Images(mut images) = self.digits.batch(indices)? else { unreachable!() };
        for (image, _) in indices.iter().enumerate().filter(|(_, index)| (self.spoiled)(**index)) {
            images.pixels[image * 64..][..64].fill(f32::NAN);
        }
        Ok(Input::Images(images))
    }
}

impl Examples for Spoiled {
    fn len(&self) -> usize {
        self.digits.len()
    }

    fn classes(&self) -> &[String] {
        self.digits.classes()
    }

    fn label(&self, index: usize) -> usize {
        self.digits.label(index)
    }

    fn batch(&self, indices: &[usize]) -> Result<Input, runtime::Error> {
        if self.in_training { self.digits.batch(indices) } else { self.spoil(indices) }
    }

    fn training_batch(&self, indices: &[usize], _: u64) -> Result<Input, runtime::Error> {
        if self.in_training { self.spoil(indices) } else { self.digits.batch(indices) }
    }
}

#[test]
fn a_step_without_a_number_is_dropped_and_a_run_of_them_is_an_error() {
    let (base, model) = open();
    let tune = |spoiled: fn(usize) -> bool, watch: &mut Watch| {
        let examples = Spoiled { digits: digits(COUNT), spoiled, in_training: true };
        fine_tune(&base, &model, &examples, &Config { batch: 8, validation: 0.0, ..small() }, watch)
    };
    let mut watch = Watch::default();
    let tuned = tune(|index| index == 17, &mut watch).unwrap();
    assert_eq!((tuned.dropped, watch.dropped), (2, 2), "once an epoch");
    let adapter = bytes(&tuned);
    let runtime = Runtime::new(open().1).with_threads(1);
    let task = runtime.load_bytes(&adapter, "memory").unwrap();
    let input = Input::Images(Images { pixels: vec![0.5; 64], batch: 1, channels: 1, height: 8, width: 8 });
    assert!(runtime.predict_as(task, &input).unwrap().logits().iter().all(|score| score.is_finite()));
    let error = tune(|_| true, &mut Watch::default()).err().unwrap();
    assert!(matches!(error, Error::NotFinite { .. }), "the first step shows it: {error}");
    let mut watch = Watch::default();
    let config = Config { batch: 8, validation: 0.0, rate: 1e30, warmup: 0.0, ..small() };
    let error = fine_tune(&base, &model, &digits(COUNT), &config, &mut watch).err().unwrap();
    assert!(matches!(error, Error::Diverged { step: 13, .. }), "{error}");
    assert_eq!(watch.dropped, 12);
}

#[test]
fn each_improvement_can_be_switched_to_while_training_goes_on() {
    let (base, model) = open();
    let config = Config { validation: 0.0, epochs: 3, ..small() };
    let runtime = Runtime::new(open().1).with_threads(1);
    let (send, receive) = std::sync::mpsc::channel::<Vec<u8>>();
    struct Sender(std::sync::mpsc::Sender<Vec<u8>>);
    impl Observer for Sender {
        fn event(&mut self, event: &Event<'_>) {
            if let Event::Improved(improved) = event {
                self.0.send(improved.adapter("digits", Encoding::F32).unwrap()).unwrap();
            }
        }
    }
    let input = Input::Images(Images { pixels: vec![0.5; 64], batch: 1, channels: 1, height: 8, width: 8 });
    let (tuned, digests) = std::thread::scope(|scope| {
        let training = scope.spawn(|| fine_tune(&base, &model, &digits(COUNT), &config, &mut Sender(send)).unwrap());
        let mut digests = Vec::new();
        for adapter in receive {
            let task = runtime.load_bytes(&adapter, "memory").unwrap();
            runtime.switch(&task).unwrap();
            let prediction = runtime.predict(&input).unwrap();
            assert_eq!(prediction.task().digest(), task.digest());
            digests.push(task.digest().unwrap());
        }
        (training.join().unwrap(), digests)
    });
    assert_eq!(digests.len(), 4, "the head alone, and three epochs");
    assert_eq!(bytes(&tuned), bytes(&uninterrupted(&config)));
    let last = Adapter::parse(&bytes(&tuned)).unwrap().digest();
    assert_eq!(digests[3], last, "the last improvement is what comes out");
}

#[test]
fn a_run_is_paused_and_ended_from_another_thread() {
    let (base, model) = open();
    let control = Control::new();
    let (send, steps) = std::sync::mpsc::channel();
    struct Steps(std::sync::mpsc::Sender<()>);
    impl Observer for Steps {
        fn event(&mut self, event: &Event<'_>) {
            if let Event::Step { .. } = event {
                self.0.send(()).unwrap();
            }
        }
    }
    let config = Config { epochs: 10_000, ..small() };
    let tuned = std::thread::scope(|scope| {
        let steered = control.clone();
        let (base, model, config) = (&base, &model, &config);
        let training = scope.spawn(move || {
            let mut observer = Steps(send);
            fine_tune(base, model, &digits(COUNT), config, &mut steered.steer(&mut observer)).unwrap()
        });
        (0..100).for_each(|_| steps.recv().unwrap());
        control.pause();
        // The step that was under way may still come.
        while steps.recv_timeout(Duration::from_millis(300)).is_ok() {}
        assert!(!training.is_finished());
        control.go_on();
        (0..20).for_each(|_| steps.recv().unwrap());
        control.pause();
        control.end();
        training.join().unwrap()
    });
    assert!(tuned.stopped);
}
