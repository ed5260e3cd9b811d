//! Fine-tunes of the demo's base on a few digits: what each setting changes, and what is refused.
#![cfg(all(feature = "train", feature = "data"))]

mod common;

use std::cell::Cell;

use common::digits::{changed, digits, open};
use taps::data::ImageSet;
use taps::format::{Adapter, Encoding};
use taps::kernels::Workspace;
use taps::runtime::{LayerKind, evaluate};
use taps::train::{Budget, Error, Event, Method, Norms, Observer, Optimizer, Quiet, Replay, Select, Tuned};
use taps::{Config, Examples, Network, Runtime, fine_tune};

const COUNT: usize = 200;

/// Without validation, so that the last epoch is what comes out, better or not.
fn small() -> Config {
    let (rate, head_rate, budget) = (3e-3, 3e-3, Budget::layers(3));
    Config { epochs: 3, rate, head_rate, budget, validation: 0.0, threads: 1, ..Config::default() }
}

fn tune(config: &Config) -> Result<Tuned, Error> {
    let (base, model) = open();
    fine_tune(&base, &model, &digits(COUNT), config, &mut Quiet)
}

/// Kinds of the layers an adapter has entries for, and the adapter's active layers.
fn kinds(tuned: &Tuned) -> (Vec<LayerKind>, Vec<String>) {
    let (base, model) = open();
    let bytes = tuned.adapter(&base, &model, "digits", Encoding::F32).unwrap();
    let layout = model.layout();
    let kind = |name: &str| layout.layer(layout.find(name).unwrap().0).kind;
    let kinds = Adapter::parse(&bytes).unwrap().entries().map(|entry| kind(entry.name)).collect();
    let active = tuned.active_layers(layout).into_iter().map(|id| layout.layer(id).name.clone()).collect();
    (kinds, active)
}

#[test]
fn the_cap_holds_however_layers_are_chosen() {
    for select in [Select::Probe, Select::Scores] {
        let tuned = tune(&Config { select: select.clone(), lambda: 0.01, ..small() }).unwrap();
        let (kinds, active) = kinds(&tuned);
        assert_eq!(active.len(), 3, "{select:?}: {active:?}");
        assert_eq!(tuned.summary().active_layers as usize, active.len());
        let linear = kinds.iter().filter(|&&kind| kind == LayerKind::Linear).count();
        assert_eq!(linear, 2 * active.len(), "weight and bias of each, and of no other");
        assert_eq!(tuned.worth.len(), 25);
        let unchosen = tuned.worth.iter().filter(|worth| !worth.chosen).map(|worth| worth.value);
        let least = tuned.worth.iter().filter(|worth| worth.chosen).map(|worth| worth.value).fold(f32::MAX, f32::min);
        assert!(unchosen.fold(0.0, f32::max) <= least, "{select:?}: the chosen are worth most");
    }
}

#[test]
fn a_step_in_parts_teaches_what_a_whole_one_does() {
    let tuned = |micro_batch| {
        tune(&Config { select: Select::Last, micro_batch, epochs: 8, validation: 0.25, ..small() }).unwrap()
    };
    let whole = tuned(None);
    assert!(whole.epoch > 0 && whole.validation.loss < 0.9 * whole.head_alone.loss, "{:?}", whole.validation);
    for micro_batch in [1, 7, 31] {
        let parts = tuned(Some(micro_batch));
        let (found, expected) = (parts.validation.loss, whole.validation.loss);
        assert!((found - expected).abs() < 1e-3 * expected, "{micro_batch} at once: {found}, not {expected}");
        assert_eq!((parts.epoch, parts.steps), (whole.epoch, whole.steps));
    }
}

#[test]
fn without_a_cap_the_penalty_decides() {
    let uncapped = |lambda| {
        let config = Config { budget: Budget::default(), lambda, score_rate: 1e-2, ..small() };
        kinds(&tune(&config).unwrap()).1.len()
    };
    let (free, penalized) = (uncapped(0.0), uncapped(100.0));
    assert!(penalized < free, "{penalized} active under a large penalty, {free} under none");
}

#[test]
fn given_layers_are_the_ones_tuned() {
    let name = "vit.encoder.layer.2.attention";
    let config =
        Config { select: Select::Given(vec![name.to_owned()]), budget: Budget::default(), lambda: 0.0, ..small() };
    let (_, active) = kinds(&tune(&config).unwrap());
    assert!(!active.is_empty() && active.iter().all(|layer| layer.starts_with(name)), "{active:?}");
    let config = Config { select: Select::Given(vec!["vit.encoder.layer.2.att".to_owned()]), ..small() };
    let message = tune(&config).err().unwrap().to_string();
    assert!(message.contains("vit.encoder.layer.2.att;") && message.contains("vit.encoder.layer.0."), "{message}");
}

#[test]
fn norms_are_the_tasks_own_only_if_asked() {
    let norms = |norms| kinds(&tune(&Config { norms, ..small() }).unwrap()).0.contains(&LayerKind::Norm);
    assert!(norms(Norms::Affine));
    assert!(!norms(Norms::Frozen));
}

#[test]
fn methods_change_what_they_say() {
    let (head, active) = kinds(&tune(&Config { method: Method::Head, ..small() }).unwrap());
    assert_eq!((head, active.len()), (vec![LayerKind::Head; 2], 0));
    let tuned = tune(&Config { method: Method::Full, ..small() }).unwrap();
    let (full, active) = kinds(&tuned);
    assert_eq!(active.len(), 25);
    assert!(full.contains(&LayerKind::Embedding) && full.contains(&LayerKind::Norm));
    let momentum = Config { optimizer: Optimizer::Sgd { momentum: 0.9 }, rate: 0.02, head_rate: 0.02, ..small() };
    assert_eq!(kinds(&tune(&momentum).unwrap()).1.len(), 3);
}

/// What was asked for to compare is written, even where the head alone is better.
#[test]
fn a_comparison_is_what_it_says_where_it_does_not_pay() {
    let useless = Config { rate: 1e-9, validation: 0.3, epochs: 1, ..small() };
    let full = Config { method: Method::Full, select: Select::Probe, ..useless.clone() };
    let of_two = |select| Config { select, budget: Budget::layers(2), ..useless.clone() };
    for (config, layers) in [(full, 25), (of_two(Select::Last), 2), (of_two(Select::Random), 2)] {
        let tuned = tune(&config).unwrap();
        assert!(!tuned.validation.is_better_than(&tuned.head_alone), "{:?}", config.select);
        assert_eq!(kinds(&tuned).1.len(), layers, "{:?}", config.select);
    }
}

#[test]
fn an_adapter_scores_in_the_runtime_what_it_scored_in_training() {
    let (base, model) = open();
    let examples = digits(COUNT);
    let tuned =
        fine_tune(&base, &model, &examples, &Config { validation: 0.5, epochs: 8, ..small() }, &mut Quiet).unwrap();
    let bytes = tuned.adapter(&base, &model, "digits", Encoding::F32).unwrap();
    let runtime = Runtime::new(model).with_threads(1);
    let task = runtime.load_bytes(&bytes, "memory").unwrap();
    let mut random = rand::SeedableRng::seed_from_u64(0);
    let (_, held) = taps::train::split(&examples, 0.5, &mut random);
    let workspace = taps::kernels::Workspace::new(1);
    let score = taps::runtime::evaluate(runtime.network(), &*task, &examples, &held, 64, &workspace).unwrap();
    assert_eq!(score, tuned.validation);
    assert!(score.is_better_than(&tuned.head_alone), "{score:?} after {:?}", tuned.head_alone);
}

#[test]
fn without_validation_the_last_epoch_is_kept() {
    let tuned = tune(&small()).unwrap();
    assert_eq!((tuned.epoch, tuned.summary().validation, tuned.validation.examples), (3, None, 0));
    assert_eq!(tuned.summary().examples as usize, COUNT);
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let (base, model) = open();
    let few = fine_tune(&base, &model, &digits(1), &small(), &mut Quiet).err().unwrap();
    assert!(matches!(few, Error::TooFewExamples { examples: 1, classes: 10 }), "{few}");
    let momentum = |momentum| Config { optimizer: Optimizer::Sgd { momentum }, ..small() };
    for config in [
        Config { batch: 0, ..small() },
        Config { micro_batch: Some(0), ..small() },
        Config { threads: 0, ..small() },
        Config { rate: f32::NAN, ..small() },
        Config { head_rate: -1.0, ..small() },
        Config { score_rate: f32::INFINITY, ..small() },
        Config { lambda: f32::NAN, ..small() },
        Config { threshold: f32::NAN, ..small() },
        Config { initial_score: f32::NAN, ..small() },
        Config { decay: -0.1, ..small() },
        Config { warmup: 1.0, ..small() },
        Config { gated_share: f32::NAN, ..small() },
        Config { penalty_warmup: -0.5, ..small() },
        Config { smoothing: 1.0, ..small() },
        Config { validation: 1.0, ..small() },
        Config { probe_batches: 0, ..small() },
        momentum(2.0),
        momentum(f32::NAN),
        momentum(-0.1),
    ] {
        assert!(matches!(tune(&config), Err(Error::Setting { .. })), "{config:?}");
    }
    let diverged = tune(&Config { rate: 1e30, head_rate: 1e30, ..small() }).err().unwrap();
    assert!(matches!(diverged, Error::Diverged { .. }), "{diverged}");
}

/// Asks to stop after some events.
struct StopAfter(usize, Cell<usize>);

impl Observer for StopAfter {
    fn event(&mut self, _: &Event<'_>) {
        self.1.set(self.1.get() + 1);
    }

    fn stop(&self) -> bool {
        self.1.get() >= self.0
    }
}

#[test]
fn a_stopped_run_keeps_what_it_has_or_says_that_it_has_nothing() {
    let (base, model) = open();
    let run = |events| {
        let mut observer = StopAfter(events, Cell::new(0));
        fine_tune(&base, &model, &digits(COUNT), &Config { validation: 0.25, ..small() }, &mut observer)
    };
    assert!(matches!(run(2), Err(Error::Stopped)));
    let mut kept = Vec::new();
    for events in [30, 60, 75] {
        let tuned = run(events).unwrap();
        assert!(tuned.stopped);
        let bytes = tuned.adapter(&base, &model, "digits", Encoding::F32).unwrap();
        assert_eq!(Adapter::parse(&bytes).unwrap().labels().len(), digits(COUNT).classes().len());
        kept.push(tuned.epoch);
    }
    assert!(kept.is_sorted(), "{kept:?}");
}

#[test]
fn changes_of_batches_do_what_they_say() {
    let plain = tune(&small()).unwrap();
    let entries = |tuned: &Tuned| {
        let (base, model) = open();
        tuned.adapter(&base, &model, "digits", Encoding::F32).unwrap()
    };
    for config in [Config { balanced: true, ..small() }, Config { mixup: 0.5, ..small() }] {
        let changed = tune(&config).unwrap();
        assert_ne!(entries(&changed), entries(&plain));
        assert_eq!(entries(&changed), entries(&tune(&config).unwrap()), "by the seed alone");
    }
    assert_eq!(entries(&tune(&Config { token_dropout: 0.5, ..small() }).unwrap()), entries(&plain), "no texts");
    for config in [Config { mixup: 1.5, ..small() }, Config { token_dropout: 1.0, ..small() }] {
        assert!(matches!(tune(&config), Err(Error::Setting { .. })));
    }
}

#[test]
fn what_is_replayed_is_not_forgotten() {
    let (base, model) = open();
    let (own, old) = (digits(150), changed(150..300, |pixel| pixel));
    let config = Config { own_head: false, epochs: 8, budget: Budget::layers(8), ..small() };
    let accuracies = |examples: &dyn Examples| {
        let tuned = fine_tune(&base, &model, examples, &config, &mut Quiet).unwrap();
        let (base, model) = open();
        let bytes = tuned.adapter(&base, &model, "both", Encoding::F32).unwrap();
        let runtime = Runtime::new(model);
        let task = runtime.load_bytes(&bytes, "both").unwrap();
        let score = |examples: ImageSet| {
            let indices: Vec<usize> = (0..examples.len()).collect();
            let workspace = Workspace::new(1);
            evaluate(runtime.network(), &*task, &examples, &indices, 64, &workspace).unwrap().accuracy()
        };
        (score(changed(300..600, |pixel| 255 - pixel)), score(changed(300..600, |pixel| pixel)))
    };
    let (alone, forgotten) = accuracies(&own);
    let (both, kept) = accuracies(&Replay::new(&own, &old, 0.5, 0).unwrap());
    println!("new {alone} alone and {both} with replay, old {forgotten} and {kept}");
    assert!(kept > forgotten + 0.1 && kept > 0.85, "{forgotten} without replay, {kept} with");
    assert!(both > alone - 0.05, "{alone} without replay, {both} with");
}
