//! Adapters from checkpoints, from LoRA and from each other, and checkpoints from adapters.
#![cfg(all(feature = "train", feature = "data"))]

mod common;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::OnceLock;

use common::digits::{digits, open};
use common::{Golden, folder};
use taps::convert::{Combine, Diff, Differed, Error, Lora, combine, diff, import_lora, merge, scale};
use taps::format::{Adapter, Encoding, Role};
use taps::kernels::{Segments, Workspace};
use taps::runtime::{Layout, Network, Part, Runtime, Settings, Task, Tokens, Weights};
use taps::train::{Budget, Method, Quiet};
use taps::{Base, Config, Examples, Input, Model, fine_tune};

const COUNT: usize = 200;

fn tune(method: Method, layers: Option<usize>, seed: u64) -> Vec<u8> {
    let (base, model) = open();
    let budget = Budget { max_active_layers: layers, ..Budget::default() };
    let config =
        Config { method, epochs: 4, rate: 3e-3, budget, validation: 0.0, threads: 1, seed, ..Config::default() };
    let tuned = fine_tune(&base, &model, &digits(COUNT), &config, &mut Quiet).unwrap();
    tuned.adapter(&base, &model, "inverted", Encoding::F32).unwrap()
}

fn capped() -> &'static [u8] {
    static TUNED: OnceLock<Vec<u8>> = OnceLock::new();
    TUNED.get_or_init(|| tune(Method::Taps, Some(4), 0))
}

fn task(file: &[u8]) -> Task {
    let (_, model) = open();
    Task::build(&model, &Adapter::parse(file).unwrap(), "memory").unwrap()
}

fn weights(weights: &impl Weights, layout: &Layout) -> Vec<Vec<u32>> {
    let workspace = Workspace::new(1);
    let parts = layout.layers().flat_map(|(id, _)| Part::ALL.map(|part| weights.param(id, part)));
    parts.flatten().map(|weight| weight.floats(&workspace).iter().map(|value| value.to_bits()).collect()).collect()
}

/// The checkpoint of an adapter of the digits, and its network.
fn merged(file: &[u8], at: &Path) -> (Base, Model) {
    let (base, model) = open();
    merge(&base, &model, &Adapter::parse(file).unwrap(), at).unwrap();
    let merged = Base::open(at).unwrap();
    let network = Model::open(&merged).unwrap();
    (merged, network)
}

fn settings() -> Diff<'static> {
    static NONE: LazyLock<Settings> = LazyLock::new(Settings::default);
    let (max_active_layers, max_bytes, settings) = (None, None, &*NONE);
    Diff { task: "inverted", max_active_layers, max_bytes, settings, examples: None, count: 128, seed: 0, threads: 1 }
}

/// A LoRA as PEFT wrote it, made into an adapter called `lora`.
fn import(base: &Base, model: &Model, folder: &Path, labels: &[String]) -> Result<Vec<u8>, Error> {
    import_lora(base, model, &Lora { folder, task: "lora", labels, settings: &Settings::default() })
}

fn differed(tuned: &(Base, Model), settings: &Diff<'_>) -> Result<Differed, Error> {
    let (base, model) = open();
    diff(&base, &model, &tuned.0, &tuned.1, settings)
}

#[test]
fn a_merged_checkpoint_is_the_task_and_differs_by_the_adapter() {
    let at = tempfile::tempdir().unwrap();
    let checkpoint = merged(capped(), at.path());
    let (_, model) = open();
    let of_base = Task::of_base(&checkpoint.1);
    assert_eq!(weights(&of_base, model.layout()), weights(&task(capped()), model.layout()));
    let again = differed(&checkpoint, &settings()).unwrap();
    let (found, first) = (Adapter::parse(&again.bytes).unwrap(), Adapter::parse(capped()).unwrap());
    assert!(found.labels().eq(first.labels()));
    assert!(found.entries().map(|entry| (entry.name, entry.role)).eq(first.entries().map(|e| (e.name, e.role))));
    // A sum of base and delta is rounded, so that the delta comes back as what was really added: the sums are the same.
    assert_eq!(weights(&task(&again.bytes), model.layout()), weights(&task(capped()), model.layout()));
    let twice = tempfile::tempdir().unwrap();
    let second = differed(&merged(&again.bytes, twice.path()), &settings()).unwrap();
    assert!(second.bytes == again.bytes, "the second time it is to the byte");
    assert!(again.layers.iter().all(|layer| layer.kept));
}

#[test]
fn a_single_file_is_a_checkpoint_too() {
    let at = tempfile::tempdir().unwrap();
    let (base, model) = open();
    let path = at.path().join("merged.safetensors");
    merge(&base, &model, &Adapter::parse(capped()).unwrap(), &path).unwrap();
    let merged = Base::open(&path).unwrap();
    assert_eq!(fs::read_dir(at.path()).unwrap().count(), 1, "nothing is left beside it");
    let unchanged = base
        .tensors()
        .filter(|tensor| merged.find(tensor.name).is_some_and(|id| merged.tensor(id).bytes == tensor.bytes));
    assert!(unchanged.count() > base.tensors().len() / 2);
    let error = merge(&base, &model, &Adapter::parse(capped()).unwrap(), &at.path().join("no/x.safetensors"));
    assert!(error.unwrap_err().to_string().contains("x.safetensors"));
}

#[test]
fn a_full_fine_tune_loses_little_with_the_layers_worth_most() {
    let at = tempfile::tempdir().unwrap();
    let full = tune(Method::Full, None, 0);
    let checkpoint = merged(&full, at.path());
    let examples = digits(COUNT);
    let measured = |layers, bytes, measured: bool| {
        let given = measured.then_some(&examples as &dyn Examples);
        let settings = Diff { max_active_layers: layers, max_bytes: bytes, examples: given, ..settings() };
        differed(&checkpoint, &settings).unwrap()
    };
    let mut before = f64::INFINITY;
    for layers in [2, 6, 12] {
        let found = measured(Some(layers), None, true);
        let kept = found.layers.iter().filter(|layer| layer.worth.is_some() && layer.kept).count();
        assert_eq!(kept, layers);
        assert!(found.divergence.unwrap() <= before, "{layers}");
        before = found.divergence.unwrap();
        let [tuned, left] = found.scores.unwrap();
        println!("{layers}: {} bytes, {} of {}", found.bytes.len(), left.accuracy(), tuned.accuracy());
    }
    let by_norms = measured(Some(6), None, false);
    assert!(by_norms.divergence.is_none() && by_norms.layers.iter().filter(|layer| layer.worth.is_some()).count() > 6);
    for part in [2, 3, 5, 8, 12] {
        let limit = full.len() / part;
        let small = measured(None, Some(limit), true).bytes.len();
        assert!(small <= limit && small > limit / 2, "{small} of {limit}");
    }
    let checkpoint = merged(&full, at.path());
    let error = differed(&checkpoint, &Diff { max_bytes: Some(100), ..settings() }).unwrap_err();
    assert!(matches!(error, Error::Limit { asked: 100, .. }), "{error}");
}

#[test]
fn another_network_is_no_fine_tune() {
    let other = Base::open(folder("bert")).unwrap();
    let network = Model::open(&other).unwrap();
    let error = differed(&(other, network), &settings()).unwrap_err();
    assert!(matches!(error, Error::OtherNetwork { .. }) && error.to_string().contains("bert"), "{error}");
}

fn bert() -> (Base, Model) {
    let base = Base::open(folder("bert")).unwrap();
    let model = Model::open(&base).unwrap();
    (base, model)
}

fn labels() -> Vec<String> {
    (0..7).map(|class| format!("class {class}")).collect()
}

#[test]
fn a_lora_gives_the_logits_of_peft() {
    let (base, model) = bert();
    let file = import(&base, &model, &folder("lora"), &labels()).unwrap();
    let adapter = Adapter::parse(&file).unwrap();
    let low_rank = adapter.entries().filter(|entry| matches!(entry.encoding, Encoding::LowRank { half: false, .. }));
    assert_eq!(low_rank.count(), 12);
    let golden = Golden::at(folder("lora/golden.safetensors"));
    let (ids, lengths) = (golden.integers("ids"), golden.integers("lengths"));
    let mut packed = Vec::new();
    for (row, &length) in ids.chunks(12).zip(&lengths) {
        packed.extend(row[..length].iter().map(|&id| id as u32));
    }
    let segments = Segments::from_lengths(lengths.iter().copied());
    let runtime = Runtime::new(model).with_threads(1);
    let task = runtime.load_bytes(&file, "lora").unwrap();
    let found = runtime.predict_as(task, &Input::Tokens(Tokens { ids: packed, segments })).unwrap();
    let wanted = golden.floats("logits");
    assert_eq!(found.logits().len(), wanted.len());
    for (found, wanted) in found.logits().iter().zip(&wanted) {
        assert!((found - wanted).abs() < 1e-5 * wanted.abs().max(1.0), "{found} {wanted}");
    }
    assert_eq!(adapter.labels().next(), Some("class 0"));
    let numbered = import(&bert().0, &bert().1, &folder("lora"), &[]).unwrap();
    assert_eq!(Adapter::parse(&numbered).unwrap().labels().next(), Some("0"));
}

#[test]
fn a_lora_that_is_none_is_refused() {
    let (base, model) = bert();
    let refused = |config: &dyn Fn(&str) -> String, base: &Base, model: &Model, labels: &[String], why: &str| {
        let at = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(folder("lora").join("adapter_config.json")).unwrap();
        fs::write(at.path().join("adapter_config.json"), config(&text)).unwrap();
        fs::copy(folder("lora/adapter_model.safetensors"), at.path().join("adapter_model.safetensors")).unwrap();
        let error = import(base, model, at.path(), labels).unwrap_err();
        assert!(matches!(error, Error::Lora { .. }) && error.to_string().contains(why), "{error}");
    };
    let as_is = |text: &str| text.to_owned();
    refused(
        &|text| text.replace("\"use_dora\": false", "\"use_dora\": true"),
        &base,
        &model,
        &labels(),
        "use_dora is true",
    );
    refused(&|text| text.replace("\"LORA\"", "\"IA3\""), &base, &model, &labels(), "IA3");
    refused(&|_| "{".to_owned(), &base, &model, &labels(), "adapter_config.json");
    refused(&as_is, &base, &model, &labels()[..3], "7 classes");
    let (digits, vit) = open();
    refused(&as_is, &digits, &vit, &labels(), "no layer");
    let empty = tempfile::tempdir().unwrap();
    let error = import(&base, &model, empty.path(), &labels()).unwrap_err();
    assert!(error.to_string().contains("adapter_config.json"), "{error}");
}

/// A copy of a golden's base.
fn copied(name: &str) -> tempfile::TempDir {
    let at = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(folder(name).join(file), at.path().join(file)).unwrap();
    }
    at
}

/// The head of the golden LoRA reads the mean of all tokens, which is what its base gives; a base of the same tensors whose
/// files say otherwise would compute something else with it.
#[test]
fn a_head_for_another_pooling_is_refused() {
    let at = copied("bert");
    fs::create_dir(at.path().join("1_Pooling")).unwrap();
    fs::write(
        at.path().join("modules.json"),
        r#"[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
            {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]"#,
    )
    .unwrap();
    let pooling = r#"{"word_embedding_dimension": 32, "pooling_mode_max_tokens": true}"#;
    fs::write(at.path().join("1_Pooling/config.json"), pooling).unwrap();
    let base = Base::open(at.path()).unwrap();
    let model = Model::open(&base).unwrap();
    assert_eq!(model.settings().get(Settings::POOLING), Some("max"));
    let lora = tempfile::tempdir().unwrap();
    fs::copy(folder("lora/adapter_model.safetensors"), lora.path().join("adapter_model.safetensors")).unwrap();
    let text = fs::read_to_string(folder("lora/adapter_config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["task_type"] = "SEQ_CLS".into();
    fs::write(lora.path().join("adapter_config.json"), config.to_string()).unwrap();
    let error = import(&base, &model, lora.path(), &labels()).unwrap_err().to_string();
    assert!(error.contains("max") && error.contains("pool"), "{error}");
}

/// What opens a merged checkpoint, here or in transformers, finds the head, its classes and the pooling in its files.
#[test]
fn a_merged_checkpoint_says_what_it_is() {
    let at = copied("sentences");
    for file in ["modules.json", "config_sentence_transformers.json"] {
        fs::copy(folder("sentences").join(file), at.path().join(file)).unwrap();
    }
    fs::create_dir(at.path().join("1_Pooling")).unwrap();
    fs::copy(folder("sentences/1_Pooling/config.json"), at.path().join("1_Pooling/config.json")).unwrap();
    let base = Base::open(at.path()).unwrap();
    let model = Model::open(&base).unwrap();
    let file = common::adapter::AdapterFile::new(&base, "task").head(16, &["no", "yes"], 5).bytes();
    let out = tempfile::tempdir().unwrap();
    merge(&base, &model, &Adapter::parse(&file).unwrap(), out.path()).unwrap();
    let text = fs::read_to_string(out.path().join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["id2label"], serde_json::json!({"0": "no", "1": "yes"}));
    assert_eq!(config["label2id"], serde_json::json!({"no": 0, "yes": 1}));
    let merged = Base::open(out.path()).unwrap();
    let opened = Model::open(&merged).unwrap();
    assert_eq!(opened.settings().get(Settings::POOLING), model.settings().get(Settings::POOLING));
    let input = common::networks::input(&model, &[3, 5]);
    let runtime = Runtime::new(model).with_threads(1);
    let task = runtime.load_bytes(&file, "task").unwrap();
    let expected = runtime.predict_as(task, &input).unwrap();
    let found = Runtime::new(opened).with_threads(1).predict(&input).unwrap();
    assert_eq!(found.logits()[..], expected.logits()[..]);
    assert_eq!(found.label(0), expected.label(0));
}

/// Factors whose product has no number are no delta.
#[test]
fn a_lora_that_overflows_is_refused_and_not_saturated() {
    let (base, model) = bert();
    let at = tempfile::tempdir().unwrap();
    fs::copy(folder("lora/adapter_config.json"), at.path().join("adapter_config.json")).unwrap();
    for worst in [f32::NAN, f32::INFINITY, 1e38, 1e30] {
        let mut bytes = fs::read(folder("lora/adapter_model.safetensors")).unwrap();
        let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        bytes[header..].chunks_exact_mut(4).for_each(|value| value.copy_from_slice(&worst.to_le_bytes()));
        fs::write(at.path().join("adapter_model.safetensors"), bytes).unwrap();
        let made = import(&base, &model, at.path(), &labels());
        let refused = made.and_then(|file| {
            let adapter = Adapter::parse(&file).unwrap();
            Task::build(&model, &adapter, "lora").map(drop).map_err(Into::into)
        });
        let message = refused.expect_err("no numbers").to_string();
        assert!(message.contains("encoder.layer."), "{worst}: {message}");
    }
}

/// The values of each delta, by name.
fn deltas(file: &[u8]) -> Vec<(String, Vec<f32>)> {
    let adapter = Adapter::parse(file).unwrap();
    let values = |entry: taps::format::Entry<'_>| {
        let mut values = vec![0.0; entry.elements()];
        entry.decode_into(&mut values).unwrap();
        (entry.name.to_owned(), values)
    };
    adapter.entries().filter(|entry| entry.role == Role::Delta).map(values).collect()
}

#[test]
fn deltas_are_scaled_by_the_depth_of_their_block() {
    let (base, model) = open();
    let adapter = Adapter::parse(capped()).unwrap();
    let same = scale(&base, &model, &adapter, 1.0, 0.0).unwrap();
    assert!(same == capped());
    let scaled = scale(&base, &model, &adapter, 0.5, 0.25).unwrap();
    let last = model.layout().layers().filter_map(|(_, layer)| block_of(&layer.name)).max().unwrap();
    for ((name, before), (_, after)) in deltas(capped()).iter().zip(deltas(&scaled)) {
        let factor = block_of(name).map_or(0.5, |block| 0.5 + 0.25 * block as f32 / last as f32);
        for (before, after) in before.iter().zip(after) {
            assert!((before * factor - after).abs() <= 1e-6 * before.abs(), "{name}: {before} {after} {factor}");
        }
    }
    assert!(matches!(scale(&base, &model, &adapter, f32::NAN, 0.0), Err(Error::Setting { .. })));
    let (bert, network) = bert();
    let lora = import(&bert, &network, &folder("lora"), &labels()).unwrap();
    let halved = scale(&bert, &network, &Adapter::parse(&lora).unwrap(), 0.5, 0.0).unwrap();
    assert_eq!(halved.len(), lora.len());
    for ((_, before), (name, after)) in deltas(&lora).iter().zip(deltas(&halved)) {
        assert!(before.iter().zip(&after).all(|(before, after)| before / 2.0 == *after), "{name}");
    }
}

fn block_of(name: &str) -> Option<usize> {
    name.split('.').find_map(|part| part.parse().ok())
}

#[test]
fn adapters_of_one_base_add_up_and_others_do_not() {
    let (base, model) = open();
    let other = tune(Method::Taps, Some(4), 1);
    let files = [Adapter::parse(capped()).unwrap(), Adapter::parse(&other).unwrap()];
    let sum = combine(&base, &model, &files, "both", Combine::Sum { factor: 0.5 }).unwrap();
    let (first, second) = (deltas(capped()), deltas(&other));
    let of = |deltas: &[(String, Vec<f32>)], name: &str, at: usize| {
        deltas.iter().find(|(of, _)| of == name).map_or(0.0, |(_, values)| values[at])
    };
    for (name, values) in deltas(&sum) {
        for (at, value) in values.iter().enumerate() {
            assert_eq!(*value, 0.5 * (of(&first, &name, at) + of(&second, &name, at)), "{name}");
        }
    }
    let head = |file: &[u8]| {
        let adapter = Adapter::parse(file).unwrap();
        let payloads = adapter.entries().filter(|entry| entry.role == Role::Replacement);
        payloads.map(|entry| entry.payload.to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(head(&sum), head(capped()));
    let ties = combine(&base, &model, &files, "both", Combine::Ties { density: 0.2, factor: 1.0 }).unwrap();
    let kept: usize =
        deltas(&ties).iter().map(|(_, values)| values.iter().filter(|value| **value != 0.0).count()).sum();
    let all: usize = deltas(&ties).iter().map(|(_, values)| values.len()).sum();
    assert!(kept * 5 < all * 2 + 100, "{kept} of {all}");
    let (bert, network) = bert();
    let lora = import(&bert, &network, &folder("lora"), &labels()).unwrap();
    let mixed = [files[0], Adapter::parse(&lora).unwrap()];
    let error = combine(&base, &model, &mixed, "both", Combine::Sum { factor: 1.0 }).unwrap_err();
    assert!(matches!(&error, Error::Combine { task, .. } if task == "lora"), "{error}");
    assert!(matches!(combine(&base, &model, &[], "x", Combine::Sum { factor: 1.0 }), Err(Error::Combine { .. })));
    let none = Combine::Ties { density: 0.0, factor: 1.0 };
    assert!(matches!(combine(&base, &model, &files, "x", none), Err(Error::Setting { .. })));
}
