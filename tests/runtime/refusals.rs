//! Every reason to refuse an adapter, said with file, tensor and both sides; the running task stays.

use std::path::Path;

use taps::format::{self, Digest, Role};
use taps::runtime::Settings;

use super::*;
use crate::common::adapter::{Piece, patch};

/// A runtime with a task running, and a valid adapter to damage.
struct Bench {
    runtime: Runtime<Model>,
    running: Arc<Task>,
    scores: Vec<u32>,
    adapter: AdapterFile,
    _folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = Weights::bert(TINY, 1).folder(Dtype::F32);
        let runtime = open(&folder);
        let running = AdapterFile::new(runtime.base(), "running").head(TINY.hidden, &["a", "b"], 11);
        let running = runtime.load_bytes(&running.bytes(), "memory").unwrap();
        runtime.switch(&running).unwrap();
        let scores = bits(&runtime.predict(&input()).unwrap());
        let adapter = sentiment(runtime.base());
        Self { runtime, running, scores, adapter, _folder: folder }
    }

    /// The error of loading these bytes, whose message must have all `parts`.
    fn refuses(&self, bytes: &[u8], parts: &[&str]) -> Error {
        let error = self.runtime.load_bytes(bytes, "spam.taps").unwrap_err();
        let message = error.to_string();
        for part in ["spam.taps"].iter().chain(parts) {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
        self.check_unchanged();
        error
    }

    /// The error of an adapter after `change`.
    fn refuses_changed(&self, change: impl Fn(&mut AdapterFile), parts: &[&str]) -> Error {
        let mut adapter = self.adapter.clone();
        change(&mut adapter);
        self.refuses(&adapter.bytes(), parts)
    }

    fn check_unchanged(&self) {
        assert!(Arc::ptr_eq(&self.runtime.pin(), &self.running));
        assert_eq!(bits(&self.runtime.predict(&input()).unwrap()), self.scores);
        assert!(self.runtime.load_bytes(&self.adapter.bytes(), "memory").is_ok(), "a valid one still loads");
    }
}

#[test]
fn a_file_that_is_not_there() {
    let bench = Bench::new();
    let error = bench.runtime.load("/nowhere/spam.taps").unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path == Path::new("/nowhere/spam.taps")));
    assert!(error.to_string().contains("/nowhere/spam.taps: "), "{error}");
    bench.check_unchanged();
}

#[test]
fn a_file_that_is_damaged_or_foreign() {
    let bench = Bench::new();
    let bytes = bench.adapter.bytes();
    let format = |error| match error {
        Error::Format { source, .. } => source,
        other => panic!("{other}"),
    };
    let error = format(bench.refuses(&bytes[..bytes.len() - 1], &["not a usable adapter", "has"]));
    assert!(matches!(error, format::Error::Length { .. }));
    let error = format(bench.refuses(&bytes[..50], &["50 bytes are too few"]));
    assert!(matches!(error, format::Error::TooShort { found: 50 }));
    for at in [30, bytes.len() / 2, bytes.len() - 1] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        let error = format(bench.refuses(&flipped, &["damaged"]));
        assert!(matches!(error, format::Error::Checksum { .. }), "byte {at}");
    }
    let foreign = std::fs::read(bench.runtime.base().folder().join("model.safetensors")).unwrap();
    assert!(matches!(format(bench.refuses(&foreign, &["not an adapter"])), format::Error::Magic { .. }));

    let path = bench.runtime.base().folder().join("short.taps");
    std::fs::write(&path, &bytes[..200]).unwrap();
    let error = bench.runtime.load(&path).unwrap_err();
    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
}

#[test]
fn an_adapter_for_another_architecture_or_base() {
    let bench = Bench::new();
    let error = bench.refuses_changed(|adapter| adapter.architecture = "vit".to_owned(), &["vit", "bert"]);
    assert!(matches!(error, Error::WrongArchitecture { .. }));

    let other = Digest::of(b"another index");
    let ours = bench.runtime.base().fingerprint();
    let error = bench.refuses_changed(|adapter| adapter.base = other, &[&other.to_string(), &ours.to_string()]);
    assert!(matches!(error, Error::WrongBase { .. }));
    let wider = open(&Weights::bert(common::base::Sizes { vocab: 41, ..TINY }, 1).folder(Dtype::F32));
    let error = bench.refuses(&sentiment(wider.base()).bytes(), &[&wider.base().fingerprint().to_string()]);
    assert!(matches!(error, Error::WrongBase { .. }), "a base of other shapes has another index");
}

#[test]
fn an_adapter_for_other_weights_of_the_same_index() {
    let bench = Bench::new();
    let other = open(&Weights::bert(TINY, 2).folder(Dtype::F32));
    assert_eq!(other.base().fingerprint(), bench.runtime.base().fingerprint());
    let digest = |runtime: &Runtime<Model>| runtime.base().digest(runtime.base().find(QUERY).unwrap()).to_string();
    let bytes = AdapterFile::new(other.base(), "other").delta(other.base(), QUERY, Encoding::F32, 1).bytes();
    let error = bench.refuses(&bytes, &[QUERY, &digest(&other), &digest(&bench.runtime)]);
    assert!(matches!(error, Error::WrongDigest { .. }));

    let claims = |adapter: &mut AdapterFile| adapter.tensor("classifier.weight").base = Some(Digest::of(b"a head"));
    let error = bench.refuses_changed(claims, &["classifier.weight", "none, since it lacks the tensor"]);
    assert!(matches!(error, Error::WrongDigest { .. }));
}

#[test]
fn a_tensor_the_network_does_not_have() {
    let bench = Bench::new();
    let rename = |adapter: &mut AdapterFile| adapter.tensor(QUERY).name = "encoder.layer.7.dense.weight".to_owned();
    let error = bench.refuses_changed(rename, &["encoder.layer.7.dense.weight", "Delta"]);
    assert!(matches!(error, Error::UnknownTensor { role: Role::Delta, .. }));
    let statistics = |adapter: &mut AdapterFile| adapter.tensor("classifier.bias").role = Role::Statistics;
    let error = bench.refuses_changed(statistics, &["classifier.bias", "Statistics"]);
    assert!(matches!(error, Error::UnknownTensor { role: Role::Statistics, .. }));
}

#[test]
fn a_tensor_of_another_shape() {
    let bench = Bench::new();
    let reshape = |name: &'static str, shape: &'static [usize]| {
        move |adapter: &mut AdapterFile| {
            let tensor = adapter.tensor(name);
            tensor.shape = shape.to_vec();
            tensor.values.resize(shape.iter().product(), 0.5);
        }
    };
    let error = bench.refuses_changed(reshape(QUERY, &[8, 32]), &[QUERY, "[8, 32]", "[16, 16]"]);
    assert!(matches!(error, Error::WrongShape { .. }));
    let error = bench.refuses_changed(reshape(QUERY, &[2, 8, 16]), &["[2, 8, 16]", "[16, 16]"]);
    assert!(matches!(error, Error::WrongShape { .. }));
    let narrow = reshape("classifier.weight", &[3, 15]);
    let error = bench.refuses_changed(narrow, &["classifier.weight", "[3, 15]", "[classes, 16]"]);
    assert!(matches!(error, Error::WrongShape { .. }));
}

#[test]
fn values_that_are_no_numbers() {
    let bench = Bench::new();
    let name = "encoder.layer.1.output.dense.bias";
    let mut bytes = bench.adapter.bytes();
    patch(&mut bytes, name, 4 * 3, &f32::NAN.to_le_bytes());
    let error = bench.refuses(&bytes, &[name, "element 3 is not finite"]);
    assert!(matches!(error, Error::Values { source: format::Error::NotFinite { element: 3, .. }, .. }));
    let mut bytes = bench.adapter.bytes();
    patch(&mut bytes, QUERY, 0, &(-1f32).to_le_bytes());
    let error = bench.refuses(&bytes, &[QUERY, "scale of row 0"]);
    assert!(matches!(error, Error::Values { source: format::Error::Scale { row: 0, .. }, .. }));
}

#[test]
fn labels_that_do_not_fit_the_head() {
    let bench = Bench::new();
    let error = bench.refuses_changed(|adapter| adapter.labels.truncate(2), &["2 labels", "3 classes"]);
    assert!(matches!(error, Error::Labels { labels: 2, classes: 3, .. }));
    let error = bench.refuses_changed(|adapter| adapter.labels.clear(), &["0 labels", "3 classes"]);
    assert!(matches!(error, Error::Labels { .. }), "a head without labels");
    let no_head = |adapter: &mut AdapterFile| adapter.tensors.retain(|piece| !piece.name.starts_with("classifier"));
    let error = bench.refuses_changed(no_head, &["3 labels", "0 classes"]);
    assert!(matches!(error, Error::Labels { .. }), "labels without a head");
    let bias = |adapter: &mut AdapterFile| {
        let bias = adapter.tensor("classifier.bias");
        *bias = Piece { shape: vec![2], values: vec![0.0; 2], ..bias.clone() };
    };
    let error = bench.refuses_changed(bias, &["2 biases", "3 classes"]);
    assert!(matches!(error, Error::Labels { .. }), "a bias of other classes than the weight");
}

#[test]
fn a_base_that_was_written_over_gets_no_adapter() {
    let folder = Weights::bert(TINY, 1).folder(Dtype::F32);
    let (runtime, path) = (open(&folder), folder.path().join("model.safetensors"));
    let adapter = sentiment(runtime.base()).bytes();
    runtime.load_bytes(&adapter, "memory").unwrap();
    // Another file in its place leaves the mapping of the earlier one as it was.
    let other = folder.path().join("other");
    std::fs::copy(&path, &other).unwrap();
    std::fs::rename(&other, &path).unwrap();
    runtime.load_bytes(&adapter, "memory").unwrap();
    let runtime = open(&folder);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let before = file.metadata().unwrap().modified().unwrap();
    file.set_modified(before + std::time::Duration::from_secs(1)).unwrap();
    let error = runtime.load_bytes(&adapter, "memory").unwrap_err().to_string();
    assert!(error.contains("model.safetensors") && error.contains("open the base again"), "{error}");
    file.set_modified(before).unwrap();
    runtime.load_bytes(&adapter, "memory").unwrap();
    let private = Base::open_in_memory(folder.path()).unwrap();
    let model = Model::open(&private).unwrap();
    file.set_modified(before + std::time::Duration::from_secs(1)).unwrap();
    Runtime::new(model).load_bytes(&adapter, "memory").unwrap();
}

#[test]
fn a_large_adapter_is_merged_and_refused_as_a_small_one() {
    const WIDE: common::base::Sizes = common::base::Sizes { hidden: 1024, inner: 4096, layers: 1, ..TINY };
    let runtime = open(&Weights::bert(WIDE, 1).folder(Dtype::F32));
    let (inner, outer) = ("encoder.layer.0.intermediate.dense.weight", "encoder.layer.0.output.dense.weight");
    let adapter = |base| {
        AdapterFile::new(base, "large").delta(base, inner, Encoding::Int8, 1).delta(base, outer, Encoding::F32, 2)
    };
    let mut file = adapter(runtime.base()).head(WIDE.hidden, &LABELS, 7);
    let task = runtime.load_bytes(&file.bytes(), "memory").unwrap();
    for name in [inner, outer] {
        let base = runtime.base().tensor(runtime.base().find(name).unwrap()).to_vec();
        let piece = file.tensors.iter().find(|piece| piece.name == name).unwrap();
        let merged = task.param(task.layout().find(name).unwrap().0, taps::runtime::Part::Weight).unwrap();
        let delta = stored(piece.encoding, &piece.values, piece.shape[0]);
        let expected: Vec<f32> = base.iter().zip(delta).map(|(base, delta)| base + delta).collect();
        assert_eq!(merged.floats(&taps::kernels::Workspace::new(1))[..], expected[..], "{name}");
    }
    // The first of two that are wrong is named.
    for name in [inner, outer] {
        file.tensor(name).name = format!("{name}.x");
    }
    let error = runtime.load_bytes(&file.bytes(), "memory").unwrap_err().to_string();
    assert!(error.contains(inner), "{error}");
}

/// An adapter computes something else where the network is set otherwise than it was made with.
#[test]
fn an_adapter_of_other_settings_is_refused_with_both() {
    let bench = Bench::new();
    let own = bench.runtime.network().settings();
    let file = |settings: Settings| AdapterFile { settings, ..bench.adapter.clone() }.bytes();
    let loads = |settings| bench.runtime.load_bytes(&file(settings), "spam.taps").map(drop);
    assert!(own.get(Settings::POOLING).is_some() && own.get(Settings::ATTENTION_HEADS).is_some(), "{own:?}");
    loads(own.clone()).unwrap();
    let other = |name| Settings::default().with(name, "of another kind");
    for setting in own.iter() {
        bench.refuses(&file(other(&setting.name)), &[&setting.name, &setting.value, "of another kind"]);
    }
    // One that this version does not know is required, too.
    bench.refuses(&file(other("window")), &["window", "of another kind"]);
    let folder = Weights::bert(TINY, 1).folder(Dtype::F32);
    let lenient = open(&folder).with_overridden([Settings::POOLING]);
    lenient.load_bytes(&file(other(Settings::POOLING)), "spam.taps").unwrap();
    assert!(lenient.load_bytes(&file(other(Settings::ATTENTION_HEADS)), "spam.taps").is_err());
}

#[test]
fn a_task_of_another_base_is_no_task_of_this() {
    let bench = Bench::new();
    let other = open(&Weights::bert(TINY, 2).folder(Dtype::F32));
    let theirs = other.load_bytes(&AdapterFile::new(other.base(), "theirs").bytes(), "memory").unwrap();
    for task in [&theirs, other.base_task()] {
        assert!(matches!(bench.runtime.switch(task), Err(Error::OtherBase { .. })));
        assert!(matches!(bench.runtime.predict_as(task.clone(), &input()), Err(Error::OtherBase { .. })));
        bench.check_unchanged();
    }
}
