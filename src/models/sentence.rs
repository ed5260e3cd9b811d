//! What a folder of sentence-transformers says beside the encoder: pooling, the longest text, a prompt.

use std::path::Path;

use serde_json::Value;

use super::Error;
use super::config::as_size;
use super::pooling::Pooling;
use crate::base::Base;
use crate::files::read_json;

/// What the files of sentence-transformers say.
#[derive(Debug)]
pub(super) struct Sentence {
    pub(super) pooling: Option<Pooling>,
    /// Where modules.json says that the pooling is stated.
    pub(super) place: Option<String>,
    pub(super) max_tokens: Option<usize>,
    pub(super) prompt: String,
    pub(super) lowercase: bool,
}

/// Modules whose embedding differs from the encoder's by its length only, or not at all.
const HARMLESS: [&str; 2] = ["Normalize", "Dropout"];

/// Keys of sentence_bert_config.json that change what is computed.
const NOT_IMPLEMENTED: [&str; 8] = [
    "query_expansion",
    "query_length",
    "document_length",
    "config_args",
    "config_kwargs",
    "tokenizer_args",
    "processor_kwargs",
    "processing_kwargs",
];

impl Sentence {
    /// Reads the files beside a base's weights; without any there is nothing to say.
    ///
    /// # Errors
    /// If a file says something that is not implemented.
    pub(super) fn of(base: &Base) -> Result<Self, Error> {
        let folder = Folder(base);
        let modules = folder.read("modules.json")?;
        let stated = modules.as_ref().map(|modules| folder.pooling_of(modules)).transpose()?;
        let place = stated.as_deref().unwrap_or("1_Pooling");
        let pooling = folder.read(&format!("{place}/config.json"))?;
        if pooling.is_none() && modules.is_some() {
            return Err(folder.wrong("modules.json", "path", &Value::from(place), "a folder with a config.json"));
        }
        let included = pooling.as_ref().and_then(|json| json.get("include_prompt")).and_then(Value::as_bool);
        let mut sentence = Sentence {
            pooling: pooling.map(|json| folder.pooling(&json)).transpose()?,
            place: stated,
            max_tokens: None,
            prompt: folder.prompt(included)?,
            lowercase: false,
        };
        folder.encoder(&mut sentence)?;
        Ok(sentence)
    }
}

struct Folder<'a>(&'a Base);

impl Folder<'_> {
    fn read(&self, name: &str) -> Result<Option<Value>, Error> {
        // A path of a file that leaves the folder is none of its files.
        let inside = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let path = self.0.folder().join(name);
        if inside && path.is_file() { Ok(Some(read_json(&path)?)) } else { Ok(None) }
    }

    fn wrong(&self, file: &'static str, key: &str, found: &Value, expected: &str) -> Error {
        let (base, found, expected) = (self.0.path().to_owned(), found.to_string(), expected.to_owned());
        Error::Config { base, file, key: key.to_owned(), found, expected }
    }

    /// The folder of the pooling among the modules, none of which may be one that is not implemented.
    fn pooling_of(&self, modules: &Value) -> Result<String, Error> {
        const FILE: &str = "modules.json";
        let all = modules.as_array().ok_or_else(|| self.wrong(FILE, "modules", modules, "a list"))?;
        let mut pooling = None;
        for module in all {
            let of = |key: &str| module.get(key).and_then(Value::as_str).unwrap_or_default();
            let kind = of("type").rsplit('.').next().unwrap_or_default();
            match kind {
                "Transformer" if of("path").is_empty() && pooling.is_none() => {}
                "Transformer" => {
                    let expected = "the folder itself: the encoder lies elsewhere, open that folder";
                    return Err(self.wrong(FILE, "path", &module["path"], expected));
                }
                "Pooling" if pooling.is_none() => pooling = Some(of("path").to_owned()),
                kind if HARMLESS.contains(&kind) => {}
                _ => {
                    let expected = "Transformer, Pooling, Normalize or Dropout; nothing else is implemented";
                    return Err(self.wrong(FILE, "type", module.get("type").unwrap_or(module), expected));
                }
            }
        }
        // Without one it is the mean, as sentence-transformers adds it to an encoder alone.
        pooling.ok_or_else(|| self.wrong(FILE, "modules", modules, "a Pooling among them"))
    }

    fn pooling(&self, json: &Value) -> Result<Pooling, Error> {
        const FILE: &str = "1_Pooling/config.json";
        let only = "mean, cls or max, and one of them; nothing else is implemented";
        let wrong = |key: &str, found: &Value| self.wrong(FILE, key, found, only);
        let stated = match json.get("pooling_mode") {
            Some(Value::Array(modes)) if modes.len() == 1 => Some(&modes[0]),
            Some(Value::Null) | None => None,
            mode => mode,
        };
        if let Some(mode) = stated {
            let found = mode.as_str().and_then(Pooling::of_name).filter(|pooling| *pooling != Pooling::Pooler);
            return found.ok_or_else(|| wrong("pooling_mode", mode));
        }
        let flags = json.as_object().ok_or_else(|| wrong("pooling_mode", json))?.iter();
        let set: Vec<&str> = flags
            .filter(|(key, value)| key.starts_with("pooling_mode_") && value.as_bool() != Some(false))
            .map(|(key, _)| key.as_str())
            .collect();
        match set[..] {
            [] | ["pooling_mode_mean_tokens"] => Ok(Pooling::Mean),
            ["pooling_mode_cls_token"] => Ok(Pooling::Cls),
            ["pooling_mode_max_tokens"] => Ok(Pooling::Max),
            _ => Err(wrong("pooling_mode", &Value::from(set.join(", ")))),
        }
    }

    /// The prompt that is put before a text where none is asked for.
    fn prompt(&self, included: Option<bool>) -> Result<String, Error> {
        const FILE: &str = "config_sentence_transformers.json";
        let Some(json) = self.read(FILE)? else { return Ok(String::new()) };
        let stated = |key: &str| json.get(key).filter(|value| !value.is_null());
        if let Some(kind) = stated("model_type").filter(|kind| *kind != "SentenceTransformer") {
            return Err(self.wrong(FILE, "model_type", kind, "SentenceTransformer; nothing else is implemented"));
        }
        if let Some(dim) = stated("truncate_dim") {
            return Err(self.wrong(FILE, "truncate_dim", dim, "null; nothing else is implemented"));
        }
        let Some(name) = stated("default_prompt_name") else { return Ok(String::new()) };
        let prompt = name.as_str().and_then(|name| json.get("prompts")?.get(name)?.as_str());
        let prompt =
            prompt.ok_or_else(|| self.wrong(FILE, "default_prompt_name", name, "the name of one of its prompts"))?;
        if !prompt.is_empty() && included == Some(false) {
            let expected = "true where there is a prompt; nothing else is implemented";
            return Err(self.wrong("1_Pooling/config.json", "include_prompt", &Value::Bool(false), expected));
        }
        Ok(prompt.to_owned())
    }

    /// What is said of the encoder's inputs.
    fn encoder(&self, sentence: &mut Sentence) -> Result<(), Error> {
        const FILE: &str = "sentence_bert_config.json";
        let json = self.read(FILE)?.unwrap_or_default();
        let stated = |key: &str| json.get(key).filter(|value| !value.is_null());
        let unset = |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        for key in NOT_IMPLEMENTED {
            if let Some(value) = stated(key).filter(|value| !unset(value)) {
                return Err(self.wrong(FILE, key, value, "null; nothing else is implemented"));
            }
        }
        if let Some(task) = stated("transformer_task").filter(|task| *task != "feature-extraction") {
            return Err(self.wrong(FILE, "transformer_task", task, "feature-extraction; nothing else is implemented"));
        }
        if let Some(length) = stated("max_seq_length") {
            let length =
                as_size(length).ok_or_else(|| self.wrong(FILE, "max_seq_length", length, "a positive integer"))?;
            sentence.max_tokens = Some(length);
        } else {
            // Where it is in nobody's way transformers writes 10^30.
            let tokenizer = self.read("tokenizer_config.json")?.unwrap_or_default();
            sentence.max_tokens = tokenizer.get("model_max_length").and_then(as_size);
        }
        if let Some(lowercase) = stated("do_lower_case") {
            let flag = lowercase.as_bool();
            sentence.lowercase = flag.ok_or_else(|| self.wrong(FILE, "do_lower_case", lowercase, "true or false"))?;
        }
        Ok(())
    }
}
