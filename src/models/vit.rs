//! Vision transformers with a linear head (Dosovitskiy et al. 2020), DeiT among them (Touvron et al. 2020).
//!
//! Names as transformers' `ViTForImageClassification` and `DeiTForImageClassification` write them, or timm's
//! `VisionTransformer`. Pre-norm layers, GELU; the rows of a batch are the class token, a distillation token where
//! there is one, and the patches of each image in turn, `[images * (tokens + patches), hidden]`. At a resolution
//! other than the trained one the position table is interpolated.

use std::sync::Arc;

use super::config::Config;
use super::{Error, InputSpec};
use crate::base::Base;
use crate::kernels::{Heads, Interpolation, Segments};
use crate::runtime::{self, Input, LayerId, LayerKind, Layout, LayoutBuilder, Network, Ops};

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
    input: InputSpec,
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
    /// The mean of the patches, normalized.
    Mean,
}

impl Vit {
    /// Finds the layers of a base.
    ///
    /// # Errors
    /// If a size is missing from the configuration or a tensor from the base, or does not fit.
    pub(super) fn open(base: &Base, config: &Config) -> Result<Self, Error> {
        let mut layers = LayoutBuilder::new(base, "vit");
        let family = ["vit.", "deit."]
            .into_iter()
            .find(|family| layers.shape(&format!("{family}embeddings.patch_embeddings.projection.weight")).is_some());
        let embeddings =
            |name: &str, timm: &str| family.map_or(timm.to_owned(), |family| format!("{family}embeddings.{name}"));
        let projection = embeddings("patch_embeddings.projection", "patch_embed.proj");
        let &[hidden, channels, patch, _] = layers.shape(&format!("{projection}.weight")).unwrap_or(&[0; 4]) else {
            return Err(config.mismatch("vit", "the patch projection is no convolution"));
        };
        config.require("hidden_act", "gelu")?;
        let heads = match family {
            Some(_) => config.size("num_attention_heads")?,
            None => config.size_or("num_heads", (hidden / 64).max(1))?,
        };
        if hidden % heads != 0 || config.size_or("hidden_size", hidden)? != hidden {
            return Err(config.wrong("num_attention_heads", "a divisor of the width of the base"));
        }
        let pool = match config.text_or("global_pool", "token")? {
            "token" => Pool::Class,
            "avg" => Pool::Mean,
            _ => return Err(config.wrong("global_pool", "token or avg")),
        };
        let trained = config.trained_size(224)?;
        let size = config.wanted_size().unwrap_or(trained);
        if patch == 0 || trained.iter().chain(&size).any(|side| side % patch != 0) {
            return Err(config.wrong("patch_size", "a divisor of the size of the images"));
        }
        let table = |name: String, layers: &mut LayoutBuilder| layers.table(&name, &[1, 1, hidden]);
        let mut tokens = vec![table(embeddings("cls_token", "cls_token"), &mut layers)?];
        let distillation = embeddings("distillation_token", "dist_token");
        if layers.shape(&distillation).is_some() {
            tokens.insert(0, table(distillation, &mut layers)?);
        }
        let grid = |size: [usize; 2]| size.map(|side| side / patch);
        let entries = grid(trained).iter().product::<usize>() + tokens.len();
        let positions = layers.table(&embeddings("position_embeddings", "pos_embed"), &[1, entries, hidden])?;
        let resized =
            (size != trained).then(|| Arc::new(Interpolation::bicubic(tokens.len(), grid(trained), grid(size))));
        let projection = layers.layer(LayerKind::Linear, &projection, &[hidden, channels, patch, patch], true)?;
        let mut blocks = Vec::new();
        for number in 0.. {
            let prefix = match family {
                Some(family) => format!("{family}encoder.layer.{number}"),
                None => format!("blocks.{number}"),
            };
            let names = match family {
                Some(_) => [
                    "layernorm_before",
                    "attention.output.dense",
                    "layernorm_after",
                    "intermediate.dense",
                    "output.dense",
                ],
                None => ["norm1", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"],
            };
            let [before, attention, after, inner, outer] = names.map(|name| format!("{prefix}.{name}"));
            // A base without a block is an error that names the tensor it lacks.
            if number > 0 && layers.width(&before).is_none() {
                break;
            }
            let width = layers.width(&inner).unwrap_or(4 * hidden);
            let mut layer = |kind, name: &str, shape: &[usize]| layers.layer(kind, name, shape, true);
            let before = layer(LayerKind::Norm, &before, &[hidden])?;
            let attend = match family {
                Some(_) => {
                    let mut one =
                        |name| layer(LayerKind::Linear, &format!("{prefix}.attention.attention.{name}"), &[hidden; 2]);
                    Attend::Apart([one("query")?, one("key")?, one("value")?])
                }
                None => Attend::Fused(layer(LayerKind::Linear, &format!("{prefix}.attn.qkv"), &[3 * hidden, hidden])?),
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
        let norm = match (family, pool) {
            (Some(family), _) => format!("{family}layernorm"),
            (None, Pool::Class) => "norm".to_owned(),
            (None, Pool::Mean) => "fc_norm".to_owned(),
        };
        let norm = layers.layer(LayerKind::Norm, &norm, &[hidden], true)?;
        let head = if family.is_some() { "classifier" } else { "head" };
        let layout = Arc::new(layers.head(head, hidden, config.labels()?)?);
        let input = config.images_of(channels, size, [0.5; 3], [0.5; 3])?;
        let eps = config.float_or("layer_norm_eps", 1e-6)?;
        let heads = Heads { count: heads };
        Ok(Self { layout, projection, tokens, positions, resized, blocks, norm, pool, heads, eps, patch, input })
    }

    /// What it reads.
    pub fn input(&self) -> InputSpec {
        self.input.clone()
    }
}

impl Network for Vit {
    fn architecture(&self) -> &str {
        "vit"
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn features<O: Ops>(&self, ops: &mut O, input: &Input) -> Result<O::Value, runtime::Error> {
        let images = self.input.images(input)?;
        let mut each = (images.height / self.patch) * (images.width / self.patch);
        let x = ops.patches(images, self.patch);
        let mut h = ops.linear(&x, self.projection)?;
        for &token in &self.tokens {
            h = ops.prepend(&h, token, &Segments::uniform(images.batch, each))?;
            each += 1;
        }
        let segments = Segments::uniform(images.batch, each);
        let positions: Vec<u32> = (0..images.batch).flat_map(|_| 0..each as u32).collect();
        h = match &self.resized {
            Some(map) => ops.gather_interpolated(self.positions, map, &positions, h)?,
            None => ops.gather(self.positions, &positions, Some(h))?,
        };
        for block in &self.blocks {
            h = ops.cut(h);
            let x = ops.layer_norm(&h, block.before, self.eps)?;
            let context = match &block.attend {
                Attend::Apart(layers) => ops.self_attention(&x, *layers, self.heads, &segments)?,
                Attend::Fused(layer) => {
                    let all = ops.linear(&x, *layer)?;
                    let hidden = self.layout.features();
                    let [q, k, v] = [0, 1, 2].map(|part| ops.columns(&all, part * hidden..(part + 1) * hidden));
                    ops.attention(q, k, v, self.heads, &segments)
                }
            };
            let attended = ops.linear(&context, block.attention)?;
            h = ops.add(attended, &h);
            let x = ops.layer_norm(&h, block.after, self.eps)?;
            let out = ops.feed_forward(&x, [block.intermediate, block.output])?;
            h = ops.add(out, &h);
        }
        let pooled = match self.pool {
            Pool::Class => ops.first_rows(h, &segments),
            Pool::Mean => ops.mean_rows(h, &segments, self.tokens.len()),
        };
        ops.layer_norm(&pooled, self.norm, self.eps)
    }
}
