//! Vision transformer with a class token and a linear head (Dosovitskiy et al. 2020).
//!
//! Names as transformers' `ViTForImageClassification` writes them. Pre-norm layers, GELU; the rows of a
//! batch are the class token and the patches of each image in turn, `[images * (1 + patches), hidden]`.

use std::sync::Arc;

use super::config::Config;
use super::{Error, InputSpec};
use crate::base::Base;
use crate::kernels::{self, Heads, Segments};
use crate::runtime::{self, Input, LayerId, LayerKind, Layout, LayoutBuilder, Network, Ops};

/// A vision transformer for image classification.
pub struct Vit {
    layout: Arc<Layout>,
    projection: LayerId,
    class: LayerId,
    positions: LayerId,
    blocks: Vec<Block>,
    norm: LayerId,
    heads: Heads,
    eps: f32,
    patch: usize,
    input: InputSpec,
}

struct Block {
    before: LayerId,
    query: LayerId,
    key: LayerId,
    value: LayerId,
    attention: LayerId,
    after: LayerId,
    intermediate: LayerId,
    output: LayerId,
}

impl Vit {
    /// Finds the layers of a base whose `config.json` says `vit`.
    ///
    /// # Errors
    /// If a size is missing from the configuration or a tensor from the base, or does not fit.
    pub fn open(base: &Base) -> Result<Self, Error> {
        let config = Config::of(base)?;
        config.require("hidden_act", "gelu")?;
        let hidden = config.size("hidden_size")?;
        let inner = config.size("intermediate_size")?;
        let heads = Heads { count: config.size("num_attention_heads")? };
        if hidden % heads.count != 0 {
            return Err(config.wrong("num_attention_heads", "a divisor of hidden_size"));
        }
        let (size, patch) = (config.size("image_size")?, config.size("patch_size")?);
        if size % patch != 0 {
            return Err(config.wrong("patch_size", "a divisor of image_size"));
        }
        let channels = config.size_or("num_channels", 3)?;
        let mut layers = LayoutBuilder::new(base, "vit");
        let class = layers.table("vit.embeddings.cls_token", &[1, 1, hidden])?;
        let count = (size / patch) * (size / patch) + 1;
        let positions = layers.table("vit.embeddings.position_embeddings", &[1, count, hidden])?;
        let name = "vit.embeddings.patch_embeddings.projection";
        let projection = layers.layer(LayerKind::Linear, name, &[hidden, channels, patch, patch], true)?;
        let mut blocks = Vec::new();
        for number in 0..config.size("num_hidden_layers")? {
            let mut layer = |kind, name: &str, shape: &[usize]| {
                layers.layer(kind, &format!("vit.encoder.layer.{number}.{name}"), shape, true)
            };
            let square = [hidden, hidden];
            blocks.push(Block {
                before: layer(LayerKind::Norm, "layernorm_before", &[hidden])?,
                query: layer(LayerKind::Linear, "attention.attention.query", &square)?,
                key: layer(LayerKind::Linear, "attention.attention.key", &square)?,
                value: layer(LayerKind::Linear, "attention.attention.value", &square)?,
                attention: layer(LayerKind::Linear, "attention.output.dense", &square)?,
                after: layer(LayerKind::Norm, "layernorm_after", &[hidden])?,
                intermediate: layer(LayerKind::Linear, "intermediate.dense", &[inner, hidden])?,
                output: layer(LayerKind::Linear, "output.dense", &[hidden, inner])?,
            });
        }
        let norm = layers.layer(LayerKind::Norm, "vit.layernorm", &[hidden], true)?;
        let layout = Arc::new(layers.head("classifier", hidden, config.labels()?)?);
        let input = InputSpec::Images {
            channels,
            size,
            mean: config.per_channel("image_mean", channels, 0.5)?,
            std: config.per_channel("image_std", channels, 0.5)?,
        };
        let eps = config.float("layer_norm_eps")?;
        Ok(Self { layout, projection, class, positions, blocks, norm, heads, eps, patch, input })
    }

    /// What it reads: square images of `image_size`.
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
        let shape = [images.batch, images.channels, images.height, images.width];
        let patches = kernels::patches(ops.workspace(), &images.pixels, shape, self.patch);
        let each = patches.rows() / images.batch.max(1);
        let segments = Segments::uniform(images.batch, each + 1);
        let x = ops.constant(patches);
        let x = ops.linear(&x, self.projection)?;
        let mut h = ops.prepend(&x, self.class, &Segments::uniform(images.batch, each))?;
        let positions: Vec<u32> = (0..images.batch).flat_map(|_| 0..=each as u32).collect();
        h = ops.gather(self.positions, &positions, Some(h))?;
        for block in &self.blocks {
            let x = ops.layer_norm(&h, block.before, self.eps)?;
            let (q, k, v) = (ops.linear(&x, block.query)?, ops.linear(&x, block.key)?, ops.linear(&x, block.value)?);
            let context = ops.attention(q, k, v, self.heads, &segments);
            let attended = ops.linear(&context, block.attention)?;
            h = ops.add(attended, &h);
            let x = ops.layer_norm(&h, block.after, self.eps)?;
            let inner = ops.linear(&x, block.intermediate)?;
            let inner = ops.gelu(inner);
            let out = ops.linear(&inner, block.output)?;
            h = ops.add(out, &h);
        }
        let class = ops.first_rows(h, &segments);
        ops.layer_norm(&class, self.norm, self.eps)
    }
}
