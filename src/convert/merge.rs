//! A plain checkpoint from a base and an adapter.

use std::borrow::Cow;
use std::path::Path;

use safetensors::{Dtype, View};

use super::Error;
use crate::base::{self, Base};
use crate::format::Adapter;
use crate::kernels::Workspace;
use crate::runtime::{self, Network, Part, Task, Weights, replace_by, write_atomically};
use crate::train::configuration;

/// A tensor of the file: of the base, in place, or merged.
struct Tensor<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes the weights of `adapter`'s task as a checkpoint at `path`: every tensor of the base under its own name, and the
/// head. What the adapter changes is f32, all else as the base has it. A path that ends in `.safetensors` is that file;
/// another is a folder with `model.safetensors`, `config.json` with the task's classes, and the base's tokenizer. Each file
/// is replaced whole.
///
/// # Errors
/// If the adapter does not belong to the base, or a file cannot be written.
pub fn merge(base: &Base, network: &impl Network, adapter: &Adapter<'_>, path: &Path) -> Result<(), Error> {
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        return merge_file(base, network, adapter, path);
    }
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Runtime(runtime::Error::Io { path, source })
    };
    std::fs::create_dir_all(path).map_err(io(path))?;
    merge_file(base, network, adapter, &path.join("model.safetensors"))?;
    let labels: Vec<String> = adapter.labels().map(str::to_owned).collect();
    let labels = if labels.is_empty() { network.layout().labels() } else { &labels };
    let config = configuration(base, network.architecture(), Some(labels));
    write_atomically(&path.join("config.json"), format!("{config:#}\n").as_bytes())?;
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"] {
        let from = base.folder().join(name);
        if from.is_file() {
            let bytes = std::fs::read(&from).map_err(io(&from))?;
            write_atomically(&path.join(name), &bytes)?;
        }
    }
    Ok(())
}

fn merge_file(base: &Base, network: &impl Network, adapter: &Adapter<'_>, path: &Path) -> Result<(), Error> {
    let task = Task::build(base, network, adapter, adapter.task())?;
    let (layout, workspace) = (network.layout(), Workspace::new(1));
    let mut tensors: Vec<(String, Tensor<'_>)> = Vec::new();
    for entry in adapter.entries() {
        let Some((id, part)) = layout.find(entry.name) else { continue };
        let Some(values) = task.param(id, part) else { continue };
        let bytes: Vec<u8> = values.floats(&workspace).iter().flat_map(|value| value.to_le_bytes()).collect();
        let shape = entry.shape.dims().iter().map(|&size| size as usize).collect();
        tensors.push((entry.name.to_owned(), Tensor { dtype: Dtype::F32, shape, bytes: bytes.into() }));
    }
    // A head of other classes replaces the base's as a whole.
    let replaced = |name: &str| {
        let head = layout.layer(layout.head());
        let is_head = Part::ALL.iter().any(|&part| head.param(part).is_some_and(|param| param.name == name));
        is_head && adapter.entry(&head.weight.name).is_some()
    };
    for tensor in base.tensors().filter(|tensor| adapter.entry(tensor.name).is_none() && !replaced(tensor.name)) {
        let bytes = Cow::Borrowed(tensor.bytes);
        let shape = tensor.shape.to_vec();
        tensors.push((tensor.name.to_owned(), Tensor { dtype: dtype(tensor.dtype)?, shape, bytes }));
    }
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
    let write = |at: &Path| safetensors::serialize_to_file(tensors, metadata, at).map_err(std::io::Error::other);
    Ok(replace_by(path, write)?)
}

fn dtype(dtype: base::Dtype) -> Result<Dtype, Error> {
    let name = dtype.name();
    serde_json::from_value(name.into()).map_err(|_| Error::Setting {
        name: "dtype of a tensor of the base",
        found: name.to_owned(),
        expected: "one that can be written",
    })
}
