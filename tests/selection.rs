//! How layers are chosen: by scores among candidates, by a ranking that is kept, and what both tell as they go.
#![cfg(all(feature = "train", feature = "data"))]

mod common;

use common::digits::{digits, open};
use taps::runtime::{LayerId, Network};
use taps::train::{Budget, Error, Event, Observer, Quiet, Ranked, Ranking, Select, Tuned, Worth, rank};
use taps::{Config, fine_tune};

fn small() -> Config {
    let (rate, head_rate, budget) = (3e-3, 3e-3, Budget::layers(3));
    let select = Select::ProbeScores;
    Config { select, epochs: 4, rate, head_rate, budget, validation: 0.0, threads: 1, ..Config::default() }
}

fn tune(config: &Config, observer: &mut dyn Observer) -> Result<Tuned, Error> {
    let (base, model) = open();
    fine_tune(&base, &model, &digits(300), config, observer)
}

/// What was told of the choice, in order.
#[derive(Default)]
struct Choice {
    candidates: Vec<LayerId>,
    /// Layers that were freed together, and those that were left.
    freed: Vec<(Vec<LayerId>, usize)>,
    /// Steps before the choice was made, and what it was.
    settled: Option<(usize, Vec<Worth>)>,
    steps: usize,
    active: Vec<usize>,
}

impl Observer for Choice {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Candidates { layers } => self.candidates = chosen(layers),
            Event::Freed { layers, left } => self.freed.push((layers.to_vec(), *left)),
            Event::Selected { layers } => self.settled = Some((self.steps, layers.to_vec())),
            Event::Begin { .. } => self.steps = 0,
            Event::Step { .. } => self.steps += 1,
            Event::Epoch { epoch, active, .. } if *epoch > 0 => self.active.push(*active),
            _ => {}
        }
    }
}

fn chosen(layers: &[Worth]) -> Vec<LayerId> {
    layers.iter().filter(|worth| worth.chosen).map(|worth| worth.layer).collect()
}

#[test]
fn twice_the_cap_are_candidates_and_the_highest_scores_go_on() {
    let mut choice = Choice::default();
    let tuned = tune(&Config { lambda: 0.0, ..small() }, &mut choice).unwrap();
    let (_, model) = open();
    assert_eq!(choice.candidates.len(), 6);
    let (after, worth) = choice.settled.expect("a choice was made");
    let steps = 4 * 300usize.div_ceil(32);
    assert_eq!(after, steps.div_ceil(4), "after a quarter of the steps");
    assert_eq!(chosen(&worth).len(), 3);
    let score = |layer: &LayerId| worth.iter().find(|worth| worth.layer == *layer).unwrap().value;
    let (kept, others): (Vec<_>, Vec<_>) = choice.candidates.iter().partition(|&layer| chosen(&worth).contains(layer));
    let lowest = kept.iter().map(&score).fold(f32::INFINITY, f32::min);
    assert!(others.iter().all(|layer| score(layer) <= lowest), "{worth:?}");
    assert_eq!(tuned.active_layers(model.layout()), chosen(&worth));
    assert_eq!(choice.active, [3; 4]);
}

#[test]
fn layers_whose_gates_close_are_freed_until_the_cap_holds() {
    let mut choice = Choice::default();
    let config = Config { lambda: 100.0, penalty_warmup: 0.0, score_rate: 1e-2, gated_share: 0.9, ..small() };
    let tuned = tune(&config, &mut choice).unwrap();
    let (_, model) = open();
    let freed: usize = choice.freed.iter().map(|(layers, _)| layers.len()).sum();
    assert_eq!(freed, 3, "all gates close, and three of six candidates are freed");
    assert!(choice.freed.iter().flat_map(|(layers, _)| layers).all(|layer| choice.candidates.contains(layer)));
    let (after, worth) = choice.settled.expect("a choice was made");
    assert!(after < 20, "it is made as soon as the cap holds, and not after 36 steps: {after}");
    assert_eq!(tuned.active_layers(model.layout()), chosen(&worth));
    assert_eq!(chosen(&worth).len(), 3);
}

#[test]
fn without_limits_every_layer_has_a_gate_to_the_end() {
    let mut choice = Choice::default();
    let tuned = tune(&Config { budget: Budget::default(), lambda: 0.0, ..small() }, &mut choice).unwrap();
    let (_, model) = open();
    assert!(choice.candidates.is_empty());
    assert_eq!(tuned.active_layers(model.layout()).len(), model.layout().tapped().count());
}

#[test]
fn a_penalty_by_bytes_closes_large_layers_first() {
    let (_, model) = open();
    let config = Config {
        budget: Budget::default(),
        select: Select::Scores,
        lambda: 3e-2,
        penalty_warmup: 0.0,
        score_rate: 1e-2,
        select_epochs: 2,
        epochs: 1,
        ..small()
    };
    let mean = |config: &Config| {
        let tuned = tune(config, &mut Quiet).unwrap();
        let active = tuned.active_layers(model.layout());
        let elements: usize = active.iter().map(|&id| model.layout().layer(id).elements()).sum();
        (active.len(), elements as f64 / active.len().max(1) as f64)
    };
    let ((_, plain), (count, by_bytes)) = (mean(&config), mean(&Config { penalty_by_bytes: true, ..config.clone() }));
    assert!(count > 0 && by_bytes < plain, "{by_bytes} elements a layer, and {plain} without a price");
}

#[test]
fn a_ranking_is_kept_and_chosen_by() {
    let (base, model) = open();
    let config = Config { select: Select::Probe, ..small() };
    let ranking = rank(&base, &model, &digits(300), &config, &mut Quiet).unwrap();
    assert_eq!(ranking.layers.len(), model.layout().tapped().count());
    assert!(ranking.layers.is_sorted_by(|a, b| a.worth >= b.worth));
    let text = serde_json::to_string(&ranking).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    let read = Ranking::read(&file).unwrap();
    assert_eq!(read, ranking);

    let by_probe = tune(&config, &mut Quiet).unwrap();
    let by_ranking = tune(&Config { select: Select::Ranked(read), ..config.clone() }, &mut Quiet).unwrap();
    assert_eq!(by_ranking.active_layers(model.layout()), by_probe.active_layers(model.layout()));

    // Worths are followed as they stand, whoever wrote them.
    let mut reversed = ranking.clone();
    let last = ranking.layers.len();
    reversed.layers.iter_mut().enumerate().for_each(|(place, layer)| layer.worth = (place + 1) as f32);
    let tuned = tune(&Config { select: Select::Ranked(reversed), ..config }, &mut Quiet).unwrap();
    let names: Vec<&str> =
        tuned.active_layers(model.layout()).iter().map(|&id| model.layout().layer(id).name.as_str()).collect();
    for layer in &ranking.layers[last - 3..] {
        assert!(names.contains(&layer.name.as_str()), "{names:?}");
    }
}

#[test]
fn a_ranking_of_other_layers_is_refused() {
    let ranked = |name: &str, worth| Ranked { name: name.to_owned(), worth };
    let (_, model) = open();
    let names: Vec<String> = model.layout().tapped().map(|id| model.layout().layer(id).name.clone()).collect();
    let all = |worth| names.iter().map(move |name| ranked(name, worth));
    let cases = [
        (None, all(1.0).skip(1).collect(), names[0].as_str()),
        (None, all(f32::NAN).collect(), "NaN"),
        (None, all(1.0).chain(all(2.0).take(1)).collect(), "twice"),
        (None, all(1.0).chain([ranked("encoder.layer.99", 1.0)]).collect(), "encoder.layer.99"),
        (Some("another"), all(1.0).collect(), model.architecture()),
    ];
    for (architecture, layers, said) in cases {
        let architecture = architecture.unwrap_or(model.architecture()).to_owned();
        let ranking = Ranking { criterion: "squared gradient".into(), architecture, layers };
        let error = tune(&Config { select: Select::Ranked(ranking), ..small() }, &mut Quiet).err().unwrap();
        assert!(matches!(error, Error::Ranking { .. }) && error.to_string().contains(said), "{error}");
    }
}
