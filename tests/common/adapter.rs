//! Adapters for the bases of `base.rs`, whose every part a test may set wrong before it writes them.

use taps::base::Base;
use taps::format::{Adapter, Digest, Draft, Encoding, Role, Shape, Summary, TensorDraft};
use taps::runtime::Settings;

use super::base::Numbers;

/// An adapter before it is a file.
#[derive(Clone)]
pub struct AdapterFile {
    pub task: String,
    pub architecture: String,
    pub base: Digest,
    pub labels: Vec<String>,
    pub settings: Settings,
    pub tensors: Vec<Piece>,
}

/// One of its tensors.
#[derive(Clone)]
pub struct Piece {
    pub name: String,
    pub role: Role,
    pub encoding: Encoding,
    pub shape: Vec<usize>,
    pub base: Option<Digest>,
    pub values: Vec<f32>,
}

impl AdapterFile {
    /// An adapter for `base` that changes nothing.
    pub fn new(base: &Base, task: &str) -> Self {
        let (task, architecture) = (task.to_owned(), "bert".to_owned());
        let (base, settings) = (base.fingerprint(), Settings::default());
        Self { task, architecture, base, labels: Vec::new(), settings, tensors: Vec::new() }
    }

    /// With a random delta on the base tensor `name`.
    pub fn delta(self, base: &Base, name: &str, encoding: Encoding, seed: u64) -> Self {
        self.piece(base, name, Role::Delta, encoding, seed)
    }

    /// With random values for the base tensor `name`.
    pub fn replacement(self, base: &Base, name: &str, seed: u64) -> Self {
        self.piece(base, name, Role::Replacement, Encoding::F32, seed)
    }

    fn piece(mut self, base: &Base, name: &str, role: Role, encoding: Encoding, seed: u64) -> Self {
        let id = base.find(name).unwrap_or_else(|| panic!("no tensor {name}"));
        let view = base.tensor(id);
        let values = Numbers(seed).take(view.elements(), 0.3);
        let (name, shape, base) = (name.to_owned(), view.shape.to_vec(), Some(base.digest(id)));
        self.tensors.push(Piece { name, role, encoding, shape, base, values });
        self
    }

    /// With a random head for these labels over `features` features.
    pub fn head(mut self, features: usize, labels: &[&str], seed: u64) -> Self {
        self.labels = labels.iter().map(|&label| label.to_owned()).collect();
        let mut numbers = Numbers(seed);
        for (name, shape) in
            [("classifier.weight", vec![labels.len(), features]), ("classifier.bias", vec![labels.len()])]
        {
            let values = numbers.take(shape.iter().product(), 1.0);
            let (role, encoding) = (Role::Replacement, Encoding::F32);
            self.tensors.push(Piece { name: name.to_owned(), role, encoding, shape, base: None, values });
        }
        self
    }

    /// The tensor of this name, to change it.
    pub fn tensor(&mut self, name: &str) -> &mut Piece {
        self.tensors.iter_mut().find(|piece| piece.name == name).unwrap()
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut pieces: Vec<&Piece> = self.tensors.iter().collect();
        pieces.sort_by(|a, b| a.name.cmp(&b.name));
        let shape = |sizes: &[usize]| Shape::new(&sizes.iter().map(|&size| size as u32).collect::<Vec<_>>()).unwrap();
        let tensors = pieces.into_iter().map(|piece| TensorDraft {
            name: &piece.name,
            role: piece.role,
            encoding: piece.encoding,
            shape: shape(&piece.shape),
            base: piece.base,
            values: &piece.values,
        });
        let tensors: Vec<TensorDraft> = tensors.collect();
        let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        let draft = Draft {
            task: &self.task,
            architecture: &self.architecture,
            method: "taps",
            base: self.base,
            content: Digest::of(b"not looked at"),
            summary: Summary::default(),
            labels: &labels,
            settings: &self.settings.drafts(),
            tensors: &tensors,
        };
        let mut file = vec![0; draft.encoded_len().unwrap()];
        draft.encode(&mut file).unwrap();
        file
    }
}

/// Writes `bytes` over the payload of `tensor`, from byte `at` on, and makes the checksum hold again.
pub fn patch(file: &mut [u8], tensor: &str, at: usize, bytes: &[u8]) {
    let payload = Adapter::parse(file).unwrap().entry(tensor).unwrap().payload.as_ptr() as usize;
    let start = payload - file.as_ptr() as usize + at;
    file[start..start + bytes.len()].copy_from_slice(bytes);
    let (body, checksum) = file.split_last_chunk_mut::<32>().unwrap();
    *checksum = *blake3::hash(body).as_bytes();
}
