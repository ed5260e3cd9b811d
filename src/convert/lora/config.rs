//! `adapter_config.json` as PEFT 0.21 and earlier versions write it: what is followed, what is harmless, and what is
//! refused by name because it would make other weights.

use std::path::Path;

use serde_json::Value;

use super::fields::{finite, shortened, wrong};
use super::pattern::Patterns;
use crate::files;

/// Fields that are read below.
const FOLLOWED: [&str; 9] = [
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "init_lora_weights",
    "task_type",
    "auto_mapping",
];

/// Fields that change nothing of the weights of linear layers and convolutions, whatever they say: training, provenance,
/// and the choice of modules, which the factors in the file show.
const HARMLESS: [&str; 22] = [
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    // PEFT itself takes it back for such layers.
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "merge_weights",
    "modules_to_save",
    "monteclora_config",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules",
    "velora_config",
];

/// Initializations that leave the base as it is. All others, as PiSSA and LoftQ, take something off its weights, so that the
/// factors are of another base.
const INITIALIZATIONS: [&str; 4] = ["gaussian", "eva", "orthogonal", "mica"];

/// What the file says that matters here.
pub(super) struct Config {
    rank: u64,
    alpha: f64,
    rank_stabilized: bool,
    ranks: Patterns,
    alphas: Patterns,
    /// What the network was for: `SEQ_CLS`, or the name of a class of transformers.
    purpose: Option<String>,
}

impl Config {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let json = files::read_json(path).map_err(|error| match error {
            files::Error::Json { source, .. } => format!("adapter_config.json: not valid JSON: {source}"),
            error => error.to_string(),
        })?;
        let fields = json.as_object().ok_or("adapter_config.json is no object")?;
        let peft_type = fields.get("peft_type").and_then(Value::as_str).ok_or("adapter_config.json: no peft_type")?;
        if peft_type != "LORA" {
            return Err(format!("peft_type is {peft_type}, and LORA is read alone"));
        }
        for (name, value) in fields {
            let known = FOLLOWED.contains(&name.as_str()) || HARMLESS.contains(&name.as_str());
            if !known && !is_neutral(value) {
                return Err(format!("{name} is {}, which has no counterpart here: {ADVICE}", shortened(value)));
            }
        }
        check_initialization(fields.get("init_lora_weights"))?;
        let rank = match fields.get("r") {
            None => 8,
            Some(value) => {
                value.as_u64().filter(|&rank| rank > 0).ok_or_else(|| wrong("r", value, "a positive whole number"))?
            }
        };
        let alpha = match fields.get("lora_alpha") {
            None => 8.0,
            Some(value) => finite(value).ok_or_else(|| wrong("lora_alpha", value, "a number"))?,
        };
        let rank_stabilized = match fields.get("use_rslora") {
            None | Some(Value::Null) => false,
            Some(value) => value.as_bool().ok_or_else(|| wrong("use_rslora", value, "true or false"))?,
        };
        let ranks = Patterns::read("rank_pattern", fields.get("rank_pattern"))?;
        let alphas = Patterns::read("alpha_pattern", fields.get("alpha_pattern"))?;
        let task = fields.get("task_type").and_then(Value::as_str);
        let class =
            fields.get("auto_mapping").and_then(|mapping| mapping.get("base_model_class")).and_then(Value::as_str);
        let purpose = task.or(class).map(str::to_owned);
        Ok(Self { rank, alpha, rank_stabilized, ranks, alphas, purpose })
    }

    /// The rank of the factors of a module, by its name in the file.
    pub(super) fn rank(&self, module: &str) -> Result<u64, String> {
        let rank = self.ranks.find(module)?.unwrap_or(self.rank as f64);
        match rank >= 1.0 && rank.fract() == 0.0 {
            true => Ok(rank as u64),
            false => Err(format!("rank_pattern gives {module} the rank {rank}")),
        }
    }

    /// The factor on B A of a module: alpha / r, or alpha / √r with rsLoRA.
    pub(super) fn scale(&self, module: &str) -> Result<f32, String> {
        let rank = self.rank(module)? as f64;
        let alpha = self.alphas.find(module)?.unwrap_or(self.alpha);
        let scale = (alpha / if self.rank_stabilized { rank.sqrt() } else { rank }) as f32;
        match scale.is_finite() {
            true => Ok(scale),
            false => Err(format!("{module}: an alpha of {alpha} is too large")),
        }
    }

    /// What its head reads, where that is known: whether the pooler's output, as of `BertForSequenceClassification`, or each
    /// token.
    pub(super) fn head(&self) -> Head {
        match self.purpose.as_deref() {
            Some("SEQ_CLS") => Head::OfSequences,
            Some(class) if class.ends_with("ForSequenceClassification") => Head::OfSequences,
            Some("TOKEN_CLS" | "QUESTION_ANS") => Head::OfTokens,
            Some(class) if class.ends_with("ForTokenClassification") || class.ends_with("ForQuestionAnswering") => {
                Head::OfTokens
            }
            _ => Head::Unknown,
        }
    }
}

/// What a head in the file reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    OfSequences,
    OfTokens,
    Unknown,
}

const ADVICE: &str = "merge it into the model and make an adapter with taps diff";

/// A value that PEFT writes for what is not used.
fn is_neutral(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text == "none",
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn check_initialization(value: Option<&Value>) -> Result<(), String> {
    match value {
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        Some(Value::String(name)) if INITIALIZATIONS.contains(&name.to_lowercase().as_str()) => Ok(()),
        Some(other) => Err(format!(
            "init_lora_weights is {}, which changes the base before it is tuned: save it with \
             path_initial_model_for_weight_conversion, or {ADVICE}",
            shortened(other)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(fields: Value) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adapter_config.json");
        std::fs::write(&path, fields.to_string()).unwrap();
        Config::read(&path)
    }

    /// The smallest configuration with other fields.
    fn with(name: &str, value: Value) -> Result<Config, String> {
        let mut fields = json!({ "peft_type": "LORA", "r": 8, "lora_alpha": 16 });
        fields[name] = value;
        read(fields)
    }

    #[test]
    fn scales_are_those_of_peft() {
        let scale = |fields: Value, module: &str| read(fields).unwrap().scale(module).unwrap();
        let base = json!({ "peft_type": "LORA", "r": 8, "lora_alpha": 16 });
        assert_eq!(scale(base.clone(), "a.query"), 2.0);
        assert_eq!(scale(json!({ "peft_type": "LORA" }), "x"), 1.0);
        let stabilized = json!({ "peft_type": "LORA", "r": 16, "lora_alpha": 8, "use_rslora": true });
        assert_eq!(scale(stabilized, "x"), 2.0);
        // A rank of its own leaves alpha as it is.
        let ranked = json!({ "peft_type": "LORA", "r": 8, "lora_alpha": 16, "rank_pattern": { "query": 4 } });
        assert_eq!((scale(ranked.clone(), "a.query"), scale(ranked, "a.key")), (4.0, 2.0));
    }

    #[test]
    fn what_changes_the_weights_otherwise_is_refused_by_name() {
        let refused = [
            ("use_dora", json!(true)),
            ("bias", json!("all")),
            ("lora_bias", json!(true)),
            ("init_lora_weights", json!("pissa")),
            ("init_lora_weights", json!("pissa_niter_16")),
            ("init_lora_weights", json!("OLoRA")),
            ("init_lora_weights", json!("corda")),
            ("init_lora_weights", json!("loftq")),
            ("init_lora_weights", json!("lora_ga")),
            ("init_lora_weights", json!(1)),
            ("target_parameters", json!(["a.weight"])),
            ("trainable_token_indices", json!([1])),
            ("layer_replication", json!([[0, 2]])),
            ("alora_invocation_tokens", json!([5])),
            ("arrow_config", json!({ "top_k": 3 })),
            ("use_bdlora", json!({ "nblocks": 2 })),
            ("use_qalora", json!(true)),
            ("kasa_config", json!({ "beta": 1 })),
            ("megatron_config", json!({ "x": 1 })),
            ("enable_lora", json!([true, false])),
            ("of_a_later_version", json!(0.5)),
            ("r", json!(0)),
            ("r", json!(8.5)),
            ("lora_alpha", json!(null)),
            ("use_rslora", json!("yes")),
            ("rank_pattern", json!({ "query": "4" })),
        ];
        for (name, value) in refused {
            let error = with(name, value.clone()).err().unwrap_or_else(|| panic!("{name}: {value} is taken"));
            assert!(error.contains(name), "{error}");
        }
        let taken = [
            ("init_lora_weights", json!(true)),
            ("init_lora_weights", json!("gaussian")),
            ("init_lora_weights", json!("eva")),
            ("bias", json!("none")),
            ("lora_dropout", json!(0.1)),
            ("corda_config", json!({ "cache_file": null })),
            ("trainable_token_indices", json!(null)),
            ("of_a_later_version", json!(false)),
            ("lora_alpha", json!(-11.5)),
            ("rank_pattern", json!(null)),
        ];
        for (name, value) in taken {
            assert!(with(name, value.clone()).is_ok(), "{name}: {value}");
        }
        assert!(with("peft_type", json!("IA3")).err().unwrap().contains("IA3"));
        assert!(read(json!([])).is_err() && read(json!({})).is_err());
        let long = with("kasa_config", json!({ "x": "y".repeat(1000) })).err().unwrap();
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn the_purpose_tells_what_a_head_reads() {
        let head = |name: &str, value: Value| with(name, value).unwrap().head();
        assert_eq!(head("task_type", json!("SEQ_CLS")), Head::OfSequences);
        assert_eq!(head("task_type", json!("TOKEN_CLS")), Head::OfTokens);
        let mapped = |class: &str| json!({ "base_model_class": class, "parent_library": "transformers" });
        assert_eq!(head("auto_mapping", mapped("BertForSequenceClassification")), Head::OfSequences);
        assert_eq!(head("auto_mapping", mapped("BertForQuestionAnswering")), Head::OfTokens);
        assert_eq!(head("auto_mapping", mapped("Classifier")), Head::Unknown);
        assert_eq!(head("task_type", json!(null)), Head::Unknown);
    }
}
