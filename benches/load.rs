//! Opening a base, which should not depend on its size, and loading an adapter beside a plain read of its file.

#[path = "../tests/common/adapter.rs"]
#[allow(dead_code)]
mod adapter;
#[path = "../tests/common/base.rs"]
#[allow(dead_code)]
mod base;

use std::time::Duration;

use adapter::AdapterFile;
use base::{Sizes, Weights};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use safetensors::tensor::Dtype;
use taps::base::Base;
use taps::format::Encoding;
use taps::models::Model;
use taps::runtime::{Network, Runtime};

const SMALL: Sizes = Sizes { vocab: 1, hidden: 64, inner: 256, layers: 2, positions: 128 };
const MINI: Sizes = Sizes { vocab: 1, hidden: 384, inner: 1536, layers: 6, positions: 128 };

fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    for mebibytes in [1, 64, 1024] {
        let sizes = if mebibytes == 1 { SMALL } else { MINI }.filled_to(mebibytes << 20);
        let folder = tempfile::tempdir().unwrap();
        sizes.write_sparse(folder.path());
        let open = || {
            let base = Base::open(folder.path()).unwrap();
            let model = Model::open(&base).unwrap();
            (base, model)
        };
        let (base, model) = open();
        assert_eq!((base.bytes(), model.layout().len()), (sizes.bytes(), 5 + 8 * sizes.layers));
        group.bench_function(format!("base and network of {mebibytes} MiB"), |bench| bench.iter(open));
        if mebibytes < 1024 {
            let file = folder.path().join("model.safetensors");
            group.bench_function(format!("plain read of {mebibytes} MiB"), |bench| {
                bench.iter(|| std::fs::read(&file).unwrap())
            });
        }
    }
    group.finish();
}

fn load(criterion: &mut Criterion) {
    let folder = Weights::bert(MINI.filled_to(64 << 20), 1).folder(Dtype::F32);
    let open = || {
        let base = Base::open(folder.path()).unwrap();
        let model = Model::open(&base).unwrap();
        Runtime::new(model)
    };
    let runtime = open();
    let mut file = AdapterFile::new(runtime.base(), "task");
    for layer in ["4.intermediate.dense", "5.output.dense"] {
        file = file.delta(runtime.base(), &format!("encoder.layer.{layer}.weight"), Encoding::Int8, 1);
    }
    let file = file.head(MINI.hidden, &["a", "b", "c"], 1);
    let path = folder.path().join("task.taps");
    std::fs::write(&path, file.bytes()).unwrap();
    let task = runtime.load(&path).unwrap();
    assert_eq!(task.own_bytes(), file.tensors.iter().map(|piece| 4 * piece.values.len()).sum::<usize>());
    assert_eq!(task.own_layers().count(), 3);

    let mut group = criterion.benchmark_group(format!("load an adapter of {} bytes", file.bytes().len()));
    group.bench_function("first, which digests the base's layers", |bench| {
        bench.iter_batched(open, |runtime| (runtime.load(&path).unwrap(), runtime), BatchSize::PerIteration);
    });
    group.bench_function("again", |bench| bench.iter(|| runtime.load(&path).unwrap()));
    group.bench_function("plain read", |bench| bench.iter(|| std::fs::read(&path).unwrap()));
    let base = runtime.base();
    let layers: Vec<_> = file.tensors.iter().filter_map(|piece| base.find(&piece.name)).collect();
    group.bench_function("one pass over the layers it changes", |bench| {
        bench.iter(|| layers.iter().map(|&id| base.tensor(id).to_vec()).collect::<Vec<_>>())
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(20);
    targets = open, load
}
criterion_main!(benches);
