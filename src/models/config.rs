//! Typed access to a base's `config.json`, and to what the caller says instead.

use serde_json::Value;

use super::keys::{Keys, TIMM, TRANSFORMERS};
use super::{Error, Options};
use crate::base::Base;

/// The configuration of a base, whose missing or unfit keys are errors that name them.
pub(super) struct Config<'a> {
    base: &'a Base,
    json: &'a Value,
    options: &'a Options,
    keys: &'static [&'static Keys],
}

impl<'a> Config<'a> {
    /// The configuration of a base; one without any does where the architecture is given.
    pub(super) fn of(base: &'a Base, options: &'a Options) -> Result<Self, Error> {
        let json = match (base.config(), &options.architecture) {
            (Some(json), _) => json,
            (None, Some(_)) => &Value::Null,
            (None, None) => return Err(Error::NoConfig { base: base.path().to_owned() }),
        };
        Ok(Self { base, json, options, keys: &[&TRANSFORMERS, &TIMM] })
    }

    /// The same for a network that has these keys, of which the fixed ones are checked.
    pub(super) fn of_network(&self, keys: &'static [&'static Keys]) -> Result<Self, Error> {
        let config = Self { base: self.base, json: self.json, options: self.options, keys };
        for &(key, values) in keys.iter().flat_map(|keys| keys.fixed) {
            let Some(found) = config.stated(key) else { continue };
            let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            if !values.contains(&text.as_str()) {
                let values: Vec<&str> = values.iter().copied().filter(|value| *value != "null").collect();
                let expected = if values.is_empty() { "no such key".to_owned() } else { values.join(" or ") };
                return Err(config.wrong(key, &format!("{expected}; nothing else is implemented")));
            }
        }
        Ok(config)
    }

    pub(super) fn base(&self) -> &'a Base {
        self.base
    }

    pub(super) fn options(&self) -> &'a Options {
        self.options
    }

    /// The architecture: what the caller says, or `model_type` as transformers writes it, or `architecture` as
    /// timm does.
    pub(super) fn architecture(&self) -> Result<&'a str, Error> {
        match &self.options.architecture {
            Some(architecture) => Ok(architecture),
            None if self.json.get("model_type").is_some() => self.text("model_type"),
            None => self.text("architecture"),
        }
    }

    /// A value where timm has it first, at the top, or where timm has what the weights were trained with.
    fn stated(&self, key: &str) -> Option<&'a Value> {
        // timm takes null for nothing said.
        let within = |section: &str| self.json.get(section)?.get(key).filter(|value| !value.is_null());
        within("model_args").or_else(|| self.json.get(key)).or_else(|| within("pretrained_cfg"))
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        debug_assert!(self.keys.iter().any(|keys| keys.read.contains(&key)), "no table says that {key} is read");
        self.stated(key)
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A value that may be null.
    pub(super) fn optional(&self, key: &str) -> Option<&'a Value> {
        self.get(key).filter(|value| !value.is_null())
    }

    /// A positive integer.
    pub(super) fn size(&self, key: &str) -> Result<usize, Error> {
        let size = self.get(key).and_then(as_size);
        size.ok_or_else(|| self.wrong(key, "a positive integer"))
    }

    /// A positive integer, or `default` where the key is missing.
    pub(super) fn size_or(&self, key: &str, default: usize) -> Result<usize, Error> {
        if self.get(key).is_none() { Ok(default) } else { self.size(key) }
    }

    /// Several positive integers; none where the key is missing.
    pub(super) fn sizes(&self, key: &str) -> Result<Option<Vec<usize>>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let sizes = value.as_array().and_then(|list| list.iter().map(as_size).collect());
        sizes.map(Some).ok_or_else(|| self.wrong(key, "a list of positive integers"))
    }

    /// What is added to a variance, `default` where the key is missing.
    pub(super) fn eps(&self, key: &str, default: f32) -> Result<f32, Error> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let eps = value.as_f64().map(|eps| eps as f32).filter(|eps| (0.0..1.0).contains(eps));
        eps.ok_or_else(|| self.wrong(key, "a number from 0 to 1"))
    }

    pub(super) fn text(&self, key: &str) -> Result<&'a str, Error> {
        self.get(key).and_then(Value::as_str).ok_or_else(|| self.wrong(key, "a string"))
    }

    /// A string, or `default` where the key is missing.
    pub(super) fn text_or(&self, key: &str, default: &'a str) -> Result<&'a str, Error> {
        if self.get(key).is_none() { Ok(default) } else { self.text(key) }
    }

    /// True or false, or false where the key is missing.
    pub(super) fn flag(&self, key: &str) -> Result<bool, Error> {
        let Some(value) = self.get(key) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.wrong(key, "true or false"))
    }

    /// One number for each channel; none where the key is missing.
    pub(super) fn per_channel(&self, key: &str, channels: usize) -> Result<Option<Vec<f32>>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let numbers = per_channel(value, channels);
        numbers.map(Some).ok_or_else(|| self.wrong(key, &format!("{channels} numbers")))
    }

    /// Height and width in the first of the keys that is there: a number, a pair, or as timm has it three of which the
    /// first is the channels.
    pub(super) fn height_and_width(&self, keys: &[&str]) -> Result<Option<[usize; 2]>, Error> {
        let Some(key) = keys.iter().find(|key| self.get(key).is_some()) else { return Ok(None) };
        let pair = self.get(key).and_then(height_and_width);
        pair.map(Some).ok_or_else(|| self.wrong(key, "a size in pixels, or height and width"))
    }

    /// Colour channels: `in_chans` or the first of `input_size` as timm has them, or `num_channels`; 3 where nothing says.
    pub(super) fn channels(&self) -> Result<usize, Error> {
        let of_size = || match self.get("input_size").and_then(Value::as_array).map(Vec::as_slice) {
            Some([channels, _, _]) => as_size(channels),
            _ => None,
        };
        match ["in_chans", "num_channels"].into_iter().find(|key| self.get(key).is_some()) {
            Some(key) => self.size(key),
            None => Ok(of_size().unwrap_or(3)),
        }
    }

    /// Class names from `id2label` in order of their numbers, or as timm has them from `label_names`; none where
    /// both are missing.
    pub(super) fn labels(&self) -> Result<Vec<String>, Error> {
        let of_timm = self.keys.iter().any(|keys| keys.read.contains(&"label_names"));
        if let Some(value) = of_timm.then(|| self.optional("label_names")).flatten() {
            let list =
                value.as_array().and_then(|list| list.iter().map(|name| name.as_str().map(str::to_owned)).collect());
            return list.ok_or_else(|| self.wrong("label_names", "a list of names"));
        }
        let Some(value) = self.optional("id2label") else { return Ok(Vec::new()) };
        let wrong = || self.wrong("id2label", "names for 0, 1, 2 … in an object");
        let map = value.as_object().ok_or_else(wrong)?;
        (0..map.len())
            .map(|class| map.get(&class.to_string()).and_then(Value::as_str).map(str::to_owned).ok_or_else(wrong))
            .collect()
    }

    /// The class of transformers that wrote the checkpoint, the first of `architectures`.
    pub(super) fn class(&self) -> Option<&'a str> {
        self.optional("architectures")?.as_array()?.first()?.as_str()
    }

    pub(super) fn wrong(&self, key: &str, expected: &str) -> Error {
        let mut found = self.stated(key).map_or("missing".to_owned(), Value::to_string);
        if let Some((end, _)) = found.char_indices().nth(200) {
            found.truncate(end);
            found.push('…');
        }
        let base = self.base.path().to_owned();
        Error::Config { base, file: "config.json", key: key.to_owned(), found, expected: expected.to_owned() }
    }

    /// The caller decides what this network has not.
    pub(super) fn unused(&self, option: &'static str, reads: &'static str) -> Error {
        Error::Unused { base: self.base.path().to_owned(), option, reads }
    }

    /// The base is not what its name says.
    pub(super) fn mismatch(&self, architecture: &str, found: &str) -> Error {
        let base = self.base.path().to_owned();
        Error::Mismatch { base, architecture: architecture.to_owned(), found: found.to_owned() }
    }
}

pub(super) fn as_size(value: &Value) -> Option<usize> {
    value.as_u64().filter(|&size| size > 0 && size < 1 << 31).map(|size| size as usize)
}

/// A number of pixels, or the last two of a list.
pub(super) fn height_and_width(value: &Value) -> Option<[usize; 2]> {
    match value.as_array().map(Vec::as_slice) {
        Some([.., height, width]) => Some([as_size(height)?, as_size(width)?]),
        _ => as_size(value).map(|size| [size; 2]),
    }
}

/// One number for each channel, or one for all.
pub(super) fn per_channel(value: &Value, channels: usize) -> Option<Vec<f32>> {
    let number = |value: &Value| value.as_f64().map(|value| value as f32);
    match value.as_array() {
        Some(list) => list.iter().map(number).collect::<Option<Vec<_>>>().filter(|list| list.len() == channels),
        None => Some(vec![number(value)?; channels]),
    }
}
