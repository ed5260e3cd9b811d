//! A plain checkpoint from a base and an adapter.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, View};

use super::Error;
use crate::base::{self, Base};
use crate::files::{self, Output, write_atomically};
use crate::format::Adapter;
use crate::kernels::Workspace;
use crate::runtime::{self, Network, Part, Task, Weights};
use crate::train::configuration;

/// A tensor of the file: of the base, in place, or merged.
struct Tensor<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl Tensor<'static> {
    fn of(shape: Vec<usize>, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape, bytes: bytes.into() }
    }
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

/// Where [`merge`] writes: the file of the weights, and all files, in the order in which they are written. A path that ends
/// in `.safetensors` is one file.
pub fn merged_files(base: &Base, path: &Path) -> Vec<PathBuf> {
    if is_file(path) {
        return vec![path.to_owned()];
    }
    let names = ["model.safetensors", "config.json"].into_iter().chain(base.companions());
    names.map(|name| path.join(name)).collect()
}

fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "safetensors")
}

/// Writes the weights of `adapter`'s task as a checkpoint at `path`: every tensor of the base under its own name, and the
/// head. What the adapter changes is f32, all else as the base has it. A path that ends in `.safetensors` is that file;
/// another is a folder with `model.safetensors`, `config.json` with the task's classes, and what lies beside the base and says
/// how inputs become numbers, as its tokenizer. Each file is replaced whole; what is in the folder and would make the
/// checkpoint another one, as the index of earlier shards, is removed, and returned.
///
/// # Errors
/// If the adapter does not belong to the base, a sum is not finite, or a file cannot be written.
pub fn merge(base: &Base, network: &impl Network, adapter: &Adapter<'_>, path: &Path) -> Result<Vec<PathBuf>, Error> {
    if is_file(path) {
        merge_file(base, network, adapter, path)?;
        return Ok(Vec::new());
    }
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Runtime(runtime::Error::Io { path, source })
    };
    std::fs::create_dir_all(path).map_err(io(path))?;
    let labels: Vec<String> = adapter.labels().map(str::to_owned).collect();
    let labels = if labels.is_empty() { network.layout().labels() } else { &labels };
    let config = configuration(base, network, Some(labels).filter(|labels| !labels.is_empty()));
    // Read before anything is written: the folder may be that of the base.
    let mut beside: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for name in base.companions() {
        beside.insert(name, files::read(&base.folder().join(name))?);
    }
    for (name, json) in network.checkpoint_files() {
        match json {
            Some(json) => beside.insert(name, format!("{json:#}\n").into_bytes()),
            None => beside.remove(name),
        };
    }
    merge_file(base, network, adapter, &path.join("model.safetensors"))?;
    write_atomically(&path.join("config.json"), format!("{config:#}\n").as_bytes())?;
    for (name, bytes) in &beside {
        let to = path.join(name);
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).map_err(io(folder))?;
        }
        write_atomically(&to, bytes)?;
    }
    let mut removed = Vec::new();
    for name in
        Base::companion_names().chain(["model.safetensors.index.json"]).filter(|name| !beside.contains_key(name))
    {
        let stale = path.join(name);
        if stale.is_file() {
            std::fs::remove_file(&stale).map_err(io(&stale))?;
            removed.push(stale);
        }
    }
    Ok(removed)
}

fn merge_file(base: &Base, network: &impl Network, adapter: &Adapter<'_>, path: &Path) -> Result<(), Error> {
    let task = Task::build(network, adapter, adapter.task())?;
    let (layout, workspace) = (network.layout(), Workspace::new(1));
    let mut tensors: Vec<(String, Tensor<'_>)> = Vec::new();
    for entry in adapter.entries() {
        let Some((id, part)) = layout.find(entry.name) else { continue };
        let Some(values) = task.param(id, part) else { continue };
        let values = values.floats(&workspace);
        if id == layout.head() {
            let own = layout.head_tensors(part, &values).into_iter();
            tensors.extend(own.map(|(name, shape, values)| (name.to_owned(), Tensor::of(shape, &values))));
            continue;
        }
        let shape = entry.shape.dims().iter().map(|&size| size as usize).collect();
        tensors.push((entry.name.to_owned(), Tensor::of(shape, &values)));
    }
    // A head of other classes replaces the base's as a whole.
    let head = layout.layer(layout.head());
    let of_head: Vec<&str> = Part::ALL
        .iter()
        .filter_map(|&part| head.param(part))
        .chain(layout.mean_of().iter().flatten())
        .map(|param| param.name.as_str())
        .collect();
    let replaced = |name: &str| of_head.contains(&name) && adapter.entry(&head.weight.name).is_some();
    for tensor in base.tensors().filter(|tensor| adapter.entry(tensor.name).is_none() && !replaced(tensor.name)) {
        let bytes = Cow::Borrowed(tensor.bytes);
        let shape = tensor.shape.to_vec();
        tensors.push((tensor.name.to_owned(), Tensor { dtype: dtype(tensor.dtype)?, shape, bytes }));
    }
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
    let write = |at: &Path| safetensors::serialize_to_file(tensors, metadata, at).map_err(std::io::Error::other);
    Ok(Output::at(path)?.make_by(write)?)
}

fn dtype(dtype: base::Dtype) -> Result<Dtype, Error> {
    let name = dtype.name();
    serde_json::from_value(name.into()).map_err(|_| Error::Setting {
        name: "dtype of a tensor of the base",
        found: name.to_owned(),
        expected: "one that can be written",
    })
}
