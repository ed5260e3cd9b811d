//! A tuned task made into a base of its own.

use std::path::Path;

use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};

use super::Error;
use crate::base::Base;
use crate::kernels::Workspace;
use crate::runtime::{self, LayerKind, Network, Part, Weights, write_atomically};

/// Writes the weights of a task of `base` as a base in a folder: `model.safetensors` in f32, and `config.json` as
/// that of `base` with `labels` as class names. Each file is replaced whole.
///
/// # Errors
/// If a file cannot be written.
pub fn bake(
    base: &Base,
    network: &impl Network,
    weights: &impl Weights,
    labels: &[String],
    folder: &Path,
) -> Result<(), Error> {
    let (file, config) = baked(base, network, weights, Some(labels))?;
    write(&file, &config, folder)
}

/// The bytes of `model.safetensors` and the configuration of a base with these weights; without `labels` it has no
/// head, and its tasks bring theirs.
pub(super) fn baked(
    base: &Base,
    network: &impl Network,
    weights: &impl Weights,
    labels: Option<&[String]>,
) -> Result<(Vec<u8>, Value), Error> {
    let workspace = Workspace::new(1);
    let mut tensors = Vec::new();
    let wanted = |kind| labels.is_some() || kind != LayerKind::Head;
    for (id, layer) in network.layout().layers().filter(|(_, layer)| wanted(layer.kind)) {
        for part in Part::ALL {
            let (Some(param), Some(weight)) = (layer.param(part), weights.param(id, part)) else { continue };
            let values = weight.floats(&workspace);
            let mut shape = param.shape.clone();
            if let [first, rest @ ..] = &mut shape[..] {
                // A head has as many classes as the task.
                *first = values.len() / rest.iter().product::<usize>().max(1);
            }
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((param.name.as_str(), shape, bytes));
        }
    }
    let mut views = Vec::new();
    for (name, shape, bytes) in &tensors {
        let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        views.push((*name, view.map_err(|error| Error::Bake { reason: error.to_string() })?));
    }
    let file = safetensors::serialize(views, None).map_err(|error| Error::Bake { reason: error.to_string() })?;
    Ok((file, configuration(base, network.architecture(), labels)))
}

/// The `config.json` of `base` with other class names; without `labels` it has no head.
pub fn configuration(base: &Base, architecture: &str, labels: Option<&[String]>) -> Value {
    let mut config = base.config().cloned().unwrap_or_else(|| json!({ "architecture": architecture }));
    if let Some(config) = config.as_object_mut() {
        let names = labels.map(|labels| {
            labels.iter().enumerate().map(|(class, label)| (class.to_string(), json!(label))).collect::<Map<_, _>>()
        });
        match names {
            Some(names) => _ = config.insert("id2label".to_owned(), Value::Object(names)),
            None => ["id2label", "label2id"].into_iter().for_each(|key| _ = config.remove(key)),
        }
        config.remove("label_names");
        if config.contains_key("num_classes") {
            config.insert("num_classes".to_owned(), json!(labels.map_or(0, <[String]>::len)));
        }
    }
    config
}

/// Writes a base to a folder, each file whole.
pub(super) fn write(file: &[u8], config: &Value, folder: &Path) -> Result<(), Error> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Runtime(runtime::Error::Io { path, source })
    };
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    write_atomically(&folder.join("model.safetensors"), file)?;
    let config = serde_json::to_string_pretty(config).map_err(|error| Error::Bake { reason: error.to_string() })?;
    write_atomically(&folder.join("config.json"), config.as_bytes())?;
    Ok(())
}
