//! Batch normalization: frozen, with an affine of the task's own, and with statistics of its own.

use taps::base::Base;
use taps::format::{Adapter, Encoding, Role};
use taps::models::{Model, Options};
use taps::runtime::{Error, Examples, Images, Input, LayerKind, Network, Part, Runtime, Task, Weights};
use taps::train::{Budget, Checkpoint, Config, Event, Method, Norms, Observer, Patch, Quiet, Tuned, fine_tune};

use crate::common::adapter::AdapterFile;
use crate::common::{Golden, folder};

/// The images of a golden, many times over, with noise: enough to train on.
struct Noisy {
    pixels: Vec<f32>,
    classes: Vec<String>,
}

impl Noisy {
    const SIDE: usize = 48;
    const SIZE: usize = 3 * Self::SIDE * Self::SIDE;

    fn new(classes: Vec<String>) -> Self {
        let golden = Golden::open("mobilenet_v2/golden.safetensors").floats("pixels");
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let copies = golden.iter().cycle().take(24 * Self::SIZE);
        Self { pixels: copies.map(|value| value + 0.3 * noise()).collect(), classes }
    }
}

impl Examples for Noisy {
    fn len(&self) -> usize {
        self.pixels.len() / Self::SIZE
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        index % 3
    }

    fn batch(&self, indices: &[usize]) -> Result<Input, taps::runtime::Error> {
        let pixels = indices.iter().flat_map(|&index| &self.pixels[index * Self::SIZE..][..Self::SIZE]);
        let pixels = pixels.copied().collect();
        Ok(Input::Images(Images { pixels, batch: indices.len(), channels: 3, height: Self::SIDE, width: Self::SIDE }))
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| class.to_string()).collect()
}

fn tune(name: &str, config: Config) -> (Base, Model, Tuned) {
    let base = Base::open(folder(name)).unwrap();
    let options = Options { image_size: Some([Noisy::SIDE; 2]), ..Options::default() };
    let model = Model::open_with(&base, &options).unwrap();
    let classes = if config.own_head { 3 } else { model.layout().labels().len() };
    let config = Config { validation: 0.0, batch: 8, threads: 1, rate: 1e-2, ..config };
    let tuned = fine_tune(&base, &model, &Noisy::new(names(classes)), &config, &mut Quiet).unwrap();
    (base, model, tuned)
}

/// Roles of the tensors of an adapter, and the kinds of layers they are of.
fn entries(base: &Base, model: &Model, tuned: &Tuned) -> Vec<(LayerKind, Part, Role)> {
    let bytes = tuned.adapter(base, model, "t", Encoding::F32).unwrap();
    let adapter = Adapter::parse(&bytes).unwrap();
    let place = |name: &str| model.layout().find(name).unwrap();
    let entry = |(id, part), role| (model.layout().layer(id).kind, part, role);
    adapter.entries().map(|found| entry(place(found.name), found.role)).collect()
}

#[test]
fn what_a_task_owns_of_its_norms_is_what_was_asked_for() {
    let owned = |norms| {
        let (base, model, tuned) =
            tune("resnet_basic", Config { budget: Budget::layers(1), norms, ..Config::default() });
        let found = entries(&base, &model, &tuned);
        let count = |kind, role| found.iter().filter(|&&(k, _, r)| (k, r) == (kind, role)).count();
        assert_eq!(count(LayerKind::Linear, Role::Delta), 1);
        assert_eq!(count(LayerKind::Head, Role::Replacement), 2);
        let norms = model.layout().layers().filter(|(_, layer)| layer.kind == LayerKind::Norm).count();
        (count(LayerKind::Norm, Role::Delta), count(LayerKind::Norm, Role::Statistics), norms)
    };
    let (affine, statistics, norms) = owned(Norms::Frozen);
    assert_eq!((affine, statistics), (0, 0));
    assert_eq!(owned(Norms::Auto), (2 * norms, 0, norms), "frozen statistics and an affine are the default");
    assert_eq!(owned(Norms::Affine), (2 * norms, 0, norms));
    assert_eq!(owned(Norms::Statistics), (2 * norms, 2 * norms, norms));
}

#[test]
fn statistics_of_a_task_follow_its_data_and_are_used_when_it_predicts() {
    let config =
        Config { budget: Budget::layers(1), norms: Norms::Statistics, momentum: 0.3, epochs: 8, ..Config::default() };
    let (base, model, tuned) = tune("resnet_basic", config);
    let bytes = tuned.adapter(&base, &model, "t", Encoding::F32).unwrap();
    let runtime = Runtime::new(model).with_threads(1);
    let task = runtime.load_bytes(&bytes, "t").unwrap();
    let (id, _) = runtime.network().layout().find("bn1.running_mean").unwrap();
    let values = |weights: &taps::Task, part| weights.param(id, part).unwrap().floats(&Default::default()).to_vec();
    for part in [Part::Mean, Part::Variance] {
        assert_ne!(values(&task, part), values(runtime.base_task(), part));
    }
    let data = Noisy::new(names(3));
    let indices: Vec<usize> = (0..data.len()).collect();
    let prediction = runtime.predict_as(task, &data.batch(&indices).unwrap()).unwrap();
    let right = indices.iter().filter(|&&index| prediction.class(index).0 == data.label(index)).count();
    assert!(right >= 20, "{right} of {} of the training images", indices.len());
}

#[test]
fn patches_change_what_they_are_named_for() {
    let parts = |patch, own_head, norms| {
        let config = Config { method: Method::Patch(patch), own_head, norms, ..Config::default() };
        let (base, model, tuned) = tune("mobilenet_v2", config);
        let mut kinds: Vec<LayerKind> = entries(&base, &model, &tuned).into_iter().map(|(kind, ..)| kind).collect();
        kinds.dedup();
        kinds.sort_by_key(|&kind| kind as usize);
        kinds.dedup();
        let bytes = tuned.adapter(&base, &model, "t", Encoding::F32).unwrap();
        let runtime = Runtime::new(model);
        let task = runtime.load_bytes(&bytes, "t").unwrap();
        assert_eq!(task.labels().len(), if own_head { 3 } else { 5 });
        (kinds, Adapter::parse(&bytes).unwrap().method().to_owned())
    };
    use LayerKind::{Depthwise, Head, Norm};
    assert_eq!(parts(Patch::ScaleBias, true, Norms::Auto), (vec![Norm, Head], "scale-bias".to_owned()));
    assert_eq!(parts(Patch::ScaleBias, false, Norms::Auto).0, [Norm]);
    assert_eq!(parts(Patch::Depthwise, true, Norms::Auto), (vec![Depthwise, Head], "depthwise".to_owned()));
    assert_eq!(parts(Patch::Depthwise, false, Norms::Affine).0, [Depthwise, Norm]);
}

#[test]
fn what_cannot_be_patched_is_said() {
    let error = |name: &str, config: Config, classes| {
        let base = Base::open(folder(name)).unwrap();
        let model = Model::open(&base).unwrap();
        fine_tune(&base, &model, &Noisy::new(names(classes)), &config, &mut Quiet).err().unwrap().to_string()
    };
    let depthwise = Config { method: Method::Patch(Patch::Depthwise), ..Config::default() };
    assert!(error("resnet_basic", depthwise, 3).contains("depthwise convolutions"));
    let headless = Config { own_head: false, ..Config::default() };
    assert!(error("mobilenet_v2", headless.clone(), 3).contains("the base's head"));
    assert!(error("mobilenet_v2", Config { method: Method::Head, ..headless }, 5).contains("nothing to train"));
}

#[test]
fn statistics_that_do_not_fit_are_refused() {
    let base = Base::open(folder("resnet_basic")).unwrap();
    let model = Model::open(&base).unwrap();
    let refused = |name: &str, role, value: f32| {
        let mut file = AdapterFile::new(&base, "t").replacement(&base, name, 1);
        file.architecture = "resnet".to_owned();
        let piece = file.tensor(name);
        piece.role = role;
        piece.values.fill(value);
        let bytes = file.bytes();
        Task::build(&model, &Adapter::parse(&bytes).unwrap(), "spam.taps").err()
    };
    assert!(refused("bn1.running_var", Role::Statistics, 0.0).is_none());
    assert!(refused("bn1.running_mean", Role::Statistics, -1.0).is_none());
    match refused("bn1.running_var", Role::Statistics, -0.5) {
        Some(error @ Error::NegativeVariance { .. }) => {
            let message = error.to_string();
            assert!(message.contains("spam.taps") && message.contains("bn1.running_var"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    for (name, role) in [
        ("bn1.running_var", Role::Delta),
        ("bn1.running_mean", Role::Replacement),
        ("bn1.weight", Role::Statistics),
        ("conv1.weight", Role::Statistics),
    ] {
        assert!(matches!(refused(name, role, 0.1), Some(Error::UnknownTensor { .. })), "{name} as {role:?}");
    }
}

/// Asks to stop once an epoch is over.
#[derive(Default)]
struct AfterAnEpoch(bool);

impl Observer for AfterAnEpoch {
    fn event(&mut self, event: &Event<'_>) {
        self.0 |= matches!(event, Event::Epoch { epoch: 1, .. });
    }

    fn stop(&self) -> bool {
        self.0
    }
}

#[test]
fn running_statistics_go_on_from_a_checkpoint() {
    let config = Config { norms: Norms::Statistics, epochs: 3, method: Method::Full, ..Config::default() };
    let (base, model, whole) = tune("mobilenet_v2", config.clone());
    let config = Config { validation: 0.0, batch: 8, threads: 1, rate: 1e-2, ..config };
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::at(folder.path().join("x"));
    let examples = Noisy::new(names(3));
    let half = checkpoint.fine_tune(&base, &model, &examples, &config, &mut AfterAnEpoch::default()).unwrap();
    assert!(half.stopped && half.steps == 4, "{}", half.steps);
    let rest = checkpoint.fine_tune(&base, &model, &examples, &config, &mut Quiet).unwrap();
    let bytes = |tuned: &Tuned| tuned.adapter(&base, &model, "t", Encoding::F32).unwrap();
    assert_ne!(bytes(&half), bytes(&whole));
    assert_eq!(bytes(&rest), bytes(&whole));
}
