//! Tasks on a device against the same tasks on the host: on the processor by candle, or on what `TAPS_TEST_DEVICE` names.
#![cfg(feature = "candle")]

mod common;

use std::sync::Arc;

use common::adapter::AdapterFile;
use common::base::{TINY, Weights};
use common::folder;
use common::networks::{NETWORKS, input};
use safetensors::tensor::Dtype;
#[cfg(feature = "train")]
use taps::device::fetch;
use taps::device::{self, Device, DeviceBase, DeviceRuntime};
#[cfg(feature = "train")]
use taps::format::Role;
use taps::format::{Adapter, Encoding};
#[cfg(feature = "train")]
use taps::graph::{Graph, Host, LayerGrad, Rows, Tensors};
#[cfg(feature = "train")]
use taps::kernels::{Precision, cross_entropy};
use taps::kernels::{Segments, Workspace};
use taps::models::Options;
use taps::runtime::{Arithmetic, Examples, Images, Processor, Tokens, evaluate};
#[cfg(feature = "train")]
use taps::runtime::{LayerId, backward};
#[cfg(feature = "train")]
use taps::train::{Budget, Config, Method, Norms, Optimizer, Patch, Quiet, Select, Tuned, fine_tune, fine_tune_on};
use taps::{Base, Input, Model, Network, Runtime};

/// Largest difference from the host, as a share of the largest value.
const OFF: f32 = 2e-4;

fn device() -> Device {
    let name = std::env::var("TAPS_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let processor = Processor::of_name(&name).unwrap_or_else(|| panic!("TAPS_TEST_DEVICE: no device {name}"));
    device::open(processor).unwrap_or_else(|error| panic!("TAPS_TEST_DEVICE: {error}"))
}

fn open(folder: impl AsRef<std::path::Path>) -> Runtime<Model> {
    let base = Base::open(folder).unwrap();
    let model = Model::open(&base).unwrap();
    Runtime::new(model).with_threads(1)
}

/// A task with a delta on every matrix of the base, and a head.
fn adapter(runtime: &Runtime<Model>, name: &str, seed: u64) -> Vec<u8> {
    let (base, layout) = (runtime.base(), runtime.network().layout());
    let mut file = AdapterFile::new(base, name);
    file.architecture = runtime.network().architecture().to_owned();
    for (number, id) in layout.tapped().enumerate().filter(|(number, _)| number % 2 == seed as usize % 2) {
        let name = &layout.layer(id).weight.name;
        file = file.delta(base, name, if number % 4 < 2 { Encoding::Int8 } else { Encoding::F16 }, seed);
        let piece = file.tensor(name);
        piece.values.iter_mut().for_each(|value| *value *= 0.05);
    }
    let head = layout.layer(layout.head()).name.clone();
    file = file.head(layout.features(), &["a", "b", "c"], seed);
    for part in ["weight", "bias"] {
        file.tensor(&format!("classifier.{part}")).name = format!("{head}.{part}");
    }
    file.bytes()
}

fn off(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(1e-3f32, |size, value| size.max(value.abs()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
}

#[test]
fn every_network_gives_what_it_gives_on_the_host() {
    for name in NETWORKS {
        let (host, device) = (open(folder(name)), DeviceRuntime::new(open(folder(name)), &device()).unwrap());
        let adapter = adapter(&host, "task", 1);
        let (expected, found) = (host.load_bytes(&adapter, name).unwrap(), device.load_bytes(&adapter, name).unwrap());
        for lengths in [&[4, 4, 4][..], &[1], &[5, 1, 9, 7]] {
            let input = input(host.network(), lengths);
            let expected = host.predict_as(expected.clone(), &input).unwrap();
            let found = device.predict_as(found.clone(), &input).unwrap();
            let off = off(found.logits(), expected.logits());
            assert!(off < OFF, "{name}, {} examples: off by {off}", lengths.len());
            assert_eq!(found.label(0), expected.label(0), "{name}");
            assert_eq!((found.logits().rows(), found.logits().cols()), (lengths.len(), 3));
        }
    }
}

/// Gradients of the host's tape and of the device's, for the layers that are wanted.
#[cfg(feature = "train")]
fn check_gradients(name: &str, wanted: &[bool], lengths: &[usize], [by_batch, again]: [bool; 2]) {
    let (host, device) = (open(folder(name)), DeviceRuntime::new(open(folder(name)), &device()).unwrap());
    let bytes = adapter(&host, "task", 1);
    let (task, there) = (host.load_bytes(&bytes, name).unwrap(), device.load_bytes(&bytes, name).unwrap());
    let (model, workspace) = (host.network(), Workspace::new(1));
    let input = input(model, lengths);
    let labels: Vec<usize> = (0..input.len()).map(|number| number % 3).collect();
    let mut graph = Graph::new(Host::new(&*task, &workspace), wanted).with_batch_statistics(by_batch);
    let traced = Graph::new(there.backend(&workspace), wanted);
    let mut traced = traced.with_batch_statistics(by_batch).with_recomputation(again);
    let logits = model.logits(&mut graph, &input).unwrap();
    let expected_moments = graph.take_moments();
    let (_, gradient) = cross_entropy(&workspace, logits.value(), &labels, 0.0);
    // A layer that is used twice has two gradients, which are added up.
    let mut expected: Vec<(LayerId, LayerGrad)> = Vec::new();
    let add = |sums: &mut Vec<(LayerId, LayerGrad)>, layer, gradient| match sums.iter_mut().find(|(of, _)| *of == layer)
    {
        Some((_, sum)) => sum.add(&gradient),
        None => sums.push((layer, gradient)),
    };
    let copy = traced.backend().send(workspace.copy(&gradient)).unwrap();
    let mut sink = |layer, gradient| {
        add(&mut expected, layer, gradient);
        Ok(())
    };
    backward(model, &input, graph, &logits, gradient, &mut sink).unwrap();
    let logits = model.logits(&mut traced, &input).unwrap();
    let moments = traced.take_moments();
    let mut found = Vec::new();
    let mut sink = |layer, LayerGrad { weight, bias }: LayerGrad<Rows>| {
        let (weight, bias) = (fetch(&weight)?, bias.as_ref().map(fetch).transpose()?);
        add(&mut found, layer, LayerGrad { weight, bias });
        Ok(())
    };
    backward(model, &input, traced, &logits, copy, &mut sink).unwrap();
    let layers = |gradients: &mut dyn Iterator<Item = usize>| {
        let mut layers: Vec<usize> = gradients.collect();
        layers.sort_unstable();
        layers
    };
    let order = layers(&mut expected.iter().map(|(layer, _)| layer.index()));
    assert_eq!(order, layers(&mut found.iter().map(|(layer, _)| layer.index())), "{name}");
    let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    // Gradients of one network differ in size by magnitudes, and the smallest are rounding.
    let largest = expected.iter().map(|(_, gradient)| norm(&gradient.weight)).fold(0f32, f32::max);
    let mut offs: Vec<(f32, String)> = Vec::new();
    for (layer, gradient) in &expected {
        let (_, other) = found.iter().find(|(of, _)| of == layer).unwrap();
        let mut close = |found: &[f32], expected: &[f32]| {
            assert_eq!(found.len(), expected.len());
            let apart: Vec<f32> = found.iter().zip(expected).map(|(found, expected)| found - expected).collect();
            let off = norm(&apart) / norm(expected).max(1e-3 * largest);
            offs.push((off, model.layout().layer(*layer).name.clone()));
        };
        close(&other.weight, &gradient.weight);
        assert_eq!(other.bias.is_some(), gradient.bias.is_some(), "{name}");
        if let (Some(found), Some(expected)) = (&other.bias, &gradient.bias) {
            close(found, expected);
        }
    }
    offs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (middle, worst) = (&offs[offs.len() / 2], &offs[offs.len() - 1]);
    println!("{name}: off by {middle:?} in the middle and up to {worst:?}");
    // In networks this narrow statistics of a batch move activations across their kinks, which shifts gradients by percents.
    let narrow = ["mobilenet", "densenet"].iter().any(|family| name.starts_with(family));
    let most = if by_batch && narrow { 0.1 } else { 2e-4 };
    assert!(offs.iter().all(|(off, _)| *off < most), "{name}: off by {middle:?} in the middle and up to {worst:?}");
    assert_eq!(moments.len(), expected_moments.len(), "{name}");
    for (found, expected) in moments.iter().zip(&expected_moments) {
        assert_eq!((found.layer, found.rows), (expected.layer, expected.rows));
        let (mean, variance) = (fetch(&found.mean).unwrap(), fetch(&found.variance).unwrap());
        assert!(off(&mean, &expected.mean) < 1e-3, "{name}");
        assert!(off(&variance, &expected.variance) < 1e-3, "{name}");
    }
}

#[cfg(feature = "train")]
#[test]
fn gradients_are_those_of_the_host() {
    for name in NETWORKS {
        let model = open(folder(name));
        let count = model.network().layout().len();
        let late: Vec<bool> = (0..count).map(|layer| layer >= 2 * count / 3).collect();
        for again in [false, true] {
            check_gradients(name, &vec![true; count], &[5, 1, 9, 7], [false, again]);
            check_gradients(name, &late, &[4, 4], [false, again]);
            check_gradients(name, &vec![true; count], &[5, 1, 9, 7], [true, again]);
        }
    }
}

#[test]
fn sixteen_bits_give_about_the_same() {
    for name in NETWORKS {
        let host = open(folder(name));
        let adapter = adapter(&host, "task", 1);
        let input = input(host.network(), &[5, 1, 9, 7]);
        let expected = host.predict_as(host.load_bytes(&adapter, name).unwrap(), &input).unwrap();
        for (arithmetic, most) in [(Arithmetic::F16, 0.02), (Arithmetic::Bf16, 0.1)] {
            let base = DeviceBase::upload_as(host.base(), host.network().layout(), &device(), arithmetic).unwrap();
            let whole = DeviceBase::upload(host.base(), host.network().layout(), &device()).unwrap();
            assert_eq!(2 * base.bytes(), whole.bytes(), "{name}: half the memory");
            let runtime = DeviceRuntime::over(open(folder(name)), Arc::new(base)).unwrap();
            let found = runtime.predict_as(runtime.load_bytes(&adapter, name).unwrap(), &input).unwrap();
            let off = off(found.logits(), expected.logits());
            println!("{name} in {}: off by {off}", arithmetic.name());
            assert!(off > 1e-6 && off < most, "{name} in {}: off by {off}", arithmetic.name());
        }
    }
}

#[test]
fn positions_are_interpolated() {
    let options = Options { image_size: Some([12, 20]), ..Options::default() };
    let open = || {
        let base = Base::open(folder("vit")).unwrap();
        let model = Model::open_with(&base, &options).unwrap();
        Runtime::new(model).with_threads(1)
    };
    let (host, device) = (open(), DeviceRuntime::new(open(), &device()).unwrap());
    let adapter = adapter(&host, "task", 1);
    let input = input(host.network(), &[1, 1]);
    let expected = host.predict_as(host.load_bytes(&adapter, "x").unwrap(), &input).unwrap();
    let found = device.predict_as(device.load_bytes(&adapter, "x").unwrap(), &input).unwrap();
    assert!(off(found.logits(), expected.logits()) < OFF);
}

#[test]
fn halves_are_widened() {
    for dtype in [Dtype::F16, Dtype::BF16] {
        let folder = Weights::bert(TINY, 1).folder(dtype);
        let (host, device) = (open(folder.path()), DeviceRuntime::new(open(folder.path()), &device()).unwrap());
        let adapter = adapter(&host, "task", 2);
        let input = input(host.network(), &[3, 6]);
        let expected = host.predict_as(host.load_bytes(&adapter, "x").unwrap(), &input).unwrap();
        let found = device.predict_as(device.load_bytes(&adapter, "x").unwrap(), &input).unwrap();
        assert!(off(found.logits(), expected.logits()) < OFF);
    }
}

/// Deltas of every encoding: most are merged on the device, and the others on the host.
#[test]
fn deltas_of_every_encoding_are_merged() {
    let folder = Weights::bert(TINY, 1).folder(Dtype::F32);
    let (host, device) = (open(folder.path()), DeviceRuntime::new(open(folder.path()), &device()).unwrap());
    let input = input(host.network(), &[3, 6]);
    let encodings = [
        Encoding::F32,
        Encoding::F16,
        Encoding::Int8,
        Encoding::INT4,
        Encoding::OneBit,
        Encoding::LowRank { rank: 2, half: true },
    ];
    for encoding in encodings {
        let layout = host.network().layout();
        let id = layout.tapped().nth(2).unwrap();
        let mut file =
            AdapterFile::new(host.base(), "task").delta(host.base(), &layout.layer(id).weight.name, encoding, 3);
        file.architecture = host.network().architecture().to_owned();
        if let Encoding::LowRank { rank, .. } = encoding {
            let piece = &mut file.tensors[0];
            piece.values.truncate(rank as usize * piece.shape.iter().sum::<usize>());
        }
        let bytes = file.head(layout.features(), &["a", "b", "c"], 3).bytes();
        let expected = host.predict_as(host.load_bytes(&bytes, "x").unwrap(), &input).unwrap();
        let found = device.predict_as(device.load_bytes(&bytes, "x").unwrap(), &input).unwrap();
        assert!(off(found.logits(), expected.logits()) < OFF, "{encoding}");
        let cut = &mut bytes.clone()[..];
        cut[bytes.len() / 2] ^= 1;
        assert!(device.load_bytes(cut, "x").is_err(), "{encoding}: a damaged file is refused");
    }
}

#[test]
fn fifty_tasks_are_one_base_and_their_own_layers_and_a_switch_copies_nothing() {
    let folder = Weights::bert(TINY, 1).folder(Dtype::F32);
    let device = DeviceRuntime::new(open(folder.path()), &device()).unwrap();
    let base = device.base().bytes();
    // Apple's GPUs read the mapping itself.
    let uploaded = if device.base().device().is_metal() { 0 } else { base };
    assert_eq!(device.base().uploaded(), uploaded, "each tensor of the base once");
    assert_eq!(base, device.host().base().bytes());
    let files: Vec<_> = (0..50).map(|seed| adapter(device.host(), &format!("task {seed}"), seed)).collect();
    let tasks: Vec<_> = files.iter().map(|file| device.load_bytes(file, "memory").unwrap()).collect();
    let payloads = |file| Adapter::parse(file).unwrap().entries().map(|entry| entry.payload.len()).sum::<usize>();
    let held: usize = files.iter().map(|file| payloads(file)).sum();
    assert_eq!(device.base().uploaded(), uploaded + held, "deltas go there as the adapter holds them");
    for (file, task) in files.iter().zip(&tasks) {
        let merged = device.host().load_bytes(file, "memory").unwrap();
        assert_eq!(task.own_bytes(), merged.own_bytes());
    }
    let before = device.base().uploaded();
    for task in tasks.iter().chain([device.base_task()]) {
        device.switch(task).unwrap();
        assert!(Arc::ptr_eq(&device.pin(), task));
    }
    assert_eq!(device.base().uploaded(), before, "a switch copies nothing");
    // Each keeps its own weights while the others are there.
    let input = input(device.host().network(), &[3, 5]);
    for (seed, task) in tasks.iter().enumerate().step_by(17) {
        device.switch(task).unwrap();
        let found = device.predict(&input).unwrap();
        let bytes = adapter(device.host(), &format!("task {seed}"), seed as u64);
        let host = device.host().load_bytes(&bytes, "memory").unwrap();
        let expected = device.host().predict_as(host, &input).unwrap();
        assert!(off(found.logits(), expected.logits()) < OFF && found.task().name() == format!("task {seed}"));
    }
}

/// Examples of three classes in turn.
struct Several(Input, Vec<String>);

impl Several {
    fn new(input: Input) -> Self {
        Self(input, ["a", "b", "c"].map(str::to_owned).to_vec())
    }
}

impl Examples for Several {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn classes(&self) -> &[String] {
        &self.1
    }

    fn label(&self, index: usize) -> usize {
        index % 3
    }

    fn batch(&self, indices: &[usize]) -> Result<Input, taps::runtime::Error> {
        Ok(match &self.0 {
            Input::Tokens(tokens) => {
                let of = |&index: &usize| tokens.ids[tokens.segments.range(index)].to_vec();
                let texts: Vec<Vec<u32>> = indices.iter().map(of).collect();
                let segments = Segments::from_lengths(texts.iter().map(Vec::len));
                Input::Tokens(Tokens { ids: texts.concat(), segments })
            }
            Input::Images(images) => {
                let each = images.pixels.len() / images.batch;
                let of = |&index: &usize| images.pixels[index * each..][..each].to_vec();
                let pixels = indices.iter().flat_map(of).collect();
                Input::Images(Images { pixels, batch: indices.len(), ..*images })
            }
        })
    }
}

/// All values of the adapter of a fine-tune, but for the head's.
#[cfg(feature = "train")]
fn changes(tuned: &Tuned, host: &Runtime<Model>) -> Vec<f32> {
    let file = tuned.adapter(host.base(), host.network(), "task", Encoding::F32).unwrap();
    let adapter = Adapter::parse(&file).unwrap();
    let deltas = adapter.entries().filter(|entry| entry.role == Role::Delta);
    let values = |entry: taps::format::Entry<'_>| {
        let mut values = vec![0.0; entry.elements()];
        entry.decode_into(&mut values).unwrap();
        values
    };
    deltas.flat_map(values).collect()
}

/// How far values are from others, as a share of the size of these.
#[cfg(feature = "train")]
fn apart(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
    let apart = norm(&mut found.iter().zip(expected).map(|(found, expected)| found - expected));
    if apart == 0.0 { 0.0 } else { apart / norm(&mut expected.iter().copied()) }
}

#[cfg(feature = "train")]
#[test]
fn a_fine_tune_comes_to_what_it_comes_to_on_the_host() {
    let lengths: Vec<usize> = (0..48).map(|number| 2 + number % 7).collect();
    let small = Config { epochs: 3, head_epochs: 2, validation: 0.25, batch: 8, threads: 1, ..Config::default() };
    let settings = [
        ("bert", Config { budget: Budget::layers(3), rate: 1e-2, ..small.clone() }),
        (
            "bert",
            Config {
                select: Select::Scores,
                micro_batch: Some(3),
                budget: Budget::layers(2),
                rate: 1e-2,
                ..small.clone()
            },
        ),
        ("vit", Config { method: Method::Full, ..small.clone() }),
        ("resnet_cifar", Config { norms: Norms::Statistics, budget: Budget::layers(2), ..small.clone() }),
        ("mobilenet_v2", Config { method: Method::Patch(Patch::Depthwise), ..small.clone() }),
        // Mixed and smoothed labels, another optimizer, another rate for the head, and gradients that are cut.
        (
            "vit",
            Config {
                mixup: 0.4,
                smoothing: 0.1,
                optimizer: Optimizer::Sgd { momentum: 0.9 },
                rate: 0.05,
                head_rate: 0.2,
                clip: Some(0.1),
                budget: Budget::layers(2),
                ..small.clone()
            },
        ),
        (
            "resnet_basic",
            Config {
                recompute: true,
                norms: Norms::Statistics,
                micro_batch: Some(5),
                budget: Budget::layers(2),
                ..small.clone()
            },
        ),
        // What the host has to see: running means in few bits.
        ("bert", Config { states: Precision::Bf16, budget: Budget::layers(2), rate: 1e-2, ..small.clone() }),
    ];
    for (name, config) in settings {
        let host = &open(folder(name));
        let (base, network) = (host.base(), host.network());
        let examples = Several::new(input(network, &lengths));
        let there = Arc::new(DeviceBase::upload(base, network.layout(), &device()).unwrap());
        let expected = fine_tune(base, network, &examples, &config, &mut Quiet).unwrap();
        let found = fine_tune_on(&there, base, network, &examples, &config, &mut Quiet).unwrap();
        assert!(there.uploaded() > 2 * there.bytes(), "{name}: it was computed there");
        let layers = |tuned: &Tuned| tuned.active_layers(network.layout());
        assert_eq!((layers(&found), found.steps), (layers(&expected), expected.steps), "{name}");
        // Where two epochs are alike, the rounding of a GPU may prefer the other.
        let is_same = found.epoch == expected.epoch;
        assert!(is_same || !there.device().is_cpu(), "{name}: epoch {} for {}", found.epoch, expected.epoch);
        let count = changes(&expected, host).len();
        let off = if is_same { apart(&changes(&found, host), &changes(&expected, host)) } else { 0.0 };
        println!("{name}: {count} changes off by {off}");
        assert!(count > 0 && off < 0.05, "{name}: changes are off by {off} of their size");
        let (found, expected) = (found.validation.loss, expected.validation.loss);
        assert!((found - expected).abs() < 5e-3 * expected, "{name}: a loss of {found}, and {expected} on the host");
        let half = DeviceBase::upload_as(base, network.layout(), &device(), Arithmetic::Bf16).unwrap();
        let found =
            fine_tune_on(&Arc::new(half), base, network, &examples, &config, &mut Quiet).unwrap().validation.loss;
        assert!(
            (found - expected).abs() < 0.1 * expected,
            "{name}: a loss of {found} in bf16, and {expected} on the host"
        );
    }
}

#[cfg(feature = "train")]
#[test]
fn a_step_copies_no_weights_to_the_device() {
    let host = open(folder("bert"));
    let (base, network) = (host.base(), host.network());
    let lengths = [2; 48];
    let examples = Several::new(input(network, &lengths));
    let there = Arc::new(DeviceBase::upload(base, network.layout(), &device()).unwrap());
    let own: usize = network.layout().tapped().map(|id| 4 * network.layout().layer(id).elements()).sum();
    let mut copied = Vec::new();
    for epochs in [1, 2] {
        let config =
            Config { epochs, method: Method::Full, batch: 1, validation: 0.0, threads: 1, ..Config::default() };
        let before = there.uploaded();
        let tuned = fine_tune_on(&there, base, network, &examples, &config, &mut Quiet).unwrap();
        assert_eq!(tuned.steps as usize, epochs * lengths.len());
        copied.push(there.uploaded() - before);
    }
    // At the start of an epoch the weights, and deltas with both means, padded; then inputs and labels.
    let each = copied[1] - copied[0];
    assert!(each > own && each < 10 * own, "{each} bytes an epoch of {} steps, of layers of {own}", lengths.len());
}

#[test]
fn scores_are_those_of_the_host() {
    let folder = Weights::bert(TINY, 3).folder(Dtype::F32);
    let device = DeviceRuntime::new(open(folder.path()), &device()).unwrap();
    let bytes = adapter(device.host(), "task", 4);
    let (host, task) = (device.host().load_bytes(&bytes, "x").unwrap(), device.load_bytes(&bytes, "x").unwrap());
    let examples = Several::new(input(device.host().network(), &[3, 1, 6, 2, 2, 4]));
    let indices: Vec<usize> = (0..6).collect();
    let expected = evaluate(device.host().network(), &*host, &examples, &indices, 4, &Workspace::new(1)).unwrap();
    let found = device.score(&task, &examples, &indices, 4).unwrap();
    assert_eq!((found.correct, found.examples), (expected.correct, 6));
    assert!((found.loss - expected.loss).abs() < 1e-3 * expected.loss);
}

#[test]
fn what_cannot_be_computed_is_said() {
    let folder = Weights::bert(TINY, 1).folder(Dtype::F32);
    let device = DeviceRuntime::new(open(folder.path()), &device()).unwrap();
    let network = device.host().network();
    let error = device.predict(&input(network, &[3])).unwrap_err().to_string();
    assert!(error.contains("no classification head"), "{error}");
    let outside = Input::Tokens(Tokens { ids: vec![9999], segments: Segments::from_lengths([1]) });
    let error = device.predict(&outside).unwrap_err().to_string();
    assert!(error.contains("9999 is outside the table"), "{error}");
    #[cfg(feature = "train")]
    {
        let config = Config { budget: Budget { max_memory: Some(1 << 30), ..Budget::layers(2) }, ..Config::default() };
        let examples = Several::new(input(network, &[3; 12]));
        let error = fine_tune_on(device.base(), device.host().base(), network, &examples, &config, &mut Quiet);
        let error = error.err().unwrap().to_string();
        assert!(error.contains("max_memory") && error.contains("not predicted"), "{error}");
    }
    let damaged = &adapter(device.host(), "task", 1)[..100];
    assert!(device.load_bytes(damaged, "spam.taps").unwrap_err().to_string().contains("spam.taps"));
}
