//! Drafts that own what they borrow, and those that the golden files hold.

use taps::format::{Digest, Draft, Encoding, Entry, Role, Setting, Shape, Summary, TensorDraft};

/// A tensor that owns what a draft borrows.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub role: Role,
    pub encoding: Encoding,
    pub shape: Shape,
    pub base: Option<Digest>,
    pub values: Vec<f32>,
}

impl Tensor {
    pub fn new(name: &str, role: Role, encoding: Encoding, dims: &[u32], values: Vec<f32>) -> Tensor {
        let base = (role != Role::Replacement).then(|| Digest::of(name.as_bytes()));
        Tensor { name: name.into(), role, encoding, shape: Shape::new(dims).unwrap(), base, values }
    }
}

/// An adapter that owns what a draft borrows.
#[derive(Clone, Debug)]
pub struct Model {
    pub task: String,
    pub architecture: String,
    pub method: String,
    pub summary: Summary,
    pub labels: Vec<String>,
    /// Names, whether they are required, and values.
    pub settings: Vec<(String, bool, String)>,
    pub tensors: Vec<Tensor>,
}

impl Model {
    pub fn encode(&self) -> Vec<u8> {
        let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        let tensors: Vec<_> = self.tensors.iter().map(borrow).collect();
        let settings: Vec<Setting<'_>> =
            self.settings.iter().map(|(name, required, value)| Setting { name, required: *required, value }).collect();
        let draft = Draft {
            task: &self.task,
            architecture: &self.architecture,
            method: &self.method,
            base: Digest::of(b"base"),
            content: Digest::of(b"content"),
            summary: self.summary,
            labels: &labels,
            settings: &settings,
            tensors: &tensors,
        };
        encode(&draft)
    }
}

pub fn borrow(tensor: &Tensor) -> TensorDraft<'_> {
    let Tensor { name, role, encoding, shape, base, values } = tensor;
    TensorDraft { name, role: *role, encoding: *encoding, shape: shape.clone(), base: *base, values }
}

pub fn encode(draft: &Draft<'_>) -> Vec<u8> {
    let mut file = vec![0xaa; draft.encoded_len().unwrap()];
    assert_eq!(draft.encode(&mut file).unwrap(), file.len());
    file
}

pub fn decode(entry: &Entry<'_>) -> Vec<f32> {
    let mut values = vec![f32::NAN; entry.elements()];
    entry.decode_into(&mut values).unwrap();
    values
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

pub fn minimal() -> Model {
    Model {
        task: "t".into(),
        architecture: "a".into(),
        method: "m".into(),
        summary: Summary::default(),
        labels: vec![],
        settings: vec![],
        tensors: vec![],
    }
}

pub fn encodings() -> Model {
    let ramp = |n: u32, step: f32| (0..n).map(|i| step * (i as f32 - 5.0)).collect();
    let tensors = vec![
        Tensor::new("conv.weight", Role::Delta, Encoding::Int8, &[3, 2, 2, 2], ramp(24, 0.375)),
        Tensor::new("empty.weight", Role::Delta, Encoding::Int8, &[2, 1], vec![0.0, -4.0]),
        Tensor::new("head.bias", Role::Replacement, Encoding::F32, &[3], vec![0.5, -0.0, 0.1]),
        Tensor::new("head.weight", Role::Replacement, Encoding::F16, &[3, 5], ramp(15, 0.125)),
        Tensor::new("norm.count", Role::Statistics, Encoding::F32, &[], vec![1024.0]),
        Tensor::new("norm.mean", Role::Statistics, Encoding::F32, &[16], ramp(16, 0.25)),
    ];
    let labels = ["cat", "dog", "neither"].map(String::from).to_vec();
    Model { task: "pets".into(), architecture: "resnet".into(), method: "taps".into(), labels, tensors, ..minimal() }
}

/// Every encoding of version 2.
pub fn small() -> Model {
    let wave = |n: u32| (0..n).map(|at| ((at * 37 % 101) as f32 - 50.0) * 0.01).collect::<Vec<f32>>();
    let delta = |name, encoding, dims: &[u32], values| Tensor::new(name, Role::Delta, encoding, dims, values);
    let tensors = vec![
        delta("a.int4", Encoding::Int4 { group: 4 }, &[3, 7], wave(21)),
        delta("b.int4", Encoding::INT4, &[2, 2, 20], wave(80)),
        delta("bb.int4", Encoding::INT4, &[45], wave(45)),
        delta("c.one-bit", Encoding::OneBit, &[2, 11], [wave(11), vec![0.0; 11]].concat()),
        delta("d.low-rank", Encoding::LowRank { rank: 2, half: false }, &[3, 2, 2], wave(14)),
        delta("e.low-rank", Encoding::LowRank { rank: 1, half: true }, &[2, 70], wave(72)),
        delta("f.sparse", Encoding::sparse(&wave(300), 9), &[300], wave(300)),
        delta("g.sparse", Encoding::sparse(&[0.0; 6], 3), &[2, 3], vec![0.0; 6]),
        Tensor::new("head.weight", Role::Replacement, Encoding::Int8, &[2, 3], wave(6)),
    ];
    Model { task: "small".into(), architecture: "bert".into(), method: "taps".into(), tensors, ..minimal() }
}

/// Settings of both kinds, with encodings of version 1 alone.
pub fn settings() -> Model {
    let setting = |name: &str, required, value: &str| (name.to_owned(), required, value.to_owned());
    Model {
        task: "settings".into(),
        settings: vec![
            setting("image_mean", true, "0.485,0.456,0.406"),
            setting("image_size", true, "96x96"),
            setting("note", false, "Gefühl – \"x\\y\""),
            setting("z".repeat(255).as_str(), true, "v".repeat(255).as_str()),
        ],
        ..encodings()
    }
}

pub fn extremes() -> Model {
    let wave = (0..300).map(|i| (i % 37) as f32 * 0.5 - 9.0).collect();
    Model {
        task: "Gefühl – 感情 \"x\\y\" 🙂".into(),
        architecture: "a".repeat(255),
        method: "full".into(),
        summary: Summary {
            lambda: -0.25,
            tau: 0.001,
            max_active_layers: Some(u32::MAX),
            active_layers: 127,
            layers: 128,
            steps: 16_384,
            examples: 2_097_151,
            seed: u64::MAX,
            validation: Some(0.9),
        },
        labels: vec!["é".into(), "e\u{301}".into(), "é".into(), " ".into()],
        settings: vec![],
        tensors: vec![
            Tensor::new("Z", Role::Replacement, Encoding::F16, &[1, 2, 3, 1, 10, 5], wave),
            Tensor::new("a", Role::Replacement, Encoding::F32, &[1], vec![0.0]),
            Tensor::new("é", Role::Delta, Encoding::Int8, &[1, 200], vec![1.0; 200]),
        ],
    }
}
