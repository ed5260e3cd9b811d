//! Loading, switching and predicting: a task computes what a base with its weights written into it would.
#![cfg(feature = "runtime")]

mod common;
#[path = "runtime/inputs.rs"]
mod inputs;
#[path = "runtime/networks.rs"]
mod networks;
#[path = "runtime/refusals.rs"]
mod refusals;

use std::sync::Arc;

use common::adapter::AdapterFile;
use common::base::{TINY, Weights, raw};
use safetensors::tensor::Dtype;
use taps::base::Base;
use taps::format::Encoding;
use taps::kernels::Segments;
use taps::models::Model;
use taps::runtime::{Error, Input, Network, Prediction, Runtime, Task, Tokens, Weights as _};
use tempfile::TempDir;

const LABELS: [&str; 3] = ["no", "maybe", "yes"];
const QUERY: &str = "encoder.layer.0.attention.self.query.weight";

/// A runtime of one thread, so that equal weights give equal bits.
fn open(folder: &TempDir) -> Runtime<Model> {
    let base = Base::open(folder.path()).unwrap();
    let model = Model::open(&base).unwrap();
    Runtime::new(model).with_threads(1)
}

fn tokens(ids: &[u32], lengths: &[usize]) -> Input {
    Input::Tokens(Tokens { ids: ids.to_vec(), segments: Segments::from_lengths(lengths.iter().copied()) })
}

fn input() -> Input {
    tokens(&[1, 5, 39, 7, 2, 30, 30, 11], &[5, 3])
}

/// The bits of all scores.
fn bits(prediction: &Prediction) -> Vec<u32> {
    prediction.logits().iter().map(|score| score.to_bits()).collect()
}

/// An adapter of three encodings on a matrix, a table, a bias and a norm, and a head.
fn sentiment(base: &Base) -> AdapterFile {
    AdapterFile::new(base, "sentiment")
        .delta(base, QUERY, Encoding::Int8, 1)
        .delta(base, "encoder.layer.1.output.dense.weight", Encoding::F16, 2)
        .delta(base, "encoder.layer.1.output.dense.bias", Encoding::F32, 3)
        .delta(base, "embeddings.word_embeddings.weight", Encoding::F32, 4)
        .replacement(base, "encoder.layer.1.output.LayerNorm.weight", 5)
        .replacement(base, "encoder.layer.1.output.LayerNorm.bias", 6)
        .head(TINY.hidden, &LABELS, 7)
}

/// What `values` become in the file, as the specification words it.
fn stored(encoding: Encoding, values: &[f32], rows: usize) -> Vec<f32> {
    match encoding {
        Encoding::F16 => values.iter().map(|&value| half::f16::from_f32(value).to_f32()).collect(),
        Encoding::Int8 => values
            .chunks(values.len() / rows)
            .flat_map(|row| {
                let scale = row.iter().fold(0f32, |max, value| max.max(value.abs())) / 127.0;
                row.iter().map(move |value| scale * (value / scale).round().clamp(-127.0, 127.0))
            })
            .collect(),
        _ => values.to_vec(),
    }
}

/// The weights of a base after the adapter has been written into them by hand.
fn merged(base: &Weights, adapter: &AdapterFile) -> Weights {
    let mut merged = base.clone();
    merged.labels = adapter.labels.clone();
    for piece in &adapter.tensors {
        let values = stored(piece.encoding, &piece.values, piece.shape[0]);
        match piece.role {
            taps::format::Role::Delta => merged.add(&piece.name, &values),
            _ => merged.put(&piece.name, &piece.shape, &values),
        }
    }
    merged
}

#[test]
fn a_task_is_a_base_with_its_weights_written_into_it() {
    let weights = Weights::bert(TINY, 1);
    let folder = weights.folder(Dtype::F32);
    let runtime = open(&folder);
    let adapter = sentiment(runtime.base());
    let task = runtime.load_bytes(&adapter.bytes(), "memory").unwrap();
    runtime.switch(&task).unwrap();
    let predicted = runtime.predict(&input()).unwrap();
    assert_eq!((predicted.logits().rows(), predicted.logits().cols()), (2, 3));

    let oracle = open(&merged(&weights, &adapter).folder(Dtype::F32));
    let expected = oracle.predict(&input()).unwrap();
    assert_eq!(oracle.base_task().labels(), LABELS);
    assert_eq!(bits(&predicted), bits(&expected));
    for example in 0..2 {
        assert_eq!(predicted.class(example), expected.class(example));
        assert_eq!(predicted.label(example), LABELS[expected.class(example).0]);
    }

    let only_head = AdapterFile::new(runtime.base(), "head").head(TINY.hidden, &LABELS, 7);
    let only_head = runtime.load_bytes(&only_head.bytes(), "memory").unwrap();
    let other = runtime.predict_as(only_head, &input()).unwrap();
    assert_ne!(bits(&predicted), bits(&other), "the deltas reach the scores");
}

#[test]
fn a_task_may_replace_the_head_of_the_base() {
    let bare = open(&Weights::bert(TINY, 1).folder(Dtype::F32));
    let first = AdapterFile::new(bare.base(), "first").head(TINY.hidden, &LABELS, 7);
    let weights = merged(&Weights::bert(TINY, 1), &first);
    let runtime = open(&weights.folder(Dtype::F32));
    let second = AdapterFile::new(runtime.base(), "second").head(TINY.hidden, &["a", "b"], 8);
    let task = runtime.load_bytes(&second.bytes(), "memory").unwrap();
    assert_eq!(task.labels(), ["a", "b"]);
    let expected = open(&merged(&weights, &second).folder(Dtype::F32)).predict(&input()).unwrap();
    assert_eq!(bits(&runtime.predict_as(task, &input()).unwrap()), bits(&expected));

    let keeps = AdapterFile::new(runtime.base(), "keeps").delta(runtime.base(), QUERY, Encoding::F32, 9);
    let keeps = runtime.load_bytes(&keeps.bytes(), "memory").unwrap();
    assert_eq!(keeps.labels(), LABELS, "an adapter without a head keeps the base's");
}

#[test]
fn halves_compute_as_the_floats_they_stand_for() {
    for dtype in [Dtype::F16, Dtype::BF16] {
        let weights = Weights::bert(TINY, 2);
        let (halves, floats) = (open(&weights.folder(dtype)), open(&weights.rounded(dtype).folder(Dtype::F32)));
        assert_eq!(halves.base().bytes() * 2, floats.base().bytes());
        let [expected, found] = [floats, halves].map(|runtime| {
            let task = runtime.load_bytes(&sentiment(runtime.base()).bytes(), "memory").unwrap();
            let only_head = AdapterFile::new(runtime.base(), "head").head(TINY.hidden, &LABELS, 7);
            let only_head = runtime.load_bytes(&only_head.bytes(), "memory").unwrap();
            [task, only_head].map(|task| bits(&runtime.predict_as(task, &input()).unwrap()))
        });
        assert_eq!(found, expected, "{dtype:?}");
    }
}

#[test]
fn shards_in_memory_and_unaligned_files_compute_the_same() {
    let weights = Weights::bert(TINY, 3);
    let single = weights.folder(Dtype::F32);
    let file = single.path().join("model.safetensors");
    let unaligned = weights.folder(Dtype::F32);
    let bytes = std::fs::read(&file).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = format!("{} ", std::str::from_utf8(&bytes[8..8 + length]).unwrap());
    std::fs::write(unaligned.path().join("model.safetensors"), raw(&header, &bytes[8 + length..])).unwrap();

    let shards = weights.shards(3);
    let in_memory = Base::open_in_memory(single.path()).unwrap();
    let model = Model::open(&in_memory).unwrap();
    let in_memory = Runtime::new(model).with_threads(1);
    let runtimes = [open(&single), open(&shards), open(&unaligned), in_memory];
    let first = runtimes[2].base().tensors().next().unwrap();
    assert!(first.as_f32().is_none(), "the file is as unaligned as it should be");
    let adapter = sentiment(runtimes[0].base()).bytes();
    let scores = runtimes.map(|runtime| {
        let task = runtime.load_bytes(&adapter, "memory").unwrap();
        bits(&runtime.predict_as(task, &input()).unwrap())
    });
    assert!(scores.iter().all(|found| *found == scores[0]), "{scores:?}");
}

#[test]
fn a_task_owns_what_its_adapter_brought() {
    let runtime = open(&Weights::bert(TINY, 1).folder(Dtype::F32));
    let base = Task::of_base(runtime.network());
    assert_eq!((base.name(), base.labels().len(), base.digest()), ("base", 0, None));
    assert_eq!((base.own_layers().count(), base.own_bytes()), (0, 0));

    let adapter = sentiment(runtime.base());
    let task = runtime.load_bytes(&adapter.bytes(), "memory").unwrap();
    let layout = runtime.network().layout();
    let own: Vec<&str> = task.own_layers().map(|id| layout.layer(id).name.as_str()).collect();
    let expected = [
        "embeddings.word_embeddings",
        "encoder.layer.0.attention.self.query",
        "encoder.layer.1.output.dense",
        "encoder.layer.1.output.LayerNorm",
        "classifier",
    ];
    assert_eq!(own, expected, "in network order");
    assert_eq!(task.own_bytes(), adapter.tensors.iter().map(|piece| 4 * piece.values.len()).sum::<usize>());
    assert_eq!((task.name(), task.labels()), ("sentiment", LABELS.map(str::to_owned).as_slice()));
    let checksum = adapter.bytes().split_last_chunk::<32>().map(|(_, checksum)| *checksum);
    assert_eq!(task.digest().map(|digest| *digest.as_bytes()), checksum);
}

#[test]
fn a_switch_changes_the_task_and_gives_the_one_before() {
    let runtime = open(&Weights::bert(TINY, 1).folder(Dtype::F32));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sentiment.taps");
    std::fs::write(&path, sentiment(runtime.base()).bytes()).unwrap();
    let task = runtime.load(&path).unwrap();
    assert!(Arc::ptr_eq(&runtime.pin(), runtime.base_task()), "loading does not switch");
    assert_eq!(runtime.current().name(), "base");

    let pinned = runtime.pin();
    assert!(Arc::ptr_eq(&runtime.switch(&task).unwrap(), runtime.base_task()));
    assert!(Arc::ptr_eq(&runtime.pin(), &task));
    assert_eq!((runtime.current().name(), pinned.name()), ("sentiment", "base"));
    let prediction = runtime.predict(&input()).unwrap();
    assert!(Arc::ptr_eq(prediction.task(), &task));

    assert!(Arc::ptr_eq(&runtime.switch(runtime.base_task()).unwrap(), &task));
    let again = runtime.predict_as(task.clone(), &input()).unwrap();
    assert_eq!(bits(&again), bits(&prediction), "by name, though the base is current");
    let error = runtime.predict(&input()).unwrap_err();
    assert!(matches!(&error, Error::NoHead { task } if task == "base"), "{error}");
    assert!(error.to_string().contains("task base has no classification head"), "{error}");

    let weak = Arc::downgrade(&task);
    drop((prediction, again, task));
    assert_eq!(weak.strong_count(), 0, "nothing holds a task that nobody uses");
}
