//! BERT encoder with mean pooling and a linear head (Devlin et al. 2018; Sentence-BERT's pooling).
//!
//! Names as transformers' `BertModel` and `BertForSequenceClassification` write them, with or without
//! `bert.` before them. Post-norm layers, GELU; `[rows, hidden]` with the rows of all sequences packed.

use std::sync::Arc;

use super::config::Config;
use super::{Error, InputSpec};
use crate::base::Base;
use crate::kernels::Heads;
use crate::runtime::{self, Input, LayerId, LayerKind, Layout, LayoutBuilder, Network, Ops};

/// A BERT encoder for text classification.
pub struct Bert {
    layout: Arc<Layout>,
    words: LayerId,
    positions: LayerId,
    types: LayerId,
    norm: LayerId,
    blocks: Vec<Block>,
    heads: Heads,
    eps: f32,
    max_tokens: usize,
}

struct Block {
    query: LayerId,
    key: LayerId,
    value: LayerId,
    attention: LayerId,
    attention_norm: LayerId,
    intermediate: LayerId,
    output: LayerId,
    output_norm: LayerId,
}

impl Bert {
    /// Finds the layers of a base whose `config.json` says `bert`.
    ///
    /// # Errors
    /// If a size is missing from the configuration or a tensor from the base, or does not fit.
    pub(super) fn open(base: &Base, config: &Config) -> Result<Self, Error> {
        config.require("hidden_act", "gelu")?;
        config.require("position_embedding_type", "absolute")?;
        let hidden = config.size("hidden_size")?;
        let inner = config.size("intermediate_size")?;
        let heads = Heads { count: config.size("num_attention_heads")? };
        if hidden % heads.count != 0 {
            return Err(config.wrong("num_attention_heads", "a divisor of hidden_size"));
        }
        let max_tokens = config.size("max_position_embeddings")?;
        let prefix = if base.find("bert.embeddings.word_embeddings.weight").is_some() { "bert." } else { "" };
        let mut layers = LayoutBuilder::new(base, "bert");
        let mut table = |name: &str, entries: usize| {
            let name = format!("{prefix}embeddings.{name}_embeddings");
            layers.layer(LayerKind::Embedding, &name, &[entries, hidden], false)
        };
        let words = table("word", config.size("vocab_size")?)?;
        let positions = table("position", max_tokens)?;
        let types = table("token_type", config.size("type_vocab_size")?)?;
        let norm = layers.layer(LayerKind::Norm, &format!("{prefix}embeddings.LayerNorm"), &[hidden], true)?;
        let mut blocks = Vec::new();
        for number in 0..config.size("num_hidden_layers")? {
            let mut layer = |kind, name: &str, shape: &[usize]| {
                layers.layer(kind, &format!("{prefix}encoder.layer.{number}.{name}"), shape, true)
            };
            let square = [hidden, hidden];
            blocks.push(Block {
                query: layer(LayerKind::Linear, "attention.self.query", &square)?,
                key: layer(LayerKind::Linear, "attention.self.key", &square)?,
                value: layer(LayerKind::Linear, "attention.self.value", &square)?,
                attention: layer(LayerKind::Linear, "attention.output.dense", &square)?,
                attention_norm: layer(LayerKind::Norm, "attention.output.LayerNorm", &[hidden])?,
                intermediate: layer(LayerKind::Linear, "intermediate.dense", &[inner, hidden])?,
                output: layer(LayerKind::Linear, "output.dense", &[hidden, inner])?,
                output_norm: layer(LayerKind::Norm, "output.LayerNorm", &[hidden])?,
            });
        }
        let layout = Arc::new(layers.head("classifier", hidden, config.labels()?)?);
        let eps = config.float("layer_norm_eps")?;
        Ok(Self { layout, words, positions, types, norm, blocks, heads, eps, max_tokens })
    }

    /// What it reads: token sequences of up to `max_position_embeddings`.
    pub fn input(&self) -> InputSpec {
        InputSpec::Tokens { max: self.max_tokens }
    }
}

impl Network for Bert {
    fn architecture(&self) -> &str {
        "bert"
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn features<O: Ops>(&self, ops: &mut O, input: &Input) -> Result<O::Value, runtime::Error> {
        let Input::Tokens(tokens) = input else {
            return Err(runtime::Error::Input { message: "this base reads text, and the input is images".to_owned() });
        };
        let segments = &tokens.segments;
        if tokens.ids.len() != segments.rows() {
            let message = format!("{} token ids for sequences of {} tokens in all", tokens.ids.len(), segments.rows());
            return Err(runtime::Error::Input { message });
        }
        if let Some(range) = segments.ranges().find(|range| range.is_empty() || range.len() > self.max_tokens) {
            let message = format!("a sequence of {} tokens, and the base takes 1 to {}", range.len(), self.max_tokens);
            return Err(runtime::Error::Input { message });
        }
        let positions: Vec<u32> = segments.ranges().flat_map(|range| 0..range.len() as u32).collect();
        let mut h = ops.gather(self.words, &tokens.ids, None)?;
        h = ops.gather(self.positions, &positions, Some(h))?;
        h = ops.gather(self.types, &vec![0; positions.len()], Some(h))?;
        h = ops.layer_norm(&h, self.norm, self.eps)?;
        for block in &self.blocks {
            h = ops.cut(h);
            let context = ops.self_attention(&h, [block.query, block.key, block.value], self.heads, segments)?;
            let attended = ops.linear(&context, block.attention)?;
            let sum = ops.add(attended, &h);
            h = ops.layer_norm(&sum, block.attention_norm, self.eps)?;
            let out = ops.feed_forward(&h, [block.intermediate, block.output])?;
            let sum = ops.add(out, &h);
            h = ops.layer_norm(&sum, block.output_norm, self.eps)?;
        }
        Ok(ops.mean_rows(h, segments, 0))
    }
}
