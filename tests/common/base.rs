//! BERT-like bases on disk, written by the safetensors library and not by this crate.

use std::collections::BTreeMap;
use std::fs::{File, write};
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use tempfile::TempDir;

/// The sizes of a BERT-like network with four attention heads.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub vocab: usize,
    pub hidden: usize,
    pub inner: usize,
    pub layers: usize,
    pub positions: usize,
}

pub const TINY: Sizes = Sizes { vocab: 40, hidden: 16, inner: 32, layers: 2, positions: 12 };

impl Sizes {
    /// A vocabulary that makes the base about as large as `bytes`.
    pub fn filled_to(self, bytes: usize) -> Self {
        let without = Self { vocab: 0, ..self }.bytes();
        Self { vocab: bytes.saturating_sub(without) / (4 * self.hidden) + 1, ..self }
    }

    /// Bytes of all tensors as f32.
    pub fn bytes(&self) -> usize {
        self.tensors().iter().map(|(_, shape)| 4 * shape.iter().product::<usize>()).sum()
    }

    pub fn config(&self, labels: &[String]) -> String {
        let Self { vocab, hidden, inner, layers, positions } = self;
        let labels: Vec<String> = labels.iter().enumerate().map(|(n, label)| format!(r#""{n}":"{label}""#)).collect();
        let labels = if labels.is_empty() { String::new() } else { format!(r#","id2label":{{{}}}"#, labels.join(",")) };
        format!(
            r#"{{"model_type":"bert","hidden_act":"gelu","vocab_size":{vocab},"hidden_size":{hidden},
            "intermediate_size":{inner},"num_hidden_layers":{layers},"num_attention_heads":4,
            "max_position_embeddings":{positions},"type_vocab_size":2,"layer_norm_eps":1e-12{labels}}}"#
        )
    }

    /// Names and shapes of all tensors.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, inner) = (self.hidden, self.inner);
        let mut tensors = Vec::new();
        for (table, rows) in [("word", self.vocab), ("position", self.positions), ("token_type", 2)] {
            tensors.push((format!("embeddings.{table}_embeddings.weight"), vec![rows, hidden]));
        }
        let mut layer = |name: String, shape: &[usize]| {
            tensors.push((format!("{name}.weight"), shape.to_vec()));
            tensors.push((format!("{name}.bias"), shape[..1].to_vec()));
        };
        layer("embeddings.LayerNorm".to_owned(), &[hidden]);
        for number in 0..self.layers {
            let mut layer = |name: &str, shape: &[usize]| layer(format!("encoder.layer.{number}.{name}"), shape);
            for square in
                ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
            {
                layer(square, &[hidden, hidden]);
            }
            layer("attention.output.LayerNorm", &[hidden]);
            layer("intermediate.dense", &[inner, hidden]);
            layer("output.dense", &[hidden, inner]);
            layer("output.LayerNorm", &[hidden]);
        }
        tensors
    }

    /// Writes a base of zeros that takes no room on disk: a header, and data that was never written.
    pub fn write_sparse(&self, folder: &Path) {
        write(folder.join("config.json"), self.config(&[])).unwrap();
        let mut end = 0;
        let entry = |(name, shape): &(String, Vec<usize>)| {
            let start = end;
            end += 4 * shape.iter().product::<usize>();
            format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
        };
        let header = format!("{{{}}}", self.tensors().iter().map(entry).collect::<Vec<_>>().join(","));
        let mut file = File::create(folder.join("model.safetensors")).unwrap();
        let front = raw(&format!("{header:<0$}", header.len().next_multiple_of(8)), &[]);
        file.write_all(&front).unwrap();
        file.set_len((front.len() + end) as u64).unwrap();
    }
}

/// A safetensors file of this header and data, whatever they are.
pub fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Splitmix64 as floats.
pub struct Numbers(pub u64);

impl Numbers {
    /// `count` numbers between -`scale` and `scale`.
    pub fn take(&mut self, count: usize, scale: f32) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale
        };
        (0..count).map(|_| next()).collect()
    }
}

/// The weights of a base before they are on disk.
#[derive(Clone)]
pub struct Weights {
    pub sizes: Sizes,
    pub labels: Vec<String>,
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Weights {
    /// Random ones, without a head.
    pub fn bert(sizes: Sizes, seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let values = |(name, shape): (String, Vec<usize>)| {
            let scale = if shape.len() == 2 { 2.0 / (shape[1] as f32).sqrt() } else { 0.2 };
            let mut values = numbers.take(shape.iter().product(), scale);
            if name.ends_with("LayerNorm.weight") {
                values.iter_mut().for_each(|value| *value += 1.0);
            }
            (name, (shape, values))
        };
        Self { sizes, labels: Vec::new(), tensors: sizes.tensors().into_iter().map(values).collect() }
    }

    pub fn put(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.tensors.insert(name.to_owned(), (shape.to_vec(), values.to_vec()));
    }

    pub fn add(&mut self, name: &str, delta: &[f32]) {
        let (_, values) = self.tensors.get_mut(name).unwrap();
        values.iter_mut().zip(delta).for_each(|(value, delta)| *value += delta);
    }

    /// The same, rounded to what `dtype` holds.
    pub fn rounded(&self, dtype: Dtype) -> Self {
        let mut rounded = self.clone();
        for (_, values) in rounded.tensors.values_mut() {
            values.iter_mut().for_each(|value| *value = round(dtype, *value));
        }
        rounded
    }

    /// A folder in Hugging Face layout.
    pub fn folder(&self, dtype: Dtype) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        self.write_folder(folder.path(), dtype);
        folder
    }

    pub fn write_folder(&self, folder: &Path, dtype: Dtype) {
        write(folder.join("config.json"), self.sizes.config(&self.labels)).unwrap();
        self.write(&folder.join("model.safetensors"), dtype, |_| true);
    }

    /// The same folder with the tensors dealt out to `count` files.
    pub fn shards(&self, count: usize) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("config.json"), self.sizes.config(&self.labels)).unwrap();
        let file = |tensor: usize| format!("model-{:05}-of-{count:05}.safetensors", tensor % count + 1);
        for shard in 0..count {
            let holds = |tensor| tensor % count == shard;
            self.write(&folder.path().join(file(shard)), Dtype::F32, holds);
        }
        let entry = |(number, name): (usize, &String)| format!(r#""{name}":"{}""#, file(number));
        let map: Vec<String> = self.tensors.keys().enumerate().map(entry).collect();
        let index = format!(r#"{{"metadata":{{}},"weight_map":{{{}}}}}"#, map.join(","));
        write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        folder
    }

    /// Those of the tensors, numbered by name, that the file `holds`.
    pub fn write(&self, path: &Path, dtype: Dtype, holds: impl Fn(usize) -> bool) {
        let chosen = self.tensors.iter().enumerate().filter(|(number, _)| holds(*number));
        let bytes: Vec<_> = chosen.map(|(_, (name, (shape, values)))| (name, shape, encode(dtype, values))).collect();
        let views = bytes
            .iter()
            .map(|(name, shape, bytes)| (name.to_string(), TensorView::new(dtype, shape.to_vec(), bytes).unwrap()));
        serialize_to_file(views, None, path).unwrap();
    }
}

fn round(dtype: Dtype, value: f32) -> f32 {
    match dtype {
        Dtype::F16 => half::f16::from_f32(value).to_f32(),
        Dtype::BF16 => half::bf16::from_f32(value).to_f32(),
        _ => value,
    }
}

fn encode(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    match dtype {
        Dtype::F16 => values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|&value| half::bf16::from_f32(value).to_le_bytes()).collect(),
        Dtype::I32 => values.iter().flat_map(|&value| (value as i32).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}
