//! Typed access to a base's `config.json`, and to what the caller says instead.

use serde_json::Value;

use super::{Error, InputSpec, Options};
use crate::base::Base;

/// Mean and deviation of the channels of ImageNet's photographs, which most convolutional networks are made for.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

/// The configuration of a base, whose missing or unfit keys are errors that name them.
pub(super) struct Config<'a> {
    base: &'a Base,
    json: &'a Value,
    options: &'a Options,
}

impl<'a> Config<'a> {
    /// The configuration of a base; one without any does where the architecture is given.
    pub(super) fn of(base: &'a Base, options: &'a Options) -> Result<Self, Error> {
        let json = match (base.config(), &options.architecture) {
            (Some(json), _) => json,
            (None, Some(_)) => &Value::Null,
            (None, None) => return Err(Error::NoConfig { base: base.path().to_owned() }),
        };
        Ok(Self { base, json, options })
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

    /// A value at the top, or where timm's configurations have it.
    fn get(&self, key: &str) -> Option<&'a Value> {
        let within = |section: &str| self.json.get(section).and_then(|section| section.get(key));
        self.json.get(key).or_else(|| within("model_args")).or_else(|| within("pretrained_cfg"))
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

    pub(super) fn float(&self, key: &str) -> Result<f32, Error> {
        let value = self.get(key).and_then(Value::as_f64);
        value.map(|value| value as f32).ok_or_else(|| self.wrong(key, "a number"))
    }

    /// A number, or `default` where the key is missing.
    pub(super) fn float_or(&self, key: &str, default: f32) -> Result<f32, Error> {
        if self.get(key).is_none() { Ok(default) } else { self.float(key) }
    }

    pub(super) fn text(&self, key: &str) -> Result<&'a str, Error> {
        self.get(key).and_then(Value::as_str).ok_or_else(|| self.wrong(key, "a string"))
    }

    /// A string, or `default` where the key is missing.
    pub(super) fn text_or(&self, key: &str, default: &'a str) -> Result<&'a str, Error> {
        if self.get(key).is_none() { Ok(default) } else { self.text(key) }
    }

    /// Refuses a setting other than the one that is supported, where it is stated.
    pub(super) fn require(&self, key: &str, supported: &str) -> Result<(), Error> {
        match self.get(key) {
            None => Ok(()),
            Some(value) if value == supported => Ok(()),
            Some(_) => Err(self.wrong(key, &format!("{supported}, the only one supported"))),
        }
    }

    /// The images a network of `channels` channels reads: `image_size` or what the caller says, `default` pixels
    /// where nobody does, normalized by `image_mean` and `image_std` or as ImageNet's are.
    pub(super) fn images(&self, channels: usize, default: usize) -> Result<InputSpec, Error> {
        let size = match self.options.image_size {
            Some(size) => size,
            None => self.trained_size(default)?,
        };
        let (mean, std) = if channels == 3 { (IMAGENET[0], IMAGENET[1]) } else { ([0.5; 3], [0.5; 3]) };
        self.images_of(channels, size, mean, std)
    }

    /// Images of a size, whose channels are normalized by `image_mean` and `image_std` (timm: `mean`, `std`) or as
    /// given here.
    pub(super) fn images_of(
        &self,
        channels: usize,
        [height, width]: [usize; 2],
        mean: [f32; 3],
        std: [f32; 3],
    ) -> Result<InputSpec, Error> {
        let per_channel =
            |keys: [&str; 2], default: [f32; 3]| match keys.into_iter().find(|key| self.get(key).is_some()) {
                Some(key) => self.per_channel(key, channels),
                None => Ok((0..channels).map(|channel| default[channel % 3]).collect()),
            };
        let mean = per_channel(["image_mean", "mean"], mean)?;
        let std = per_channel(["image_std", "std"], std)?;
        Ok(InputSpec::Images { channels, height, width, mean, std })
    }

    /// Height and width of the images the base was trained on: a number or a pair in `image_size`, or as timm has it
    /// `img_size` or the last two of `input_size`.
    pub(super) fn trained_size(&self, default: usize) -> Result<[usize; 2], Error> {
        let keys = ["image_size", "img_size", "input_size"];
        let Some(key) = keys.into_iter().find(|key| self.get(key).is_some()) else { return Ok([default; 2]) };
        let value = self.get(key);
        let pair = match value.and_then(Value::as_array).map(Vec::as_slice) {
            Some([.., height, width]) => as_size(height).zip(as_size(width)),
            _ => value.and_then(as_size).map(|size| (size, size)),
        };
        let pair = pair.filter(|&(height, width)| height.max(width) <= MAX_SIDE);
        pair.map(|(height, width)| [height, width])
            .ok_or_else(|| self.wrong(key, "a size in pixels, or height and width"))
    }

    /// What the caller wants images to be.
    pub(super) fn wanted_size(&self) -> Option<[usize; 2]> {
        self.options.image_size
    }

    /// One number for each channel.
    fn per_channel(&self, key: &str, channels: usize) -> Result<Vec<f32>, Error> {
        let list = self.get(key).and_then(Value::as_array);
        let numbers: Option<Vec<f32>> =
            list.and_then(|list| list.iter().map(|v| v.as_f64().map(|v| v as f32)).collect());
        let numbers = numbers.filter(|numbers| numbers.len() == channels);
        numbers.ok_or_else(|| self.wrong(key, &format!("a list of {channels} numbers")))
    }

    /// Class names from `id2label` in order of their numbers, or as timm has them from `label_names`; none where
    /// both are missing.
    pub(super) fn labels(&self) -> Result<Vec<String>, Error> {
        if let Some(list) = self.get("label_names").and_then(Value::as_array) {
            let names: Option<Vec<String>> = list.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            return names.ok_or_else(|| self.wrong("label_names", "a list of names"));
        }
        let Some(value) = self.get("id2label") else { return Ok(Vec::new()) };
        let wrong = || self.wrong("id2label", "names for 0, 1, 2 … in an object");
        let map = value.as_object().ok_or_else(wrong)?;
        (0..map.len())
            .map(|class| map.get(&class.to_string()).and_then(Value::as_str).map(str::to_owned).ok_or_else(wrong))
            .collect()
    }

    pub(super) fn wrong(&self, key: &str, expected: &str) -> Error {
        let found = self.get(key).map_or("missing".to_owned(), Value::to_string);
        let base = self.base.path().to_owned();
        Error::Config { base, key: key.to_owned(), found, expected: expected.to_owned() }
    }

    /// The base is not what its name says.
    pub(super) fn mismatch(&self, architecture: &str, found: &str) -> Error {
        let base = self.base.path().to_owned();
        Error::Mismatch { base, architecture: architecture.to_owned(), found: found.to_owned() }
    }
}

/// Longest side of an image in pixels.
const MAX_SIDE: usize = 1 << 14;

fn as_size(value: &Value) -> Option<usize> {
    value.as_u64().filter(|&size| size > 0 && size < 1 << 31).map(|size| size as usize)
}
