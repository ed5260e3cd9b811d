//! Which files make up a base: one safetensors file, or a folder in Hugging Face layout.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Error;
use super::index::Entry;
use crate::files::read_json;

/// What lies beside the weights of a base and says how its inputs become numbers, by its path in the folder.
pub(super) const COMPANIONS: [&str; 10] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "preprocessor_config.json",
    "processor_config.json",
];

/// Names of weights that are not read, as far as people keep them in such folders.
const PICKLES: [&str; 5] = ["bin", "pt", "pth", "ckpt", "pkl"];

/// The files of a base.
pub(super) struct Files {
    pub(super) weights: Vec<PathBuf>,
    pub(super) config: Option<Value>,
    /// The shard index and, per tensor, the number of its file in `weights`.
    listed: Option<(PathBuf, BTreeMap<String, usize>)>,
}

pub(super) fn find(path: &Path) -> Result<Files, Error> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let folder = if metadata.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
    let config = match folder.join("config.json") {
        config if config.is_file() => Some(read_json(&config)?),
        _ => None,
    };
    if !metadata.is_dir() {
        if is_pickle(path) {
            return Err(pickle(path, path));
        }
        return Ok(Files { weights: vec![path.to_owned()], config, listed: None });
    }
    // Where both are there, the one file is what transformers reads.
    let single = path.join("model.safetensors");
    let index = path.join("model.safetensors.index.json");
    if !single.is_file() && index.is_file() {
        let (weights, listed) = shards(path, &index)?;
        return Ok(Files { weights, config, listed: Some((index, listed)) });
    }
    let weights = if single.is_file() { single } else { only_safetensors(path)? };
    Ok(Files { weights: vec![weights], config, listed: None })
}

fn shards(folder: &Path, index: &Path) -> Result<(Vec<PathBuf>, BTreeMap<String, usize>), Error> {
    let malformed = |message: String| Error::ShardIndex { path: index.to_owned(), message };
    let json = read_json(index)?;
    let map = json.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| malformed("no weight_map that gives each tensor its file".to_owned()))?;
    if map.is_empty() {
        return Err(malformed("its weight_map is empty".to_owned()));
    }
    let mut weights: Vec<PathBuf> = Vec::new();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut listed = BTreeMap::new();
    for (tensor, file) in map {
        let name = file.as_str().filter(|name| Path::new(name).file_name() == Some(OsStr::new(name)));
        let name =
            name.ok_or_else(|| malformed(format!("tensor {tensor}: {file} is not the name of a file in this folder")))?;
        let number = *numbers.entry(name).or_insert_with(|| {
            weights.push(folder.join(name));
            weights.len() - 1
        });
        listed.insert(tensor.clone(), number);
    }
    Ok((weights, listed))
}

fn only_safetensors(folder: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Io { path: folder.to_owned(), source };
    let (mut found, mut pickles) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            found.push(path);
        } else if is_pickle(&path) {
            pickles.push(path);
        }
    }
    match (found.len(), pickles.iter().min()) {
        (1, _) => Ok(found.remove(0)),
        (0, Some(first)) => Err(pickle(folder, first)),
        (0, None) => Err(Error::NoWeights { path: folder.to_owned(), found: "no .safetensors file".to_owned() }),
        (count, _) => Err(Error::NoWeights { path: folder.to_owned(), found: format!("{count} of them and no index") }),
    }
}

fn is_pickle(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    // Trainers keep their settings and states beside the weights in the same way.
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let state =
        ["training_args", "optimizer", "scheduler", "scaler", "rng_state"].iter().any(|state| stem.starts_with(state));
    extension.is_some_and(|extension| PICKLES.contains(&extension.as_str())) && !state && path.is_file()
}

fn pickle(path: &Path, first: &Path) -> Error {
    let found = first.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Error::Pickle { path: path.to_owned(), found }
}

impl Files {
    /// Every tensor the shard index lists must be in the file it names, and no other may exist.
    pub(super) fn check_listed(&self, tensors: &[Entry]) -> Result<(), Error> {
        let Some((path, listed)) = &self.listed else { return Ok(()) };
        let wrong = |message: String| Err(Error::ShardIndex { path: path.clone(), message });
        for (tensor, &file) in listed {
            let found = tensors.binary_search_by(|entry| entry.name.cmp(tensor)).ok();
            if found.is_none_or(|found| tensors[found].file != file) {
                return wrong(format!("tensor {tensor} is not in {}", self.weights[file].display()));
            }
        }
        match tensors.iter().find(|entry| !listed.contains_key(&entry.name)) {
            Some(entry) => {
                wrong(format!("tensor {} of {} is not listed", entry.name, self.weights[entry.file].display()))
            }
            None => Ok(()),
        }
    }
}
