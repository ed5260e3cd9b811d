//! Vision transformers with a linear head (Dosovitskiy et al. 2020), DeiT among them (Touvron et al. 2020).
//!
//! Names as transformers' `ViTForImageClassification`, `DeiTForImageClassification` and their kin write them, or timm's
//! `VisionTransformer`. Pre-norm layers, GELU; the rows of a batch are the class token, a distillation token where
//! there is one, and the patches of each image in turn, `[images * (tokens + patches), hidden]`. At a resolution
//! other than the trained one the position table is interpolated.

use std::sync::Arc;

use super::config::Config;
use super::input::images;
use super::keys::{IMAGES, Keys, TIMM, TRANSFORMERS};
use super::processor::{Defaults, HALF, IMAGENET};
use super::{Error, InputSpec};
use crate::base::Base;
use crate::graph::{Backend, Graph, Output, Var};
use crate::kernels::{Heads, Interpolation, Segments};
use crate::runtime::{ImageSpec, Input, LayerId, LayerKind, Layout, LayoutBuilder, Network, Settings};

/// What `ViTConfig` and `DeiTConfig` read, and the constructor of timm's `VisionTransformer`.
pub(super) const KEYS: Keys = Keys {
    read: &[
        "global_pool",
        "head_dim",
        "hidden_size",
        "layer_norm_eps",
        "num_attention_heads",
        "num_channels",
        "num_heads",
        "num_hidden_layers",
    ],
    fixed: &[
        ("act_layer", &["null", "gelu"]),
        ("attn_layer", &["null", "", "attn"]),
        ("block_fn", &["null"]),
        ("class_token", &["true"]),
        ("dynamic_img_pad", &["false"]),
        ("embed_layer", &["null"]),
        ("embed_norm_layer", &["null"]),
        ("final_norm", &["true"]),
        ("hidden_act", &["gelu", "gelu_python"]),
        ("init_values", &["null"]),
        ("mlp_layer", &["null"]),
        ("no_embed_class", &["false"]),
        ("norm_layer", &["null", "layernorm", "layernormfp32"]),
        ("pool_include_prefix", &["false"]),
        ("pos_embed", &["learn"]),
        ("pre_norm", &["false"]),
        ("proj_bias", &["true"]),
        ("qk_norm", &["false"]),
        ("qkv_bias", &["true"]),
        ("reg_tokens", &["0"]),
        ("scale_attn_norm", &["false"]),
        ("scale_mlp_norm", &["false"]),
    ],
    harmless: &[
        "attention_probs_dropout_prob",
        "attn_drop_rate",
        // Sizes that are read off the tensors.
        "depth",
        "embed_dim",
        "intermediate_size",
        "mlp_ratio",
        "patch_size",
        // Whether there is one is seen by its tensors.
        "fc_norm",
        "dynamic_img_size",
        "encoder_stride",
        "fix_init",
        "hidden_dropout_prob",
        "patch_drop_rate",
        "pooler_act",
        "pooler_output_size",
        "pos_drop_rate",
        "proj_drop_rate",
        "strict_img_size",
        "weight_init",
    ],
};

/// Tensors that no classifier of images uses: what pre-training ends in, and poolers.
fn is_harmless(name: &str) -> bool {
    let within = name.strip_prefix("vit.").or_else(|| name.strip_prefix("deit.")).unwrap_or(name);
    ["embeddings.mask_token", "mask_token"].contains(&within)
        || ["pooler.dense.", "decoder.0.", "pre_logits.fc."].iter().any(|prefix| within.starts_with(prefix))
}

/// How tensors are called.
#[derive(Clone, Copy)]
enum Names {
    /// As transformers has them, with a prefix where the checkpoint is of a classifier.
    HuggingFace(&'static str),
    Timm,
}

impl Names {
    fn of(layers: &LayoutBuilder) -> Self {
        let projection = |prefix: &str| format!("{prefix}embeddings.patch_embeddings.projection.weight");
        let found = ["vit.", "deit.", ""].into_iter().find(|prefix| layers.shape(&projection(prefix)).is_some());
        found.map_or(Names::Timm, Names::HuggingFace)
    }

    fn embedding(self, name: &str, timm: &str) -> String {
        match self {
            Names::HuggingFace(prefix) => format!("{prefix}embeddings.{name}"),
            Names::Timm => timm.to_owned(),
        }
    }

    fn block(self, number: usize) -> String {
        match self {
            Names::HuggingFace(prefix) => format!("{prefix}encoder.layer.{number}"),
            Names::Timm => format!("blocks.{number}"),
        }
    }

    /// Norm, projection after attention, norm, and the two layers of the feed-forward part.
    fn parts(self) -> [&'static str; 5] {
        match self {
            Names::HuggingFace(_) => {
                ["layernorm_before", "attention.output.dense", "layernorm_after", "intermediate.dense", "output.dense"]
            }
            Names::Timm => ["norm1", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"],
        }
    }

    fn norm(self, pool: Pool) -> String {
        match (self, pool) {
            (Names::HuggingFace(prefix), _) => format!("{prefix}layernorm"),
            (Names::Timm, Pool::Mean) => "fc_norm".to_owned(),
            (Names::Timm, _) => "norm".to_owned(),
        }
    }

    fn head(self) -> &'static str {
        match self {
            Names::HuggingFace(_) => "classifier",
            Names::Timm => "head",
        }
    }

    /// The heads of a network that was distilled: over the class token and over that of distillation.
    fn heads(self) -> [&'static str; 2] {
        match self {
            Names::HuggingFace(_) => ["cls_classifier", "distillation_classifier"],
            Names::Timm => ["head", "head_dist"],
        }
    }
}

/// A vision transformer for image classification.
pub struct Vit {
    layout: Arc<Layout>,
    projection: LayerId,
    /// Tokens before the patches, the last first.
    tokens: Vec<LayerId>,
    positions: LayerId,
    resized: Option<Arc<Interpolation>>,
    blocks: Vec<Block>,
    norm: LayerId,
    pool: Pool,
    heads: Heads,
    eps: f32,
    patch: usize,
    images: ImageSpec,
    class: Option<&'static str>,
}

struct Block {
    before: LayerId,
    attend: Attend,
    attention: LayerId,
    after: LayerId,
    intermediate: LayerId,
    output: LayerId,
}

/// Where queries, keys and values come from.
enum Attend {
    Apart([LayerId; 3]),
    /// One layer whose outputs are all three.
    Fused(LayerId),
}

#[derive(Clone, Copy, PartialEq)]
enum Pool {
    /// The class token, normalized.
    Class,
    /// The class token and that of distillation, normalized, side by side.
    Both,
    /// The mean of the patches, normalized.
    Mean,
}

/// Heads of timm's networks that are not as many as a 64th of the width, by how the networks' names go on after `vit_`.
const SIXTEEN_HEADS: [&str; 4] = ["huge_", "giant_", "gigantic_", "so400m_"];

/// Mean and deviation of the channels with which timm's `bamboo` weights were trained.
const BAMBOO: [[f32; 3]; 2] = [[0.481_093_8, 0.457_524_58, 0.407_870_54], [1.0; 3]];

/// Patches of an image: each is compared with each other one, and more is a mistake or an attack.
const MAX_PATCHES: usize = 1 << 17;

/// What timm's networks of this name have and no file may state.
fn defaults(name: &str, hidden: usize, of_timm: bool) -> (usize, Defaults) {
    let (network, tag) = name.split_once('.').unwrap_or((name, ""));
    let wide = network.strip_prefix("vit_").is_some_and(|rest| SIXTEEN_HEADS.iter().any(|size| rest.starts_with(size)));
    let heads = if wide { 16 } else { (hidden / 64).max(1) };
    let normalization = match (network, tag) {
        _ if !of_timm => HALF,
        _ if network.starts_with("deit") => IMAGENET,
        (_, "dino" | "mae") => IMAGENET,
        (_, "bamboo") => BAMBOO,
        _ if network.ends_with("_miil") => [[0.0; 3], [1.0; 3]],
        _ => HALF,
    };
    let processor = if network == "deit" { "DeiTImageProcessor" } else { "ViTImageProcessor" };
    (heads, Defaults { size: [224; 2], normalization, processor })
}

impl Vit {
    /// Finds the layers of a base. `name` is that of the architecture as it is stated.
    ///
    /// # Errors
    /// If a size is missing from the configuration or a tensor from the base, or does not fit.
    pub(super) fn open(base: &Base, config: &Config, name: &str) -> Result<Self, Error> {
        let config = config.of_network(&[&TRANSFORMERS, &TIMM, &IMAGES, &KEYS])?;
        let mut layers = LayoutBuilder::new(base, "vit");
        let names = Names::of(&layers);
        let of_timm = matches!(names, Names::Timm);
        let projection = names.embedding("patch_embeddings.projection", "patch_embed.proj");
        let &[hidden, channels, patch, _] = layers.shape(&format!("{projection}.weight")).unwrap_or(&[0; 4]) else {
            return Err(config.mismatch("vit", "the patch projection is no convolution"));
        };
        if name.contains("quickgelu") {
            return Err(config.mismatch(name, "its activation is not implemented"));
        }
        let (default_heads, defaults) = defaults(name, hidden, of_timm);
        let heads = match of_timm {
            true => config.size_or("num_heads", config.size_or("num_attention_heads", default_heads)?)?,
            false if base.config().is_some() => config.size_or("num_attention_heads", 12)?,
            // Nothing says how many, and no tensor shows it.
            false => config.size("num_attention_heads")?,
        };
        if hidden % heads != 0 || config.size_or("hidden_size", hidden)? != hidden {
            return Err(config.wrong("num_attention_heads", "a divisor of the width of the base"));
        }
        if config.size_or("head_dim", hidden / heads)? != hidden / heads {
            return Err(config.wrong("head_dim", "the width of the base divided by its heads"));
        }
        let trained = config.height_and_width(&["image_size", "img_size", "input_size"])?.unwrap_or(defaults.size);
        let images = config.images(channels, &defaults)?;
        let size = [images.height, images.width];
        if patch == 0 || trained.iter().chain(&size).any(|side| side % patch != 0) {
            return Err(config.wrong("image_size", &format!("a multiple of the base's patches, {patch} pixels")));
        }
        let patches = size.iter().map(|side| side / patch).product::<usize>();
        if patches > MAX_PATCHES {
            let [height, width] = size;
            let problem =
                format!("{height}x{width} pixels are {patches} patches, and at most {MAX_PATCHES} are read at once");
            return Err(Error::Images { base: base.path().to_owned(), problem });
        }
        let table = |name: String, layers: &mut LayoutBuilder| layers.table(&name, &[1, 1, hidden]);
        let mut tokens = vec![table(names.embedding("cls_token", "cls_token"), &mut layers)?];
        let distillation = names.embedding("distillation_token", "dist_token");
        let is_distilled = layers.shape(&distillation).is_some();
        if is_distilled {
            tokens.insert(0, table(distillation, &mut layers)?);
        }
        // transformers' DeiT has a token of distillation and no use for it but in a class of its own.
        let has_both = is_distilled && (of_timm || layers.shape("distillation_classifier.weight").is_some());
        let pool = match config.text_or("global_pool", "token")? {
            "token" if has_both => Pool::Both,
            "token" => Pool::Class,
            "avg" if !is_distilled => Pool::Mean,
            _ => return Err(config.wrong("global_pool", "token or avg; nothing else is implemented")),
        };
        let grid = |size: [usize; 2]| size.map(|side| side / patch);
        let entries = grid(trained).iter().product::<usize>() + tokens.len();
        let positions = layers.table(&names.embedding("position_embeddings", "pos_embed"), &[1, entries, hidden])?;
        let resized = (size != trained).then(|| {
            let (skip, from, to) = (tokens.len(), grid(trained), grid(size));
            Arc::new(if of_timm {
                Interpolation::antialiased(skip, from, to)
            } else {
                Interpolation::bicubic(skip, from, to)
            })
        });
        let projection = layers.layer(LayerKind::Linear, &projection, &[hidden, channels, patch, patch], true)?;
        let mut blocks = Vec::new();
        for number in 0.. {
            let prefix = names.block(number);
            let [before, attention, after, inner, outer] = names.parts().map(|name| format!("{prefix}.{name}"));
            // A base without a block is an error that names the tensor it lacks.
            if number > 0 && layers.width(&before).is_none() {
                break;
            }
            let width = layers.width(&inner).unwrap_or(4 * hidden);
            let mut layer = |kind, name: &str, shape: &[usize]| layers.layer(kind, name, shape, true);
            let before = layer(LayerKind::Norm, &before, &[hidden])?;
            let attend = match names {
                Names::HuggingFace(_) => {
                    let mut one =
                        |name| layer(LayerKind::Linear, &format!("{prefix}.attention.attention.{name}"), &[hidden; 2]);
                    Attend::Apart([one("query")?, one("key")?, one("value")?])
                }
                Names::Timm => {
                    Attend::Fused(layer(LayerKind::Linear, &format!("{prefix}.attn.qkv"), &[3 * hidden, hidden])?)
                }
            };
            blocks.push(Block {
                before,
                attend,
                attention: layer(LayerKind::Linear, &attention, &[hidden; 2])?,
                after: layer(LayerKind::Norm, &after, &[hidden])?,
                intermediate: layer(LayerKind::Linear, &inner, &[width, hidden])?,
                output: layer(LayerKind::Linear, &outer, &[hidden, width])?,
            });
        }
        if config.size_or("num_hidden_layers", blocks.len())? != blocks.len() {
            return Err(config.wrong("num_hidden_layers", &format!("{}, as the tensors are", blocks.len())));
        }
        let norm = layers.layer(LayerKind::Norm, &names.norm(pool), &[hidden], true)?;
        let layout = match pool {
            Pool::Both => layers.mean_head(names.head(), &names.heads(), hidden, config.labels()?)?,
            Pool::Class | Pool::Mean => layers.head(names.head(), hidden, config.labels()?)?,
        };
        super::check_used(base, &layout, "vit", is_harmless)?;
        let (layout, eps) = (Arc::new(layout), config.eps("layer_norm_eps", if of_timm { 1e-6 } else { 1e-12 })?);
        let class = match (names, pool) {
            (Names::Timm, _) => None,
            (_, Pool::Both) => Some("DeiTForImageClassificationWithTeacher"),
            _ if is_distilled => Some("DeiTForImageClassification"),
            _ => Some("ViTForImageClassification"),
        };
        let heads = Heads { count: heads };
        Ok(Self {
            layout,
            projection,
            tokens,
            positions,
            resized,
            blocks,
            norm,
            pool,
            heads,
            eps,
            patch,
            images,
            class,
        })
    }

    /// What it reads.
    pub fn input(&self) -> InputSpec {
        InputSpec::Images(self.images.clone())
    }
}

impl Vit {
    /// Patches of an image.
    fn patches(&self) -> usize {
        (self.images.height / self.patch) * (self.images.width / self.patch)
    }

    /// The tokens of each image.
    fn segments(&self, input: &Input) -> Segments {
        Segments::uniform(input.len(), self.patches() + self.tokens.len())
    }
}

impl Network for Vit {
    fn architecture(&self) -> &str {
        "vit"
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn settings(&self) -> Settings {
        let pooling = match self.pool {
            Pool::Class => "class",
            Pool::Both => "class+distillation",
            Pool::Mean => "mean",
        };
        self.images
            .settings()
            .with(Settings::ATTENTION_HEADS, self.heads.count)
            .with(Settings::NORM_EPS, self.eps)
            .with(Settings::POOLING, pooling)
    }

    fn checkpoint_class(&self, _: bool) -> Option<&'static str> {
        self.class
    }

    fn stem<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        let images = images(&self.images, input)?;
        let mut each = self.patches();
        let x = graph.patches(images, self.patch)?;
        let mut h = graph.linear(&x, self.projection)?;
        for &token in &self.tokens {
            h = graph.prepend(&h, token, &Segments::uniform(images.batch, each))?;
            each += 1;
        }
        let positions: Vec<u32> = (0..images.batch).flat_map(|_| 0..each as u32).collect();
        match &self.resized {
            Some(map) => graph.gather_interpolated(self.positions, map, &positions, h),
            None => graph.gather(self.positions, &positions, Some(h)),
        }
    }

    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn block<B: Backend>(&self, graph: &mut Graph<'_, B>, index: usize, x: Var<B>, input: &Input) -> Output<B> {
        let (block, segments) = (&self.blocks[index], self.segments(input));
        let normed = graph.layer_norm(&x, block.before, self.eps)?;
        let context = match &block.attend {
            Attend::Apart(layers) => graph.self_attention(&normed, *layers, self.heads, &segments)?,
            Attend::Fused(layer) => {
                let all = graph.linear(&normed, *layer)?;
                let hidden = self.layout.layer(block.before).weight.elements();
                let mut part = |part| graph.columns(&all, part * hidden..(part + 1) * hidden);
                let (q, k, v) = (part(0)?, part(1)?, part(2)?);
                graph.attention(q, k, v, self.heads, &segments)?
            }
        };
        drop(normed);
        let attended = graph.linear(&context, block.attention)?;
        let h = graph.add(attended, &x)?;
        drop((context, x));
        let normed = graph.layer_norm(&h, block.after, self.eps)?;
        let out = graph.feed_forward(&normed, [block.intermediate, block.output])?;
        graph.add(out, &h)
    }

    fn tail<B: Backend>(&self, graph: &mut Graph<'_, B>, h: Var<B>, input: &Input) -> Output<B> {
        let segments = self.segments(input);
        match self.pool {
            Pool::Class => {
                let token = graph.rows_at(&h, &segments, 0)?;
                drop(h);
                graph.layer_norm(&token, self.norm, self.eps)
            }
            Pool::Both => {
                let tokens = [0, 1].map(|token| graph.rows_at(&h, &segments, token));
                drop(h);
                let [class, distillation] = tokens.map(|token| graph.layer_norm(&token?, self.norm, self.eps));
                graph.concat(&[&class?, &distillation?])
            }
            Pool::Mean => {
                let mean = graph.mean_rows(h, &segments, self.tokens.len())?;
                graph.layer_norm(&mean, self.norm, self.eps)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// tests/golden/keys/make_heads.py writes what timm says.
    #[test]
    fn a_name_of_timm_tells_heads_and_normalization() {
        let known: BTreeMap<String, (usize, usize, f32, usize)> =
            serde_json::from_str(include_str!("../../tests/golden/keys/heads.json")).unwrap();
        assert!(known.len() > 50);
        for (name, (hidden, heads, mean, _)) in known {
            let (found, defaults) = defaults(&name, hidden, true);
            assert_eq!(found, heads, "{name}");
            assert!((defaults.normalization[0][0] - mean).abs() < 1e-3, "{name}");
        }
    }
}
