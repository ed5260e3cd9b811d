//! Joint training of tasks on the demo's digits: what flows where, what comes out, and what is refused.
#![cfg(all(feature = "train", feature = "data"))]

use std::path::Path;

use taps::base::Base;
use taps::data::{ImageSet, read_idx_images, read_idx_labels};
use taps::format::{Adapter, Encoding, Role};
use taps::kernels::Workspace;
use taps::runtime::{Examples, ImageSpec, LayerKind, Network, Part, Runtime, Task, WeightRef, Weights, evaluate};
use taps::train::{
    Budget, Config, Data, Error, Event, Form, Joint, JointConfig, JointTask, Method, Norms, Observer, Optimizer, Quiet,
    Select, fine_tune, split, train_joint,
};
use taps::{Input, Model};

const COUNT: usize = 240;

fn open() -> (Base, Model) {
    let base = Base::open("adapters/digits/base").unwrap();
    let model = Model::open(&base).unwrap();
    (base, model)
}

/// Digits from `first` on: with a quarter turn, or in inverted contrast.
fn digits(first: usize, count: usize, inverted: bool) -> ImageSet {
    let images = read_idx_images("adapters/digits/data/digits-images-idx3-ubyte").unwrap();
    let labels = read_idx_labels("adapters/digits/data/digits-labels-idx1-ubyte").unwrap();
    let spec = ImageSpec::new(1, [8, 8], vec![0.3], vec![0.4]);
    let mut pixels = Vec::new();
    for image in images.pixels.chunks_exact(64).skip(first).take(count) {
        match inverted {
            true => pixels.extend(image.iter().map(|pixel| 255 - pixel)),
            false => pixels.extend((0..64).map(|at| image[(7 - at % 8) * 8 + at / 8])),
        }
    }
    let labels = labels[first..first + count].iter().map(|&digit| digit.into()).collect();
    ImageSet::new(pixels, labels, (0..10).map(|digit| digit.to_string()).collect(), spec).unwrap()
}

/// Without validation, so that the last epoch is what comes out.
fn small(form: Form) -> JointConfig {
    let tune = Config {
        epochs: 2,
        rate: 3e-3,
        head_rate: 3e-3,
        head_epochs: 2,
        validation: 0.0,
        threads: 1,
        ..Config::default()
    };
    JointConfig { form, epochs: 4, rate: 2e-3, tune }
}

/// One step of plain gradient descent over all examples.
fn one_step(form: Form) -> JointConfig {
    let mut config = small(form);
    let optimizer = Optimizer::Sgd { momentum: 0.0 };
    let (rate, batch, norms) = (0.1, COUNT, Norms::Affine);
    config.tune = Config { optimizer, rate, batch, norms, epochs: 1, decay: 0.0, clip: None, ..config.tune };
    JointConfig { epochs: 1, rate, ..config }
}

fn two(config: &JointConfig) -> Result<Joint, Error> {
    let (base, model) = open();
    let (rotated, inverted) = (digits(0, COUNT, false), digits(COUNT, COUNT / 2, true));
    let tasks = [
        JointTask { name: "rotated", data: (&rotated).into() },
        JointTask { name: "inverted", data: (&inverted).into() },
    ];
    train_joint(&base, &model, &tasks, config, &mut Quiet)
}

fn one(config: &JointConfig) -> Joint {
    let (base, model) = open();
    let rotated = digits(0, COUNT, false);
    train_joint(&base, &model, &[JointTask { name: "rotated", data: (&rotated).into() }], config, &mut Quiet).unwrap()
}

fn task(joint: &Joint, number: usize, model: &Model) -> Task {
    let bytes = joint.adapter(&joint.tasks[number], Encoding::F32).unwrap();
    Task::build(model, &Adapter::parse(&bytes).unwrap(), "memory").unwrap()
}

fn floats(weight: WeightRef<'_>) -> Vec<f32> {
    weight.floats(&Workspace::new(1)).to_vec()
}

/// What a task that is tuned in every layer by itself comes to.
fn plain(config: &JointConfig) -> (Base, Model, Task) {
    let (base, model) = open();
    let epochs = config.epochs;
    let full = Config { method: Method::Full, norms: Norms::Affine, epochs, rate: config.rate, ..config.tune.clone() };
    let tuned = fine_tune(&base, &model, &digits(0, COUNT, false), &full, &mut Quiet).unwrap();
    let bytes = tuned.adapter(&base, &model, "rotated", Encoding::F32).unwrap();
    let task = Task::build(&model, &Adapter::parse(&bytes).unwrap(), "memory").unwrap();
    (base, model, task)
}

#[test]
fn the_shared_weights_of_one_task_are_those_of_plain_training() {
    let mut config = small(Form::Shared);
    config.tune.clip = None;
    let joint = one(&config);
    let (_, model, plain) = plain(&config);
    for (id, layer) in model.layout().layers().filter(|(_, layer)| layer.kind != LayerKind::Head) {
        for part in [Part::Weight, Part::Bias] {
            let (Some(param), Some(expected)) = (layer.param(part), plain.param(id, part)) else { continue };
            let found = joint.base().tensor(joint.base().find(&param.name).unwrap()).to_vec();
            assert_eq!(found, floats(expected), "{}", param.name);
        }
    }
}

#[test]
fn a_gradient_flows_to_the_shared_weight_and_to_the_tasks_own() {
    for form in [Form::Literal, Form::Patches] {
        let config = one_step(form);
        let joint = one(&config);
        let (base, old, plain) = plain(&config);
        let model = Model::open(joint.base()).unwrap();
        let task = task(&joint, 0, &model);
        for (id, layer) in model.layout().layers() {
            let own = match layer.kind {
                LayerKind::Head => {
                    assert_eq!(floats(task.weight(id).unwrap()), floats(plain.weight(id).unwrap()), "{}", layer.name);
                    continue;
                }
                LayerKind::Norm => true,
                kind => kind.is_tapped() && form == Form::Literal,
            };
            let name = &layer.weight.name;
            let shared = joint.base().tensor(joint.base().find(name).unwrap()).to_vec();
            assert_eq!(shared, floats(plain.weight(id).unwrap()), "{name}: one step from the base");
            let before = base.tensor(old.layout().layer(id).weight.tensor.unwrap()).to_vec();
            let mut moved = 0.0_f32;
            for ((found, shared), before) in floats(task.weight(id).unwrap()).iter().zip(&shared).zip(&before) {
                let step = shared - before;
                let expected = if own { shared + step } else { *shared };
                assert!((found - expected).abs() < 1e-6, "{name}: {found}, not {expected}");
                moved = moved.max(step.abs());
            }
            // The bias of keys shifts all scores of a query alike, so only weights are sure to move.
            assert!(moved > 0.0, "{name} did not move");
        }
    }
}

#[test]
fn two_tasks_give_the_shared_weight_the_mean_of_their_gradients() {
    let config = one_step(Form::Patches);
    let (base, model) = open();
    // Heads are fitted in one batch, so that no order of examples matters.
    let (rotated, inverted) = (digits(0, 60, false), digits(60, 40, true));
    let tasks = [("rotated", &rotated), ("inverted", &inverted)];
    let weights = |tasks: &[(&str, &ImageSet)]| {
        let tasks: Vec<JointTask<'_>> =
            tasks.iter().map(|&(name, examples)| JointTask { name, data: examples.into() }).collect();
        let joint = train_joint(&base, &model, &tasks, &config, &mut Quiet).unwrap();
        weight(joint.base())
    };
    fn weight(base: &Base) -> Vec<f32> {
        base.tensor(base.find("vit.encoder.layer.1.output.dense.weight").unwrap()).to_vec()
    }
    let (both, first, second, before) = (weights(&tasks), weights(&tasks[..1]), weights(&tasks[1..]), weight(&base));
    let mut apart = 0.0_f32;
    for (index, found) in both.iter().enumerate() {
        let mean = (first[index] + second[index]) / 2.0;
        assert!((found - mean).abs() < 1e-6, "[{index}]: {found}, not {mean}");
        apart = apart.max((first[index] - second[index]).abs()).max((found - before[index]).abs());
    }
    assert!(apart > 1e-4, "{apart}");
}

#[test]
fn every_form_makes_a_base_and_adapters_that_serve_its_tasks() {
    for (form, cap) in [(Form::Literal, Some(3)), (Form::Literal, None), (Form::Shared, Some(2)), (Form::Patches, None)]
    {
        let mut config = small(form);
        config.tune.budget.max_active_layers = cap;
        config.epochs = 10;
        let joint = two(&config).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("joint");
        joint.write(&out, Encoding::F32).unwrap();
        assert!(joint.write(&out, Encoding::F32).is_err(), "an existing folder is left alone");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        let base = Base::open(out.join("base")).unwrap();
        assert!(base.find("classifier.weight").is_none() && base.config().unwrap().get("id2label").is_none());
        let model = Model::open(&base).unwrap();
        let runtime = Runtime::new(model).with_threads(1);
        for (number, inverted) in [false, true].into_iter().enumerate() {
            let name = &joint.tasks[number].name;
            let loaded = runtime.load(out.join(format!("{name}.taps"))).unwrap();
            assert!(loaded.labels().len() == 10 && loaded.name() == name);
            let held = digits(1197, 600, inverted);
            let indices: Vec<usize> = (0..held.len()).collect();
            let score = evaluate(runtime.network(), &*loaded, &held, &indices, 64, &Workspace::new(1)).unwrap();
            assert!(score.accuracy() > 0.5, "{form:?} {cap:?} {name}: {}", score.accuracy());
            let losses = &joint.tasks[number].losses;
            assert!(losses.len() == 10 && losses[9] < 0.6 * losses[0], "{form:?} {name}: {losses:?}");
            let active = joint.tasks[number].tuned.active_layers(joint.layout()).len();
            match (form, cap) {
                (Form::Patches, _) => assert_eq!(active, 0),
                (_, Some(cap)) => assert_eq!(active, cap, "{form:?}"),
                _ => assert!(active > 0),
            }
        }
        let (_, network) = open();
        let adapter = std::fs::read(out.join("rotated.taps")).unwrap();
        assert!(Task::build(&network, &Adapter::parse(&adapter).unwrap(), "memory").is_err(), "not for the old");
    }
}

#[test]
fn the_score_in_training_is_that_of_the_loaded_adapter() {
    let mut config = small(Form::Literal);
    config.tune.validation = 0.25;
    config.tune.budget.max_active_layers = Some(4);
    let joint = two(&config).unwrap();
    let model = Model::open(joint.base()).unwrap();
    for (number, examples) in [digits(0, COUNT, false), digits(COUNT, COUNT / 2, true)].into_iter().enumerate() {
        let mut random = rand::SeedableRng::seed_from_u64(0);
        let (_, held) = split(&examples, 0.25, &mut random);
        let task = task(&joint, number, &model);
        let score = evaluate(&model, &task, &examples, &held, 64, &Workspace::new(1)).unwrap();
        assert_eq!(score, joint.tasks[number].tuned.validation);
        assert!(joint.tasks[number].tuned.epoch > 2, "epochs before the choice of layers are not kept");
    }
}

/// Small photographs of two kinds, one brighter than the other, some of them darker as a whole.
fn photographs(dark: bool) -> ImageSet {
    let spec = ImageSpec::new(3, [32, 32], vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225]);
    let (count, each) = (24, 3 * 32 * 32);
    let level = |at: usize| 60 + 70 * (at / each % 2) + at.wrapping_mul(2654435761) % 97;
    let pixels = (0..count * each).map(|at| (level(at) / if dark { 3 } else { 1 }) as u8).collect();
    let labels = (0..count).map(|image| image % 2).collect();
    ImageSet::new(pixels, labels, vec!["dim".to_owned(), "bright".to_owned()], spec).unwrap()
}

#[test]
fn tasks_have_batch_statistics_of_their_own() {
    let base = Base::open("tests/golden/resnet_cifar").unwrap();
    let model = Model::open(&base).unwrap();
    let sets = [photographs(false), photographs(true)];
    let tasks = [("light", &sets[0]), ("dark", &sets[1])].map(|(name, set)| JointTask { name, data: set.into() });
    for form in [Form::Literal, Form::Shared, Form::Patches] {
        let mut config = small(form);
        config.tune = Config { norms: Norms::Statistics, validation: 0.25, batch: 8, ..config.tune };
        config.tune.budget.max_active_layers = (form == Form::Shared).then_some(1);
        let joint = train_joint(&base, &model, &tasks, &config, &mut Quiet).unwrap();
        let model = Model::open(joint.base()).unwrap();
        for (number, set) in sets.iter().enumerate() {
            let bytes = joint.adapter(&joint.tasks[number], Encoding::F32).unwrap();
            let own = Adapter::parse(&bytes).unwrap().entries().filter(|entry| entry.role == Role::Statistics).count();
            let tuned = &joint.tasks[number].tuned;
            assert!(own > 0 || (form == Form::Shared && tuned.epoch == 0), "{form:?}: {own}");
            let (_, held) = split(set, 0.25, &mut rand::SeedableRng::seed_from_u64(0));
            let task = task(&joint, number, &model);
            let score = evaluate(&model, &task, set, &held, 64, &Workspace::new(1)).unwrap();
            assert_eq!(score, tuned.validation, "{form:?}");
        }
    }
}

#[test]
fn one_thread_gives_the_same_bytes() {
    for form in [Form::Literal, Form::Shared, Form::Patches] {
        let mut config = small(form);
        config.epochs = 2;
        config.tune.budget.max_active_layers = (form != Form::Patches).then_some(2);
        let bytes = |config: &JointConfig| {
            let joint = two(config).unwrap();
            let adapter = |task| joint.adapter(task, Encoding::F32).unwrap();
            (joint.base().content(), joint.tasks.iter().map(adapter).collect::<Vec<_>>())
        };
        let first = bytes(&config);
        assert!(first == bytes(&config), "{form:?}");
        config.tune.seed = 1;
        assert!(first.0 != bytes(&config).0, "{form:?}: the seed matters");
    }
}

#[test]
fn what_cannot_be_trained_together_is_refused() {
    let (base, model) = open();
    let (many, few) = (digits(0, COUNT, false), digits(0, 1, false));
    let run = |tasks: &[JointTask<'_>], config: &JointConfig| {
        train_joint(&base, &model, tasks, config, &mut Quiet).err().unwrap()
    };
    let named = |name| JointTask { name, data: Data::from(&many) };
    let config = small(Form::Shared);
    assert!(matches!(run(&[], &config), Error::NoTasks));
    let same = run(&[named("a"), named("a")], &config);
    assert!(matches!(&same, Error::SameTask { name } if name == "a"), "{same}");
    for name in ["", "a/b", "..", "a\u{7}"] {
        let message = run(&[named(name)], &config).to_string();
        assert!(message.contains("name of a task") || message.contains("control character"), "{message}");
    }
    let message = run(&[named("a"), JointTask { name: "b", data: Data::from(&few) }], &config).to_string();
    assert!(message.starts_with("task b: 1 examples"), "{message}");
    let strokes = Other(&many);
    let data = Data { train: &many, validation: Some(&strokes) };
    let message = run(&[JointTask { name: "c", data }], &config).to_string();
    assert!(message.starts_with("task c: the classes") && message.contains("round"), "{message}");
    let tune = &config.tune;
    for refused in [
        JointConfig { epochs: 0, ..config.clone() },
        JointConfig { rate: f32::NAN, ..config.clone() },
        JointConfig { tune: Config { own_head: false, ..tune.clone() }, ..config.clone() },
        JointConfig { tune: Config { method: Method::Full, ..tune.clone() }, ..small(Form::Literal) },
        JointConfig { tune: Config { select: Select::Last, ..tune.clone() }, ..small(Form::Literal) },
        JointConfig { tune: Config { budget: Budget::layers(1), ..tune.clone() }, ..small(Form::Patches) },
    ] {
        let error = run(&[named("a")], &refused);
        assert!(matches!(error, Error::Setting { .. }), "{error}");
    }
    let diverged = run(&[named("a")], &JointConfig { rate: 1e30, ..config });
    assert!(diverged.to_string().starts_with("task a: the loss is not a number"), "{diverged}");
}

/// The same examples under other class names.
struct Other<'a>(&'a ImageSet);

impl Examples for Other<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn classes(&self) -> &[String] {
        static NAMES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| vec!["round".to_owned()]);
        &NAMES
    }

    fn label(&self, _: usize) -> usize {
        0
    }

    fn batch(&self, indices: &[usize]) -> Result<Input, taps::runtime::Error> {
        self.0.batch(indices)
    }
}

/// Asks to stop after some epochs.
struct StopAfter(usize, usize);

impl Observer for StopAfter {
    fn event(&mut self, event: &Event<'_>) {
        self.1 += usize::from(matches!(event, Event::Epoch { epoch, .. } if *epoch > 0));
    }

    fn stop(&self) -> bool {
        self.1 >= self.0
    }
}

#[test]
fn a_stopped_run_keeps_its_best_epoch_or_says_that_there_is_none() {
    let (base, model) = open();
    let examples = digits(0, COUNT, false);
    let tasks = [JointTask { name: "a", data: (&examples).into() }, JointTask { name: "b", data: (&examples).into() }];
    let mut config = small(Form::Shared);
    config.tune.budget.max_active_layers = Some(2);
    let run = |epochs| train_joint(&base, &model, &tasks, &config, &mut StopAfter(epochs, 0));
    assert!(matches!(run(0), Err(Error::Stopped)));
    // Of the four epochs together one, and of the two by itself one of task a.
    for epochs in [1, 5] {
        let joint = run(epochs).unwrap();
        assert!(joint.stopped && joint.tasks[1].tuned.stopped);
        let model = Model::open(joint.base()).unwrap();
        assert_eq!(task(&joint, 1, &model).labels().len(), 10);
    }
    assert!(!run(100).unwrap().stopped);
}

#[test]
#[cfg(feature = "cli")]
fn the_command_writes_a_base_and_its_adapters() {
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    let data = |name: &str, inverted: bool| {
        let of = |what: &str| {
            let from = match what {
                "images-idx3-ubyte" => "adapters/digits/data/digits-images-idx3-ubyte",
                _ => "adapters/digits/data/digits-labels-idx1-ubyte",
            };
            let mut bytes = std::fs::read(from).unwrap();
            bytes[4..8].copy_from_slice(&(COUNT as u32).to_be_bytes());
            let (header, each) = if what.starts_with("images") { (16, 64) } else { (8, 1) };
            bytes.truncate(header + COUNT * each);
            if inverted && each == 64 {
                bytes[header..].iter_mut().for_each(|pixel| *pixel = 255 - *pixel);
            }
            let path = folder.path().join(format!("{name}-{what}"));
            std::fs::write(&path, bytes).unwrap();
            path
        };
        of("labels-idx1-ubyte");
        of("images-idx3-ubyte").display().to_string()
    };
    let (plain, inverted) = (format!("plain={}", data("plain", false)), format!("dark={}", data("dark", true)));
    let out = folder.path().join("joint");
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taps"));
        command.args(["train-joint", "--base", "adapters/digits/base", "--task", &plain, "--json", "--threads", "1"]);
        command.args(["--out", out.to_str().unwrap(), "--epochs", "2", "--rate", "3e-3"]).args(more);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
    };
    let failure = |more: &[&str]| {
        let output = run(more);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (more, expected) in [
        (&["--task", "nothing"][..], "a name and a path"),
        (&["--form", "patches", "--max-active-layers", "2"], "cap on layers"),
        (&["--form", "literal", "--method", "full"], "method is full"),
    ] {
        let (code, message) = failure(more);
        assert!(code == 2 && message.contains(expected), "{message}");
    }
    let (code, message) = failure(&["--task", &plain]);
    assert!(code == 1 && message.contains("two tasks are called plain"), "{message}");
    assert!(!out.exists());

    let output = run(&["--task", &inverted, "--form", "literal", "--max-active-layers", "2", "--encoding", "int8"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(report["tasks"][1]["active_layers"].as_array().unwrap().len(), 2);
    for name in ["base/model.safetensors", "base/config.json", "plain.taps", "dark.taps"] {
        assert!(Path::new(&out).join(name).is_file(), "{name}");
    }
    let base = Base::open(out.join("base")).unwrap();
    let model = Model::open(&base).unwrap();
    let runtime = Runtime::new(model);
    assert!(runtime.load(out.join("plain.taps")).is_ok() && runtime.load(out.join("dark.taps")).is_ok());
    let (code, message) = failure(&[]);
    assert!(code == 2 && message.contains("already"), "{message}");
}
