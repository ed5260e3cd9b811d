//! Which files make up a base: one safetensors file, or a folder in Hugging Face layout.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Error;
use super::index::Entry;

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
        return Ok(Files { weights: vec![path.to_owned()], config, listed: None });
    }
    let index = path.join("model.safetensors.index.json");
    if index.is_file() {
        let (weights, listed) = shards(path, &index)?;
        return Ok(Files { weights, config, listed: Some((index, listed)) });
    }
    let single = path.join("model.safetensors");
    let weights = if single.is_file() { single } else { only_safetensors(path)? };
    Ok(Files { weights: vec![weights], config, listed: None })
}

fn read_json(path: &Path) -> Result<Value, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Config { path: path.to_owned(), source })
}

fn shards(folder: &Path, index: &Path) -> Result<(Vec<PathBuf>, BTreeMap<String, usize>), Error> {
    let malformed = |message: String| Error::ShardIndex { path: index.to_owned(), message };
    let json = read_json(index)?;
    let map = json.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| malformed("no weight_map that gives each tensor its file".to_owned()))?;
    let mut weights: Vec<PathBuf> = Vec::new();
    let mut listed = BTreeMap::new();
    for (tensor, file) in map {
        let name = file.as_str().filter(|name| Path::new(name).file_name() == Some(OsStr::new(name)));
        let name =
            name.ok_or_else(|| malformed(format!("tensor {tensor}: {file} is not the name of a file in this folder")))?;
        let path = folder.join(name);
        let number = weights.iter().position(|known| *known == path).unwrap_or_else(|| {
            weights.push(path);
            weights.len() - 1
        });
        listed.insert(tensor.clone(), number);
    }
    Ok((weights, listed))
}

fn only_safetensors(folder: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            found.push(path);
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Error::NoWeights { path: folder.to_owned(), found: "no .safetensors file".to_owned() }),
        count => Err(Error::NoWeights { path: folder.to_owned(), found: format!("{count} of them and no index") }),
    }
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
