//! An adapter from a LoRA as PEFT writes it: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! W̄ + s B A, with s = alpha / r, or alpha / √r with rsLoRA (arXiv 2106.09685, 2312.03732). The factors become those of a
//! low-rank delta as they are, s in the left one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::Error;
use super::made::{About, Made, file, summary};
use crate::base::{Base, TensorView};
use crate::format::{Encoding, Role};
use crate::runtime::{LayerId, LayerKind, Layout, Network, Part};

/// What `adapter_config.json` says that matters here.
#[derive(Deserialize)]
struct Config {
    peft_type: String,
    r: u32,
    lora_alpha: f32,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    rank_pattern: BTreeMap<String, u32>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f32>,
}

impl Config {
    /// The factor on B A for a module. A pattern is the end of its name.
    fn scale(&self, module: &str, rank: u32) -> f32 {
        let ends = |pattern: &str| module == pattern || module.ends_with(&format!(".{pattern}"));
        let alpha =
            self.alpha_pattern.iter().find(|(pattern, _)| ends(pattern)).map_or(self.lora_alpha, |found| *found.1);
        let stated = self.rank_pattern.iter().find(|(pattern, _)| ends(pattern)).map_or(self.r, |found| *found.1);
        let rank = if stated == 0 { rank } else { stated } as f32;
        alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }
}

/// Makes an adapter called `task` from the LoRA in `folder`. A head that it brings has `labels`; without any they are the
/// base's, or the numbers of the classes.
///
/// # Errors
/// If the folder is not a LoRA of this base's network, or uses what has no counterpart here: DoRA, biases, embeddings.
pub fn import_lora(
    base: &Base,
    network: &impl Network,
    folder: &Path,
    task: &str,
    labels: &[String],
) -> Result<Vec<u8>, Error> {
    let path = folder.join("adapter_config.json");
    let refuse = |reason: String| Error::Lora { path: folder.to_owned(), reason };
    let text = std::fs::read(&path).map_err(|error| refuse(format!("{}: {error}", path.display())))?;
    let config: Config =
        serde_json::from_slice(&text).map_err(|error| refuse(format!("adapter_config.json: {error}")))?;
    if config.peft_type != "LORA" {
        return Err(refuse(format!("peft_type is {}", config.peft_type)));
    }
    for (set, what) in [(config.use_dora, "DoRA"), (config.fan_in_fan_out, "fan_in_fan_out")] {
        if set {
            return Err(refuse(format!(
                "{what} has no counterpart in a delta of low rank: merge it into the model and \
                                       make an adapter with taps diff"
            )));
        }
    }
    let weights = Base::open_in_memory(folder.join("adapter_model.safetensors"))?;
    let layout = network.layout();
    let mut tensors = Vec::new();
    let mut active = 0;
    for left in weights.tensors() {
        let name = left.name.strip_prefix("base_model.model.").unwrap_or(left.name);
        if let Some(module) =
            name.strip_suffix(".lora_B.weight").or_else(|| name.strip_suffix(".lora_B.default.weight"))
        {
            let right = left.name.replace(".lora_B.", ".lora_A.");
            let right = weights.find(&right).ok_or_else(|| refuse(format!("{} lacks {right}", left.name)))?;
            let right = weights.tensor(right);
            let id = find(layout, module).ok_or_else(|| refuse(format!("the base has no layer {module}")))?;
            tensors.push(low_rank(base, layout, id, [left, right], |rank| config.scale(module, rank)).map_err(refuse)?);
            active += 1;
        } else if !name.contains(".lora_A.") {
            tensors.push(whole(base, layout, left, name).map_err(refuse)?);
        }
    }
    if active == 0 {
        return Err(refuse("it has no factors lora_A and lora_B".to_owned()));
    }
    let classes = tensors.iter().find(|made| made.role == Role::Replacement).and_then(|made| made.shape.dims().first());
    let labels = match classes {
        None => Vec::new(),
        Some(&classes) => {
            let of_base = layout.labels();
            let numbers: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
            let found = [labels, of_base].into_iter().find(|labels| !labels.is_empty()).unwrap_or(&numbers);
            if found.len() != classes as usize {
                return Err(refuse(format!("its head has {classes} classes, and there are {} labels", found.len())));
            }
            found.to_vec()
        }
    };
    let about = About { task, method: "lora", labels: &labels, summary: summary(layout, active, None) };
    file(base, network, &about, tensors)
}

/// The layer of a module, whose name may have other first parts: `bert.encoder.layer.0…` for `encoder.layer.0…`.
fn find(layout: &Layout, module: &str) -> Option<LayerId> {
    let mut rest = module;
    loop {
        let is_it = |&(_, layer): &(LayerId, &crate::runtime::Layer)| layer.name == rest && layer.kind.is_tapped();
        if let Some((id, _)) = layout.layers().find(is_it) {
            return Some(id);
        }
        rest = rest.split_once('.')?.1;
    }
}

/// A delta of low rank from B, `[out, r]`, and A, `[r, in]`; kernels of convolutions have more dimensions.
fn low_rank(
    base: &Base,
    layout: &Layout,
    id: LayerId,
    [left, right]: [TensorView<'_>; 2],
    scale: impl Fn(u32) -> f32,
) -> Result<Made, String> {
    let param = &layout.layer(id).weight;
    let (rows, width) = (param.shape[0], param.elements() / param.shape[0].max(1));
    let rank = right.shape.first().copied().unwrap_or(0);
    if !left.dtype.is_weight() || !right.dtype.is_weight() {
        return Err(format!("{} is {}", left.name, left.dtype));
    }
    if rank == 0 || left.elements() != rows * rank || right.elements() != rank * width {
        let (left_shape, right_shape) = (left.shape, right.shape);
        return Err(format!("{}: factors of {left_shape:?} and {right_shape:?} for {:?}", left.name, param.shape));
    }
    let scale = scale(rank as u32);
    let mut numbers: Vec<f32> = left.to_vec().into_iter().map(|value| value * scale).collect();
    numbers.extend(right.to_vec());
    let mut made = Made::new(base, param, Role::Delta, None, numbers).map_err(|error| error.to_string())?;
    made.encoding = Encoding::LowRank { rank: rank as u32, half: false };
    if rank <= rows.min(width) {
        return Ok(made);
    }
    // More than a matrix can have: its product takes fewer bytes.
    let (left, right) = made.numbers.split_at(rows * rank);
    let value = |at: usize| (0..rank).map(|k| left[at / width * rank + k] * right[k * width + at % width]).sum();
    (made.numbers, made.encoding) = ((0..rows * width).map(value).collect(), Encoding::F32);
    Ok(made)
}

/// A tensor that was trained whole: of the head.
fn whole(base: &Base, layout: &Layout, tensor: TensorView<'_>, name: &str) -> Result<Made, String> {
    let end = if name.ends_with(".bias") { Part::Bias } else { Part::Weight };
    let head = layout.layer(layout.head());
    let param = head.param(end).filter(|_| head.kind == LayerKind::Head);
    let module = name.rsplit_once('.').map_or("", |(module, _)| module);
    let module = module.trim_end_matches(".modules_to_save.default").trim_end_matches(".modules_to_save");
    let is_head = module == head.name || module.ends_with(&format!(".{}", head.name));
    let param = param.filter(|_| is_head && tensor.dtype.is_weight());
    let param = param.ok_or_else(|| format!("{name} is neither a factor nor of the head {}", head.name))?;
    let fits = tensor.shape.len() == param.shape.len() && tensor.shape[1..] == param.shape[1..];
    if !fits {
        return Err(format!("{name} has the shape {:?}, and features are {}", tensor.shape, layout.features()));
    }
    let classes = tensor.shape.first().copied();
    Made::new(base, param, Role::Replacement, classes, tensor.to_vec()).map_err(|error| error.to_string())
}
