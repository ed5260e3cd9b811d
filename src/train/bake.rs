//! A tuned task made into a base of its own.

use std::path::Path;

use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};

use super::Error;
use crate::base::Base;
use crate::files::write_atomically;
use crate::kernels::Workspace;
use crate::runtime::{self, LayerKind, Network, Part, Settings, Weights};

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
            let parts = match layer.kind {
                LayerKind::Head => network.layout().head_tensors(part, &values),
                _ => vec![(param.name.as_str(), param.shape.clone(), values.to_vec())],
            };
            for (name, shape, values) in parts {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                tensors.push((name, shape, bytes));
            }
        }
    }
    let mut views = Vec::new();
    for (name, shape, bytes) in &tensors {
        let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        views.push((*name, view.map_err(|error| Error::Bake { reason: error.to_string() })?));
    }
    let file = safetensors::serialize(views, None).map_err(|error| Error::Bake { reason: error.to_string() })?;
    Ok((file, configuration(base, network, labels)))
}

/// The `config.json` of a checkpoint of this network over `base` with other class names; without `labels` it has no head.
/// What names a head, as `architectures`, agrees with the one that is there; a base without a configuration gets one that
/// says how it was open.
pub fn configuration(base: &Base, network: &impl Network, labels: Option<&[String]>) -> Value {
    let mut config = base.config().cloned().unwrap_or_else(|| stated(network));
    let Some(fields) = config.as_object_mut() else { return config };
    // What told of the base's own head.
    ["id2label", "label2id", "label_names", "problem_type"].into_iter().for_each(|key| _ = fields.remove(key));
    if let Some(labels) = labels {
        let named = || labels.iter().enumerate();
        let names: Map<_, _> = named().map(|(class, label)| (class.to_string(), json!(label))).collect();
        let numbers: Map<_, _> = named().map(|(class, label)| (label.clone(), json!(class))).collect();
        fields.insert("id2label".to_owned(), Value::Object(names));
        fields.insert("label2id".to_owned(), Value::Object(numbers));
        if fields.contains_key("pretrained_cfg") {
            fields.insert("label_names".to_owned(), json!(labels));
        }
    }
    let count = json!(labels.map_or(0, <[String]>::len));
    let set_count = |fields: &mut Map<String, Value>| {
        let keys = ["num_classes", "num_labels", "_num_labels"];
        for key in keys.into_iter().filter(|key| fields.contains_key(*key)).collect::<Vec<_>>() {
            fields.insert(key.to_owned(), count.clone());
        }
    };
    set_count(fields);
    for section in ["model_args", "pretrained_cfg"] {
        if let Some(within) = fields.get_mut(section).and_then(Value::as_object_mut) {
            set_count(within);
            within.remove("label_names");
        }
    }
    if fields.contains_key("architectures") || fields.contains_key("model_type") {
        match network.checkpoint_class(labels.is_some()) {
            Some(class) => _ = fields.insert("architectures".to_owned(), json!([class])),
            None => _ = fields.remove("architectures"),
        }
    }
    config
}

/// A configuration that says what no tensor shows, under the names that are read. The size of images is not of it: a network
/// may be open at another than the one it was trained on.
fn stated(network: &impl Network) -> Value {
    let mut config = json!({ "architecture": network.architecture() });
    let numbers = |text: &str| text.split(',').map(|number| number.parse().ok()).collect::<Option<Vec<f64>>>();
    for setting in network.settings().iter() {
        let Some(values) = numbers(&setting.value) else { continue };
        let whole = |value: &f64| json!(*value as u64);
        match (setting.name.as_str(), &values[..]) {
            (Settings::ATTENTION_HEADS, [heads]) => {
                config["num_heads"] = whole(heads);
                config["num_attention_heads"] = whole(heads);
            }
            (Settings::NORM_EPS, [eps]) => {
                config["layer_norm_eps"] = json!(eps);
                config["batch_norm_eps"] = json!(eps);
            }
            (Settings::IMAGE_MEAN, mean) => config["image_mean"] = json!(mean),
            (Settings::IMAGE_STD, std) => config["image_std"] = json!(std),
            _ => {}
        }
    }
    if network.settings().get(Settings::PADDING) == Some("same") {
        config["padding"] = json!("tf_same");
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
