//! What each encoding makes of one adapter: bytes beside those of its payloads, and the speed of writing and reading.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use taps::format::{Adapter, Digest, Draft, Encoding, Role, Shape, Summary, TensorDraft};

const ENCODINGS: [(&str, Encoding); 3] = [("f32", Encoding::F32), ("f16", Encoding::F16), ("int8", Encoding::Int8)];
const LAYERS: [(&str, [u32; 2]); 4] = [
    ("encoder.layer.3.intermediate.dense.weight", [1536, 384]),
    ("encoder.layer.4.attention.self.query.weight", [384, 384]),
    ("encoder.layer.4.output.dense.weight", [384, 1536]),
    ("encoder.layer.5.intermediate.dense.weight", [1536, 384]),
];

/// Four deltas on layers of MiniLM's shape, with their biases as f32, and a head of 77 classes.
fn with_draft<R>(encoding: Encoding, work: impl FnOnce(&Draft, usize) -> R) -> R {
    let values: Vec<f32> = (0..1536 * 384_usize).map(|at| ((at * 7919) % 1009) as f32 / 1009.0 - 0.5).collect();
    let biases = LAYERS.map(|(name, _)| name.replace("weight", "bias"));
    let base = Digest::of(b"base");
    let tensor = |name, role, encoding, dims: &[u32]| {
        let shape = Shape::new(dims).unwrap();
        let count = shape.elements().unwrap() as usize;
        let base = (role == Role::Delta).then_some(base);
        TensorDraft { name, role, encoding, shape, base, values: &values[..count] }
    };
    let mut tensors = vec![
        tensor("classifier.bias", Role::Replacement, Encoding::F32, &[77]),
        tensor("classifier.weight", Role::Replacement, Encoding::F32, &[77, 384]),
    ];
    for ((name, shape), bias) in LAYERS.iter().zip(&biases) {
        tensors.push(tensor(bias, Role::Delta, Encoding::F32, &shape[..1]));
        tensors.push(tensor(name, Role::Delta, encoding, shape));
    }
    let payload = tensors.iter().map(|tensor| tensor.encoding.payload_len(&tensor.shape).unwrap() as usize).sum();
    let labels: Vec<String> = (0..77).map(|class| format!("intent number {class}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let draft = Draft {
        task: "banking",
        architecture: "bert",
        method: "taps",
        base,
        content: base,
        summary: Summary::default(),
        labels: &labels,
        settings: &[],
        tensors: &tensors,
    };
    work(&draft, payload)
}

fn encoded(draft: &Draft) -> Vec<u8> {
    let mut file = vec![0; draft.encoded_len().unwrap()];
    assert_eq!(draft.encode(&mut file).unwrap(), file.len());
    file
}

/// All values of a file into one slice after another.
fn decode(file: &[u8], out: &mut [f32]) {
    for entry in Adapter::parse(file).unwrap().entries() {
        entry.decode_into(&mut out[..entry.elements()]).unwrap();
    }
}

fn table() {
    println!("{:>8} {:>12} {:>12} {:>10} {:>10}", "encoding", "file", "payload", "overhead", "of f32");
    let whole = with_draft(Encoding::F32, |draft, _| encoded(draft).len());
    for (name, encoding) in ENCODINGS {
        with_draft(encoding, |draft, payload| {
            let file = encoded(draft).len();
            let (over, share) = ((file - payload) as f64 / payload as f64, file as f64 / whole as f64);
            println!("{name:>8} {file:>12} {payload:>12} {:>8.3} % {:>8.1} %", 100.0 * over, 100.0 * share);
        });
    }
}

fn throughput(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("file");
    for (name, encoding) in ENCODINGS {
        with_draft(encoding, |draft, _| {
            let mut file = encoded(draft);
            let mut out = vec![0.0; 1536 * 384];
            decode(&file, &mut out);
            let last = draft.tensors.last().unwrap();
            let error = out.iter().zip(last.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error <= 0.5 / 127.0, "the last tensor comes back: off by {error}");
            group.throughput(Throughput::Bytes(file.len() as u64));
            group.bench_function(format!("decode {name}"), |bench| bench.iter(|| decode(&file, &mut out)));
            group.bench_function(format!("check {name}"), |bench| bench.iter(|| Adapter::parse(&file).unwrap().len()));
            group.bench_function(format!("encode {name}"), |bench| bench.iter(|| draft.encode(&mut file).unwrap()));
        });
    }
    group.finish();
}

fn main() {
    table();
    let criterion = Criterion::default().warm_up_time(Duration::from_millis(300));
    let mut criterion = criterion.measurement_time(Duration::from_millis(1500)).sample_size(20).configure_from_args();
    throughput(&mut criterion);
    criterion.final_summary();
}
