//! BERT encoder with a pooling and a linear head (Devlin et al. 2018; the poolings of Sentence-BERT, Reimers and
//! Gurevych 2019).
//!
//! Names as transformers' `BertModel` and `BertForSequenceClassification` write them, with or without
//! `bert.` before them. Post-norm layers, GELU; `[rows, hidden]` with the rows of all sequences packed.

use std::sync::Arc;

use serde_json::{Value, json};

use super::config::Config;
use super::keys::{Keys, TRANSFORMERS};
use super::pooling::Pooling;
use super::sentence::Sentence;
use super::{Error, InputSpec};
use crate::base::Base;
use crate::graph::{Backend, Graph, Output, Var};
use crate::kernels::Heads;
use crate::runtime::{self, Input, LayerId, LayerKind, Layout, LayoutBuilder, Network, Settings, TextSpec, Tokens};

/// What `BertConfig` reads, of transformers 4 and 5.
pub(super) const KEYS: Keys = Keys {
    read: &[
        "hidden_size",
        "intermediate_size",
        "layer_norm_eps",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "type_vocab_size",
        "vocab_size",
    ],
    fixed: &[
        ("add_cross_attention", &["false"]),
        ("hidden_act", &["gelu", "gelu_python"]),
        ("is_decoder", &["false"]),
        ("position_embedding_type", &["absolute"]),
        ("pruned_heads", &["null", "{}"]),
    ],
    harmless: &["attention_probs_dropout_prob", "classifier_dropout", "embedding_size", "hidden_dropout_prob"],
};

/// Tensors that no classifier of texts uses: buffers, what pre-training and other tasks end in.
fn is_harmless(name: &str) -> bool {
    let name = name.strip_prefix("bert.").unwrap_or(name);
    ["embeddings.position_ids", "embeddings.token_type_ids"].contains(&name)
        || ["pooler.dense.", "cls.predictions.", "cls.seq_relationship.", "qa_outputs."]
            .iter()
            .any(|p| name.starts_with(p))
}

/// The texts of an input.
fn tokens(input: &Input) -> Result<&Tokens, runtime::Error> {
    match input {
        Input::Tokens(tokens) => Ok(tokens),
        Input::Images(_) => {
            Err(runtime::Error::Input { message: "this base reads text, and the input is images".to_owned() })
        }
    }
}

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
    pool: Pool,
    texts: TextSpec,
    /// Whether the base's modules.json has the pooling where [`Network::checkpoint_files`] writes it.
    has_modules: bool,
    notes: Vec<String>,
}

/// A pooling and what it computes with.
#[derive(Clone, Copy)]
enum Pool {
    Mean,
    Cls,
    Max,
    Pooler(LayerId),
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
        let config = config.of_network(&[&TRANSFORMERS, &KEYS])?;
        let hidden = config.size_or("hidden_size", 768)?;
        let inner = config.size_or("intermediate_size", 3072)?;
        // Without a configuration nothing says how many, and no tensor shows it.
        let heads = match base.config() {
            Some(_) => config.size_or("num_attention_heads", 12)?,
            None => config.size("num_attention_heads")?,
        };
        let heads = Heads { count: heads };
        if hidden % heads.count != 0 {
            return Err(config.wrong("num_attention_heads", "a divisor of hidden_size"));
        }
        let longest = config.size_or("max_position_embeddings", 512)?;
        let prefix = if base.find("bert.embeddings.word_embeddings.weight").is_some() { "bert." } else { "" };
        let mut layers = LayoutBuilder::new(base, "bert");
        let mut table = |name: &str, entries: usize| {
            let name = format!("{prefix}embeddings.{name}_embeddings");
            layers.layer(LayerKind::Embedding, &name, &[entries, hidden], false)
        };
        let words = table("word", config.size_or("vocab_size", 30522)?)?;
        let positions = table("position", longest)?;
        let types = table("token_type", config.size_or("type_vocab_size", 2)?)?;
        let norm = layers.layer(LayerKind::Norm, &format!("{prefix}embeddings.LayerNorm"), &[hidden], true)?;
        let mut blocks = Vec::new();
        for number in 0..config.size_or("num_hidden_layers", 12)? {
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
        let sentence = Sentence::of(base)?;
        let name = format!("{prefix}pooler.dense");
        let own = Head::of(base, &config, &sentence, layers.shape(&format!("{name}.weight")).is_some());
        let pooling = config.options().pooling.unwrap_or(own.pooling);
        let pool = match pooling {
            Pooling::Mean => Pool::Mean,
            Pooling::Cls => Pool::Cls,
            Pooling::Max => Pool::Max,
            Pooling::Pooler => Pool::Pooler(layers.layer(LayerKind::Linear, &name, &[hidden; 2], true)?),
        };
        let mut notes = Vec::new();
        if own.over_another && pooling == own.pooling {
            let name = pooling.name();
            notes.push(format!(
                "its head is over {name} pooling, as the folder says, and not over the pooler, as its class has it"
            ));
        }
        let left_out = own.other_than_classes.or_else(|| {
            let of = (pooling != own.pooling).then(|| format!("was made for {} pooling", own.pooling.name()))?;
            base.find("classifier.weight").map(|_| of)
        });
        let layout = match &left_out {
            Some(why) => {
                notes.push(format!("the base's own head is left out: it {why}; tasks bring heads of their own"));
                layers.without_head("classifier", hidden)
            }
            None => layers.head("classifier", hidden, config.labels()?)?,
        };
        super::check_used(base, &layout, "bert", |name| {
            is_harmless(name) || (left_out.is_some() && name.starts_with("classifier."))
        })?;
        let max_tokens = sentence.max_tokens.map(|length| length.min(longest));
        let has_modules = sentence.place.is_some_and(|place| place == "1_Pooling");
        let texts = TextSpec { longest, max_tokens, prompt: sentence.prompt, lowercase: sentence.lowercase };
        let (layout, eps) = (Arc::new(layout), config.eps("layer_norm_eps", 1e-12)?);
        Ok(Self { layout, words, positions, types, norm, blocks, heads, eps, pool, texts, has_modules, notes })
    }

    /// What it reads: texts of up to `max_position_embeddings` tokens.
    pub fn input(&self) -> InputSpec {
        InputSpec::Tokens(self.texts.clone())
    }

    /// How the outputs for tokens become what the head reads.
    pub fn pooling(&self) -> Pooling {
        match self.pool {
            Pool::Mean => Pooling::Mean,
            Pool::Cls => Pooling::Cls,
            Pool::Max => Pooling::Max,
            Pool::Pooler(_) => Pooling::Pooler,
        }
    }

    /// What was left out of the checkpoint, for people to read.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// What a checkpoint's own head is made for.
struct Head {
    pooling: Pooling,
    /// Whether its class has it over the pooler, and the folder over that pooling.
    over_another: bool,
    /// Why the tensors called `classifier` give no class scores of a text, where they do not.
    other_than_classes: Option<String>,
}

impl Head {
    fn of(base: &Base, config: &Config, sentence: &Sentence, has_pooler: bool) -> Self {
        let classifier = base.find("classifier.weight").map(|id| base.tensor(id).shape);
        let class = config.class();
        // Whatever class wrote a pooler and such a head: transformers classifies with both. In a folder that names another
        // pooling the head is over that one.
        let is_of_sequences = class == Some("BertForSequenceClassification");
        let by_pooler = is_of_sequences || (classifier.is_some() && has_pooler);
        let or = if by_pooler { Pooling::Pooler } else { Pooling::Mean };
        let problem = config.optional("problem_type").and_then(Value::as_str);
        let other = match (classifier, class, problem) {
            (None, ..) => None,
            (_, Some(class @ ("BertForTokenClassification" | "BertForMultipleChoice")), _) => {
                Some(format!("is that of a {class}"))
            }
            (_, _, Some(problem @ ("regression" | "multi_label_classification"))) => {
                Some(format!("is for {problem} (problem_type)"))
            }
            (Some([1, _]), ..) => Some("gives one score and no classes".to_owned()),
            _ => None,
        };
        let pooling = sentence.pooling.unwrap_or(or);
        let over_another = is_of_sequences && classifier.is_some() && pooling != Pooling::Pooler && other.is_none();
        Self { pooling, over_another, other_than_classes: other }
    }
}

impl Network for Bert {
    fn architecture(&self) -> &str {
        "bert"
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn settings(&self) -> Settings {
        Settings::default()
            .with(Settings::ATTENTION_HEADS, self.heads.count)
            .with(Settings::NORM_EPS, self.eps)
            .with(Settings::POOLING, self.pooling().name())
    }

    fn checkpoint_class(&self, _: bool) -> Option<&'static str> {
        match self.pooling() {
            Pooling::Pooler => Some("BertForSequenceClassification"),
            // No class of transformers has a head over another pooling, which a file of its own states.
            Pooling::Mean | Pooling::Cls | Pooling::Max => Some("BertModel"),
        }
    }

    fn checkpoint_files(&self) -> Vec<(&'static str, Option<Value>)> {
        let is = |pooling| self.pooling() == pooling;
        let pooling = json!({
            "word_embedding_dimension": self.layout.features(),
            "pooling_mode_cls_token": is(Pooling::Cls),
            "pooling_mode_mean_tokens": is(Pooling::Mean),
            "pooling_mode_max_tokens": is(Pooling::Max),
            "pooling_mode_mean_sqrt_len_tokens": false,
        });
        match self.pooling() {
            Pooling::Pooler => vec![("1_Pooling/config.json", None), ("modules.json", None)],
            Pooling::Mean | Pooling::Cls | Pooling::Max if self.has_modules => {
                vec![("1_Pooling/config.json", Some(pooling))]
            }
            Pooling::Mean | Pooling::Cls | Pooling::Max => {
                let module = |number: usize, kind: &str, path: &str| {
                    let kind = format!("sentence_transformers.models.{kind}");
                    json!({ "idx": number, "name": number.to_string(), "path": path, "type": kind })
                };
                let modules = json!([module(0, "Transformer", ""), module(1, "Pooling", "1_Pooling")]);
                vec![("1_Pooling/config.json", Some(pooling)), ("modules.json", Some(modules))]
            }
        }
    }

    fn stem<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        let tokens = tokens(input)?;
        let segments = &tokens.segments;
        if tokens.ids.len() != segments.rows() {
            let message = format!("{} token ids for sequences of {} tokens in all", tokens.ids.len(), segments.rows());
            return Err(runtime::Error::Input { message }.into());
        }
        let longest = self.texts.longest;
        if let Some(range) = segments.ranges().find(|range| range.is_empty() || range.len() > longest) {
            let message = format!("a sequence of {} tokens, and the base takes 1 to {longest}", range.len());
            return Err(runtime::Error::Input { message }.into());
        }
        let positions: Vec<u32> = segments.ranges().flat_map(|range| 0..range.len() as u32).collect();
        let mut h = graph.gather(self.words, &tokens.ids, None)?;
        h = graph.gather(self.positions, &positions, Some(h))?;
        h = graph.gather(self.types, &vec![0; positions.len()], Some(h))?;
        graph.layer_norm(&h, self.norm, self.eps)
    }

    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn block<B: Backend>(&self, graph: &mut Graph<'_, B>, index: usize, x: Var<B>, input: &Input) -> Output<B> {
        let block = &self.blocks[index];
        let segments = &tokens(input)?.segments;
        let context = graph.self_attention(&x, [block.query, block.key, block.value], self.heads, segments)?;
        let attended = graph.linear(&context, block.attention)?;
        let sum = graph.add(attended, &x)?;
        let h = graph.layer_norm(&sum, block.attention_norm, self.eps)?;
        let out = graph.feed_forward(&h, [block.intermediate, block.output])?;
        let sum = graph.add(out, &h)?;
        graph.layer_norm(&sum, block.output_norm, self.eps)
    }

    fn tail<B: Backend>(&self, graph: &mut Graph<'_, B>, h: Var<B>, input: &Input) -> Output<B> {
        let segments = &tokens(input)?.segments;
        match self.pool {
            Pool::Mean => graph.mean_rows(h, segments, 0),
            Pool::Max => graph.max_rows(h, segments),
            Pool::Cls => graph.rows_at(&h, segments, 0),
            Pool::Pooler(dense) => {
                let first = graph.rows_at(&h, segments, 0)?;
                drop(h);
                let pooled = graph.linear(&first, dense)?;
                graph.tanh(pooled)
            }
        }
    }
}
