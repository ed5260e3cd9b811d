//! Whole fine-tunes within budgets, on the demo's base.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use taps::format::Encoding;
use taps::train::{Amount, Budget, Error, Event, Method, Norms, Observer, Phase, Plan, Quiet, Select, Tuned};
use taps::{Config, Examples, Network, fine_tune};

use crate::alone;
use crate::common::digits::{digits, open};
use crate::common::heap::growth;

fn small() -> Config {
    Config { epochs: 2, head_epochs: 2, rate: 3e-3, head_rate: 3e-3, threads: 1, ..Config::default() }
}

fn within(budget: Budget) -> Config {
    Config { budget, ..small() }
}

fn tune(config: &Config) -> Result<Tuned, Error> {
    let (base, model) = open();
    fine_tune(&base, &model, &digits(200), config, &mut Quiet)
}

fn plan(tuned: &Tuned) -> &Plan {
    tuned.plan.as_ref().unwrap()
}

fn adapter_len(tuned: &Tuned, encoding: Encoding) -> usize {
    let (base, model) = open();
    tuned.adapter(&base, &model, "digits", encoding).unwrap().len()
}

#[test]
fn the_heap_grows_by_what_is_planned() {
    let _alone = alone();
    let full = Config { method: Method::Full, validation: 0.2, ..small() };
    let settings = [
        Config { method: Method::Head, ..small() },
        within(Budget::layers(4)),
        Config { norms: Norms::Affine, batch: 64, ..within(Budget::layers(8)) },
        Config { select: Select::Scores, ..within(Budget::layers(2)) },
        Config { micro_batch: Some(5), validation: 0.0, ..within(Budget::layers(4)) },
        Config { recompute: true, ..within(Budget::layers(4)) },
        Config { select: Select::ProbeScores, validation: 0.0, ..within(Budget::layers(4)) },
        full,
    ];
    let ((base, model), examples) = (open(), digits(400));
    // The first product of a thread reserves scratch by the size of the processor's caches.
    fine_tune(&base, &model, &examples, &settings[0], &mut Quiet).unwrap();
    for config in settings {
        let mut tuned = None;
        let grown = growth(|| tuned = Some(fine_tune(&base, &model, &examples, &config, &mut Quiet).unwrap()));
        let tuned = tuned.unwrap();
        let (planned, counted) = (plan(&tuned).memory.total(), tuned.memory);
        println!(
            "planned {planned}, counted {counted}, heap {grown}: {} in {:?}",
            plan(&tuned).memory,
            plan(&tuned).phase
        );
        assert!((1.0..=1.15).contains(&(planned as f64 / counted as f64)), "{planned} planned, {counted} counted");
        assert!(grown as f64 <= 1.05 * planned as f64, "{planned} planned, and the heap grew by {grown}");
        assert!(grown as f64 >= planned as f64 / 1.2, "{planned} planned, and the heap grew by {grown}");
    }
}

fn bytes(amount: Amount) -> usize {
    let Amount::Bytes(bytes) = amount else { panic!("{amount} are no bytes") };
    bytes
}

#[test]
fn fewer_layers_are_active_in_less_memory() {
    let _alone = alone();
    let free = tune(&Config { norms: Norms::Frozen, ..within(Budget::layers(25)) }).unwrap();
    let all = plan(&free);
    assert!(all.layers > 10);
    let least = {
        let refused = tune(&within(Budget { max_memory: Some(1000), ..Budget::default() }));
        let Err(Error::Budget { least, asked, .. }) = refused else { panic!("refused") };
        assert_eq!(asked, Amount::Bytes(1000));
        bytes(least)
    };
    assert!(least < all.memory.total());
    let mut last = 0;
    for share in [0.4, 0.6, 0.8, 1.0] {
        let limit = (all.memory.total() as f64 * share) as usize;
        let tuned = match tune(&within(Budget { max_memory: Some(limit), ..Budget::default() })) {
            Ok(tuned) => tuned,
            Err(Error::Budget { least, .. }) if bytes(least) > limit => continue,
            Err(error) => panic!("{error}"),
        };
        let plan = plan(&tuned);
        println!("{limit}: {} layers in {}, counted {}", plan.layers, plan.memory.total(), tuned.memory);
        assert!(plan.memory.total() <= limit && tuned.memory <= limit, "{limit}: {plan:?}");
        assert!(plan.layers >= last, "{} layers in {limit}, and {last} in less", plan.layers);
        last = plan.layers;
    }
    assert!(last > 10, "{last} layers in what all take");
}

#[test]
fn a_step_is_computed_in_parts_where_memory_is_short() {
    let _alone = alone();
    let config = |budget| Config { norms: Norms::Frozen, validation: 0.0, epochs: 1, ..within(budget) };
    let whole = tune(&config(Budget::layers(6))).unwrap();
    assert_eq!(plan(&whole).at_once, 32);
    let limit = plan(&whole).memory.total() / 2;
    let parts = tune(&config(Budget { max_memory: Some(limit), ..Budget::layers(6) })).unwrap();
    let plan = plan(&parts);
    println!("{limit}: {} at once, {} counted", plan.at_once, parts.memory);
    assert!(plan.at_once < 32 && plan.layers == 6, "{plan:?}");
    assert!(plan.memory.total() <= limit && parts.memory <= plan.memory.total(), "{} counted, {plan:?}", parts.memory);
    assert_eq!(parts.steps, whole.steps);
}

#[test]
fn activations_are_computed_again_where_parts_of_a_step_do_not_do() {
    let _alone = alone();
    // A batch that is normalized by its own statistics is not divided.
    let config =
        |method, budget| Config { method, norms: Norms::Statistics, validation: 0.0, epochs: 1, ..within(budget) };
    // Layers are chosen for what they cost, and all layers are there whatever they cost.
    for (method, budget) in [(Method::Taps, Budget::layers(6)), (Method::Full, Budget::default())] {
        let kept = tune(&config(method, budget)).unwrap();
        let limit = plan(&kept).memory.total() * 95 / 100;
        let again = tune(&config(method, Budget { max_memory: Some(limit), ..budget })).unwrap();
        assert!(!plan(&kept).recompute && plan(&again).recompute, "{method:?}: {:?}", plan(&again));
        assert_eq!((plan(&again).at_once, plan(&again).layers), (32, plan(&kept).layers));
        let planned = plan(&again).memory.total();
        assert!(
            again.memory <= planned && planned <= limit,
            "{method:?}: {} counted, {planned} of {limit}",
            again.memory
        );
        assert_eq!(again.steps, kept.steps);
    }
}

#[test]
fn an_adapter_stays_within_its_bytes() {
    let _alone = alone();
    let limited = |limit, encoding| Config {
        encoding,
        norms: Norms::Affine,
        validation: 0.0,
        ..within(Budget { max_adapter_bytes: Some(limit), ..Budget::default() })
    };
    let mut counts = Vec::new();
    for encoding in [Encoding::F32, Encoding::F16, Encoding::Int8] {
        let tuned = tune(&limited(60_000, encoding)).unwrap();
        let length = adapter_len(&tuned, encoding);
        assert!(length <= plan(&tuned).adapter_bytes && plan(&tuned).adapter_bytes <= 60_000, "{encoding:?}: {length}");
        assert!(plan(&tuned).adapter_bytes <= length + 300, "the name of the task, and a few numbers");
        counts.push(plan(&tuned).layers);
    }
    assert!(counts[0] > 0 && counts[0] < counts[1] && counts[1] < counts[2], "{counts:?}");
    let error = tune(&limited(2000, Encoding::Int8)).err().unwrap();
    let message = error.to_string();
    assert!(
        message.contains("2.0 kB") && message.contains("head and norms") && message.contains("encoding"),
        "{message}"
    );
}

#[test]
fn what_has_no_choice_is_refused_before_it_begins() {
    let _alone = alone();
    let budget = Budget { max_adapter_bytes: Some(20_000), ..Budget::default() };
    let full = Config { method: Method::Full, ..within(budget) };
    let given = Config { select: Select::Given(vec!["vit.encoder.layer".to_owned()]), ..within(budget) };
    let memory = Budget { max_memory: Some(500_000), ..Budget::default() };
    for config in [full, given, Config { select: Select::Scores, ..within(memory) }] {
        let error = tune(&config).err().unwrap();
        assert!(matches!(error, Error::Budget { .. }), "{error}");
    }
}

/// Keeps what was planned, and what happened before.
#[derive(Default)]
struct Seen(RefCell<Vec<String>>);

impl Observer for Seen {
    fn event(&mut self, event: &Event<'_>) {
        let what = match event {
            Event::Planned { plan } => format!("planned {}", plan.layers),
            Event::Begin { phase, .. } => format!("{phase:?}"),
            Event::Selected { .. } => "selected".to_owned(),
            _ => return,
        };
        self.0.borrow_mut().push(what);
    }
}

#[test]
fn a_plan_is_told_before_the_first_step() {
    let _alone = alone();
    let ((base, model), mut seen) = (open(), Seen::default());
    fine_tune(&base, &model, &digits(100), &within(Budget::layers(2)), &mut seen).unwrap();
    assert_eq!(*seen.0.borrow(), ["Head", "Select", "selected", "planned 2", "Tune"]);
    let mut seen = Seen::default();
    fine_tune(&base, &model, &digits(100), &Config { method: Method::Head, ..small() }, &mut seen).unwrap();
    assert_eq!(*seen.0.borrow(), ["planned 0", "Head"]);
    assert!(model.layout().tapped().count() > 2 && digits(100).len() == 100);
}

/// Steps of tuning that were done, and epochs.
#[derive(Default)]
struct Steps {
    planned: RefCell<Option<Plan>>,
    phase: Option<Phase>,
    done: usize,
    epochs: usize,
}

impl Observer for Steps {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { plan } => *self.planned.borrow_mut() = Some((*plan).clone()),
            Event::Begin { phase, .. } => self.phase = Some(*phase),
            Event::Step { .. } if self.phase == Some(Phase::Tune) => self.done += 1,
            Event::Epoch { epoch, .. } => self.epochs = *epoch,
            _ => {}
        }
    }
}

#[test]
fn steps_are_as_many_as_there_may_be() {
    let _alone = alone();
    let ((base, model), examples) = (open(), digits(200));
    let run = |config: &Config| {
        let mut steps = Steps::default();
        let tuned = fine_tune(&base, &model, &examples, config, &mut steps).unwrap();
        (tuned, steps)
    };
    let free = Config { validation: 0.0, epochs: 3, ..within(Budget::layers(2)) };
    let per_epoch = 200usize.div_ceil(free.batch);
    let (tuned, steps) = run(&free);
    assert_eq!((tuned.steps as usize, steps.done, steps.epochs), (3 * per_epoch, 3 * per_epoch, 3));
    // The rate falls to zero at the last step there may be, and that step's epoch is kept.
    let limit = per_epoch + 2;
    let (tuned, steps) = run(&Config { budget: Budget { max_steps: Some(limit), ..free.budget }, ..free.clone() });
    assert_eq!((tuned.steps as usize, steps.done, tuned.epoch), (limit, limit, 2));
    assert_eq!(tuned.plan.unwrap().steps, limit);
    // Steps that choose count as well.
    let config =
        Config { select: Select::Scores, budget: Budget { max_steps: Some(5), ..free.budget }, ..free.clone() };
    let (tuned, steps) = run(&config);
    assert_eq!((tuned.steps, steps.done), (5, 3));
    let none = Config { budget: Budget { max_steps: Some(0), ..free.budget }, ..free };
    assert!(matches!(fine_tune(&base, &model, &examples, &none, &mut Quiet), Err(Error::Setting { .. })));
}

#[test]
fn a_run_is_made_to_fit_its_time() {
    let _alone = alone();
    let ((base, model), examples) = (open(), digits(400));
    let free = Config { epochs: 2, ..within(Budget::layers(2)) };
    let began = Instant::now();
    let tuned = fine_tune(&base, &model, &examples, &free, &mut Quiet).unwrap();
    let whole = began.elapsed();
    let pace = tuned.plan.and_then(|plan| plan.pace).expect("measured");
    assert!(pace.step > Duration::ZERO && pace.validation > Duration::ZERO);

    let long =
        Config { epochs: 1_000_000, budget: Budget { max_time: Some(4 * whole), ..free.budget }, ..free.clone() };
    let mut steps = Steps::default();
    let began = Instant::now();
    let tuned = fine_tune(&base, &model, &examples, &long, &mut steps).unwrap();
    let took = began.elapsed();
    let planned = tuned.plan.unwrap().steps;
    assert!(planned < 1_000_000 && steps.done <= planned && !tuned.stopped, "{planned} planned, {} done", steps.done);
    assert!(steps.done > 0 && took < 8 * whole, "{took:?} of {:?}", 4 * whole);

    let short = Config { budget: Budget { max_time: Some(Duration::from_nanos(100)), ..free.budget }, ..free };
    let error = fine_tune(&base, &model, &examples, &short, &mut Quiet).err().unwrap();
    let Error::Budget { of: "time", least: Amount::Time(least), .. } = error else { panic!("{error}") };
    assert!(least > Duration::ZERO && least < 2 * whole, "{least:?} at least, and all took {whole:?}");
}
