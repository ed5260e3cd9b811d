//! An adapter from a LoRA as PEFT writes it: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! W̄ + s B A, with s = alpha / r, or alpha / √r with rsLoRA (arXiv 2106.09685, 2312.03732). The factors become those of a
//! low-rank delta as they are, s in the left one.

mod config;
mod fields;
mod pattern;

use std::path::Path;

use super::Error;
use super::made::{About, Made, file, summary};
use crate::base::{Base, TensorView};
use crate::files;
use crate::format::{Encoding, Role};
use crate::runtime::{Layer, LayerId, LayerKind, Layout, Network, Part, Settings};
use config::{Config, Head};

/// What a LoRA is made into.
#[derive(Clone, Copy, Debug)]
pub struct Lora<'a> {
    /// The folder that PEFT wrote.
    pub folder: &'a Path,
    /// Name of the task.
    pub task: &'a str,
    /// Class names of a head that it brings; without any they are the base's, or the numbers of the classes.
    pub labels: &'a [String],
    /// What the adapter is bound to beside the network's own settings, as the tokenizer.
    pub settings: &'a Settings,
}

/// Makes an adapter from a LoRA of the network of `base`.
///
/// # Errors
/// If the folder is not a LoRA of this network, or uses what has no counterpart here: DoRA, biases, embeddings, a base that
/// was changed as the LoRA was initialized, or a head that reads other features than the network gives.
pub fn import_lora(base: &Base, network: &impl Network, lora: &Lora<'_>) -> Result<Vec<u8>, Error> {
    let refuse = |reason: String| Error::Lora { path: lora.folder.to_owned(), reason };
    let config = Config::read(&lora.folder.join("adapter_config.json")).map_err(refuse)?;
    let weights = weights(lora.folder).map_err(refuse)?;
    let layout = network.layout();
    let pooling = network.settings().get(Settings::POOLING).map(str::to_owned);
    let (mut tensors, mut active) = (Vec::new(), Vec::new());
    let mut prefix = Prefix::default();
    for tensor in weights.tensors() {
        let name = tensor.name.strip_prefix("base_model.model.").unwrap_or(tensor.name);
        if let Some(module) = factor(name, "lora_B") {
            let other = tensor.name.replace(".lora_B.", ".lora_A.");
            let right = weights.find(&other).ok_or_else(|| refuse(format!("{} lacks {other}", tensor.name)))?;
            let id = prefix.find(layout, module).map_err(refuse)?;
            if active.contains(&id) {
                let layer = &layout.layer(id).name;
                return Err(refuse(format!("{}: the layer {layer} has factors by another name already", tensor.name)));
            }
            active.push(id);
            let factors = [tensor, weights.tensor(right)];
            tensors.push(low_rank(base, layout, id, factors, &config, module).map_err(refuse)?);
        } else if factor(name, "lora_A").is_some() {
            let other = tensor.name.replace(".lora_A.", ".lora_B.");
            if weights.find(&other).is_none() {
                return Err(refuse(format!("{} lacks {other}", tensor.name)));
            }
        } else {
            check_head(config.head(), pooling.as_deref(), name).map_err(refuse)?;
            tensors.push(whole(base, layout, tensor, name).map_err(refuse)?);
        }
    }
    if active.is_empty() {
        return Err(refuse("it has no factors lora_A and lora_B".to_owned()));
    }
    let labels = match classes(layout, &tensors).map_err(refuse)? {
        None => Vec::new(),
        Some(classes) => labels(lora.labels, layout, classes).map_err(refuse)?,
    };
    let settings = network.settings().and(lora.settings);
    let summary = summary(layout, active.len(), None);
    file(
        base,
        network,
        &About { task: lora.task, method: "lora", labels: &labels, settings: &settings, summary },
        tensors,
    )
}

/// The tensors of the folder.
fn weights(folder: &Path) -> Result<Base, String> {
    let path = folder.join("adapter_model.safetensors");
    if !path.is_file() && folder.join("adapter_model.bin").is_file() {
        return Err(
            "its factors are in adapter_model.bin, a pickle file, which can run code when it is read and is not \
                    opened: save it anew with safe_serialization=True"
                .to_owned(),
        );
    }
    let bytes = files::read(&path).map_err(|error| error.to_string())?;
    Base::from_bytes(&path, &bytes, None).map_err(|error| error.to_string())
}

/// The module of a factor's name.
fn factor<'n>(name: &'n str, which: &str) -> Option<&'n str> {
    let ends = [format!(".{which}.weight"), format!(".{which}.default.weight")];
    ends.iter().find_map(|end| name.strip_suffix(end.as_str()))
}

/// First parts of names that transformers gives a network within a larger one.
const WITHIN: [&str; 4] = ["bert.", "vit.", "deit.", "resnet."];

/// What modules have before the name of their layer, with `+`, or layers before that of their module, with `-`: the same
/// for all of them.
#[derive(Default)]
struct Prefix(Option<String>);

/// Names of the modules of a vision transformer since version 5 of transformers, and the names that its tensors have in
/// checkpoints all the same.
const RENAMED: [(&str, &str); 6] = [
    ("attention.q_proj", "attention.attention.query"),
    ("attention.k_proj", "attention.attention.key"),
    ("attention.v_proj", "attention.attention.value"),
    ("attention.o_proj", "attention.output.dense"),
    ("mlp.fc1", "intermediate.dense"),
    ("mlp.fc2", "output.dense"),
];

/// What a module of such a vision transformer is called in a checkpoint.
fn renamed(module: &str) -> Option<String> {
    let at = if module.starts_with("layers.") { 0 } else { module.find(".layers.")? + 1 };
    let (number, part) = module[at + "layers.".len()..].split_once('.')?;
    let (_, old) = RENAMED.iter().find(|(new, _)| *new == part)?;
    Some(format!("{}encoder.layer.{number}.{old}", &module[..at]))
}

impl Prefix {
    /// The layer of a module, whose name may have other first parts: `bert.encoder.layer.0…` for `encoder.layer.0…`, or the
    /// other way round.
    fn find(&mut self, layout: &Layout, module: &str) -> Result<LayerId, String> {
        let of = |longer: &str, shorter: &str| {
            let rest = longer.strip_suffix(shorter)?;
            (rest.is_empty() || rest.ends_with('.')).then(|| rest.to_owned())
        };
        let tapped = |layer: &Layer| layer.kind.is_tapped();
        let known = self.0.clone();
        let locate = |module: &str| {
            layout.layers().filter(|(_, layer)| tapped(layer)).find_map(|(id, layer)| {
                let more = of(module, &layer.name).map(|rest| format!("+{rest}"));
                let less = || of(&layer.name, module).filter(|rest| WITHIN.contains(&rest.as_str()));
                let prefix = more.or_else(|| less().map(|rest| format!("-{rest}")))?;
                known.as_ref().is_none_or(|known| *known == prefix).then_some((id, prefix))
            })
        };
        let found = locate(module).or_else(|| locate(&renamed(module)?));
        let Some((id, prefix)) = found else {
            return Err(match module.ends_with("pooler.dense") {
                true => {
                    format!("{module}: the base is open without its pooler: open it with the pooling of the pooler")
                }
                false => format!("the base has no layer {module}"),
            });
        };
        if layout.layer(id).kind == LayerKind::Depthwise {
            return Err(format!("{module}: factors of a depthwise convolution are no delta of its weight"));
        }
        self.0.get_or_insert(prefix);
        Ok(id)
    }
}

/// A delta of low rank from B, `[out, r]`, and A, `[r, in]`; of convolutions `[out, r, 1, 1]` and `[r, in, kh, kw]`.
fn low_rank(
    base: &Base,
    layout: &Layout,
    id: LayerId,
    [left, right]: [TensorView<'_>; 2],
    config: &Config,
    module: &str,
) -> Result<Made, String> {
    let param = &layout.layer(id).weight;
    let (rows, width) = (param.shape[0], param.shape[1..].iter().product::<usize>());
    let rank = config.rank(module)?;
    let rank = usize::try_from(rank).ok().filter(|&rank| u32::try_from(rank).is_ok());
    let rank = rank.ok_or_else(|| format!("{module}: a rank of {}", config.rank(module).unwrap_or(0)))?;
    if !left.dtype.is_weight() || !right.dtype.is_weight() {
        let odd = if left.dtype.is_weight() { &right } else { &left };
        return Err(format!("{} is {}, and factors are F32, F16 or BF16", odd.name, odd.dtype));
    }
    let mut shapes = [vec![rows, rank], vec![rank]];
    shapes[0].extend(param.shape.iter().skip(2).map(|_| 1));
    shapes[1].extend(&param.shape[1..]);
    for (tensor, shape) in [(&left, &shapes[0]), (&right, &shapes[1])] {
        if tensor.shape != shape {
            return Err(format!(
                "{}: a factor of {:?}, and rank and layer make it {shape:?}",
                tensor.name, tensor.shape
            ));
        }
        if let Some(value) = tensor.to_vec().iter().find(|value| !value.is_finite()) {
            return Err(format!("{}: a value is {value}", tensor.name));
        }
    }
    let most = rows.min(width);
    if rank > 4 * most {
        return Err(format!("{module}: a rank of {rank}, where the layer's matrix has at most {most}"));
    }
    let scale = config.scale(module)?;
    let mut numbers: Vec<f32> = left.to_vec().into_iter().map(|value| value * scale).collect();
    numbers.extend(right.to_vec());
    let largest = |values: &[f32]| values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let (left_values, right_values) = numbers.split_at(rows * rank);
    if !(largest(left_values) * largest(right_values) * rank as f32).is_finite() {
        return Err(format!("{} times the other factor and {scale} is too large for f32", left.name));
    }
    if rank <= most {
        let mut made = Made::new(base, param, Role::Delta, None, numbers).map_err(|error| error.to_string())?;
        made.encoding = Encoding::LowRank { rank: rank as u32, half: false };
        return Ok(made);
    }
    // More than a matrix can have: its product takes fewer bytes.
    let (left, right) = numbers.split_at(rows * rank);
    let mut product = vec![0.0; rows * width];
    for (out, factors) in product.chunks_exact_mut(width).zip(left.chunks_exact(rank)) {
        for (&factor, line) in factors.iter().zip(right.chunks_exact(width)) {
            out.iter_mut().zip(line).for_each(|(out, value)| *out += factor * value);
        }
    }
    Made::new(base, param, Role::Delta, None, product).map_err(|error| error.to_string())
}

/// Refuses a head that reads other features than the network gives.
fn check_head(head: Head, pooling: Option<&str>, name: &str) -> Result<(), String> {
    match (head, pooling) {
        (Head::OfTokens, _) => Err(format!("{name}: its head classifies tokens, and heads here classify sequences")),
        (Head::OfSequences, Some(pooling)) if pooling != "pooler" => Err(format!(
            "{name}: its head reads the output of the pooler, and the base is open with {pooling} pooling: open it with \
             the pooling of the pooler"
        )),
        _ => Ok(()),
    }
}

/// A tensor that was trained whole: of the head.
fn whole(base: &Base, layout: &Layout, tensor: TensorView<'_>, name: &str) -> Result<Made, String> {
    let end = if name.ends_with(".bias") { Part::Bias } else { Part::Weight };
    let head = layout.layer(layout.head());
    let module = name.rsplit_once('.').map_or("", |(module, _)| module);
    let module = module.trim_end_matches(".modules_to_save.default").trim_end_matches(".modules_to_save");
    let is_head = module == head.name || module.ends_with(&format!(".{}", head.name));
    let param = head.param(end).filter(|_| is_head && (name.ends_with(".weight") || end == Part::Bias));
    let param = param.ok_or_else(|| format!("{name} is neither a factor nor of the head {}", head.name))?;
    if !tensor.dtype.is_weight() {
        return Err(format!("{name} is {}, and a head is F32, F16 or BF16", tensor.dtype));
    }
    let classes = tensor.shape.first().copied().filter(|&classes| classes > 0);
    let fits = tensor.shape.len() == param.shape.len() && tensor.shape[1..] == param.shape[1..];
    let (true, Some(classes)) = (fits, classes) else {
        return Err(format!("{name} has the shape {:?}, and features are {}", tensor.shape, layout.features()));
    };
    if let Some(value) = tensor.to_vec().iter().find(|value| !value.is_finite()) {
        return Err(format!("{name}: a value is {value}"));
    }
    Made::new(base, param, Role::Replacement, Some(classes), tensor.to_vec()).map_err(|error| error.to_string())
}

/// The classes of the head among the tensors, where there is one, which has to be whole.
fn classes(layout: &Layout, tensors: &[Made]) -> Result<Option<usize>, String> {
    let head = layout.layer(layout.head());
    let rows = |part| {
        let name = head.param(part).map(|param| param.name.as_str());
        let found: Vec<&Made> = tensors.iter().filter(|made| Some(made.name.as_str()) == name).collect();
        match found[..] {
            [] => Ok(None),
            [one] => Ok(one.shape.dims().first().map(|&rows| rows as usize)),
            _ => Err(format!("the head's {} is there twice", name.unwrap_or_default())),
        }
    };
    match (rows(Part::Weight)?, rows(Part::Bias)?) {
        (None, None) => Ok(None),
        (Some(weight), Some(bias)) if weight == bias => Ok(Some(weight)),
        (weight, bias) => {
            let count = |rows: Option<usize>| rows.map_or("none".to_owned(), |rows| rows.to_string());
            Err(format!("its head has {} rows of weights and {} biases", count(weight), count(bias)))
        }
    }
}

/// Names for so many classes.
fn labels(given: &[String], layout: &Layout, classes: usize) -> Result<Vec<String>, String> {
    let numbers: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let found = [given, layout.labels()].into_iter().find(|labels| !labels.is_empty()).unwrap_or(&numbers);
    match found.len() == classes {
        true => Ok(found.to_vec()),
        false => Err(format!("its head has {classes} classes, and there are {} labels", found.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_newer_vision_transformers_have_the_names_of_their_tensors() {
        let cases = [
            ("vit.layers.0.attention.q_proj", Some("vit.encoder.layer.0.attention.attention.query")),
            ("layers.11.attention.o_proj", Some("encoder.layer.11.attention.output.dense")),
            ("vit.layers.3.mlp.fc2", Some("vit.encoder.layer.3.output.dense")),
            ("vit.encoder.layer.0.attention.attention.query", None),
            ("blocks.0.mlp.fc1", None),
        ];
        for (module, expected) in cases {
            assert_eq!(renamed(module).as_deref(), expected, "{module}");
        }
    }
}
