//! Typed access to a base's `config.json`.

use serde_json::Value;

use super::Error;
use crate::base::Base;

/// The configuration of a base, whose missing or unfit keys are errors that name them.
pub(super) struct Config<'a> {
    base: &'a Base,
    json: &'a Value,
}

impl<'a> Config<'a> {
    pub(super) fn of(base: &'a Base) -> Result<Self, Error> {
        let json = base.config().ok_or_else(|| Error::NoConfig { base: base.path().to_owned() })?;
        Ok(Self { base, json })
    }

    /// A positive integer.
    pub(super) fn size(&self, key: &str) -> Result<usize, Error> {
        let size = self.json.get(key).and_then(Value::as_u64).filter(|&size| size > 0 && size < 1 << 31);
        size.map(|size| size as usize).ok_or_else(|| self.wrong(key, "a positive integer"))
    }

    /// A positive integer, or `default` where the key is missing.
    pub(super) fn size_or(&self, key: &str, default: usize) -> Result<usize, Error> {
        if self.json.get(key).is_none() { Ok(default) } else { self.size(key) }
    }

    pub(super) fn float(&self, key: &str) -> Result<f32, Error> {
        let value = self.json.get(key).and_then(Value::as_f64);
        value.map(|value| value as f32).ok_or_else(|| self.wrong(key, "a number"))
    }

    pub(super) fn text(&self, key: &str) -> Result<&'a str, Error> {
        self.json.get(key).and_then(Value::as_str).ok_or_else(|| self.wrong(key, "a string"))
    }

    /// Refuses a setting other than the one that is supported, where it is stated.
    pub(super) fn require(&self, key: &str, supported: &str) -> Result<(), Error> {
        match self.json.get(key) {
            None => Ok(()),
            Some(value) if value == supported => Ok(()),
            Some(_) => Err(self.wrong(key, &format!("{supported}, the only one supported"))),
        }
    }

    /// One number for each channel; `default` where the key is missing.
    pub(super) fn per_channel(&self, key: &str, channels: usize, default: f32) -> Result<Vec<f32>, Error> {
        let Some(value) = self.json.get(key) else { return Ok(vec![default; channels]) };
        let numbers: Option<Vec<f32>> =
            value.as_array().and_then(|list| list.iter().map(|v| v.as_f64().map(|v| v as f32)).collect());
        let numbers = numbers.filter(|numbers| numbers.len() == channels);
        numbers.ok_or_else(|| self.wrong(key, &format!("a list of {channels} numbers")))
    }

    /// Class names from `id2label`, in order of their numbers; none where it is missing.
    pub(super) fn labels(&self) -> Result<Vec<String>, Error> {
        let Some(value) = self.json.get("id2label") else { return Ok(Vec::new()) };
        let wrong = || self.wrong("id2label", "names for 0, 1, 2 … in an object");
        let map = value.as_object().ok_or_else(wrong)?;
        (0..map.len())
            .map(|class| map.get(&class.to_string()).and_then(Value::as_str).map(str::to_owned).ok_or_else(wrong))
            .collect()
    }

    pub(super) fn wrong(&self, key: &str, expected: &str) -> Error {
        let found = self.json.get(key).map_or("missing".to_owned(), Value::to_string);
        let base = self.base.path().to_owned();
        Error::Config { base, key: key.to_owned(), found, expected: expected.to_owned() }
    }
}
