//! A `tokenizer.json`, read into types of this crate: nothing unknown, nothing twice, and each part of a size that real
//! ones have. The tokenizer's library is given what was checked here, piece by piece, and never the file.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use tokenizers::TruncationDirection;

use super::added::{self, Added};
use super::canon::Canon;
use super::model::Model;
use super::normalizer::Normalizers;
use super::part::{Checked, parse};
use super::post_processor::PostProcessors;
use super::pre_tokenizer::PreTokenizers;
use crate::format::Digest;

/// The parts of a file as they stand in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections<'a> {
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    truncation: Option<&'a RawValue>,
    #[serde(rename = "padding")]
    _padding: Option<IgnoredAny>,
    #[serde(borrow)]
    added_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    normalizer: Option<&'a RawValue>,
    #[serde(borrow)]
    pre_tokenizer: Option<&'a RawValue>,
    #[serde(borrow)]
    post_processor: Option<&'a RawValue>,
    // It only makes text of tokens.
    #[serde(rename = "decoder")]
    _decoder: Option<IgnoredAny>,
    #[serde(borrow)]
    model: &'a RawValue,
}

#[derive(Deserialize)]
struct Truncation {
    #[serde(default)]
    direction: Direction,
}

#[derive(Deserialize, Default, Clone, Copy)]
enum Direction {
    Left,
    #[default]
    Right,
}

fn section<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>, what: &str, most: usize) -> Checked<Option<T>> {
    raw.map_or(Ok(None), |raw| parse(raw, what, most))
}

/// A tokenizer as its file states it, checked whole.
pub(super) struct File {
    pub(super) direction: TruncationDirection,
    added: Vec<Added>,
    normalizers: Normalizers,
    pre_tokenizers: PreTokenizers,
    post_processors: PostProcessors,
    model: Model,
    /// The highest number of a token.
    pub(super) highest: u32,
}

/// The library's tokenizer.
pub(super) type Built = tokenizers::Tokenizer;

impl File {
    /// Reads a file, and `config`, the `tokenizer_config.json` beside it.
    pub(super) fn parse(bytes: &[u8], config: Option<&Value>) -> Checked<Self> {
        let sections: Sections<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let version: Option<String> = section(sections.version, "version", 64)?;
        if let Some(version) = version.filter(|version| version != "1.0") {
            return Err(format!("version {version:?}, and 1.0 is known"));
        }
        let truncation: Option<Truncation> = section(sections.truncation, "truncation", 4096)?;
        let of_file = match truncation.map_or(Direction::Right, |truncation| truncation.direction) {
            Direction::Left => TruncationDirection::Left,
            Direction::Right => TruncationDirection::Right,
        };
        let direction = match config.and_then(|config| config.get("truncation_side")) {
            None | Some(Value::Null) => of_file,
            Some(side) => match side.as_str() {
                Some("left") => TruncationDirection::Left,
                Some("right") => TruncationDirection::Right,
                _ => {
                    return Err(format!(
                        "tokenizer_config.json: truncation_side is {side}, and left or right is known"
                    ));
                }
            },
        };
        let added: Vec<Added> = section(sections.added_tokens, "added_tokens", 8 << 20)?.unwrap_or_default();
        let mut normalizers = Normalizers::check(sections.normalizer)?;
        if let Some(config) = config {
            normalizers.follow(config);
        }
        let pre_tokenizers = PreTokenizers::check(sections.pre_tokenizer)?;
        let post_processors = PostProcessors::check(sections.post_processor)?;
        let model = Model::check(sections.model)?;
        let highest = added::check(&added, &model)?;
        if let Some(id) = post_processors.ids().find(|&id| id > highest) {
            return Err(format!("post_processor: token {id}, and the last one is {highest}"));
        }
        Ok(Self { direction, added, normalizers, pre_tokenizers, post_processors, model, highest })
    }

    /// How many times as long a text can become before it is cut into tokens, at most.
    pub(super) fn expansion(&self) -> f64 {
        self.normalizers.expansion() * self.pre_tokenizers.expansion()
    }

    /// Digest of all that decides on tokens, and of nothing else: of what is read here and not of the file's text.
    pub(super) fn digest(&self) -> Digest {
        let mut canon = Canon::new("tokenizer.json, what decides on tokens, 1");
        canon.flag(matches!(self.direction, TruncationDirection::Left));
        self.normalizers.write(&mut canon);
        self.pre_tokenizers.write(&mut canon);
        self.post_processors.write(&mut canon);
        self.model.write(&mut canon);
        added::write(&self.added, &mut canon);
        canon.digest()
    }

    /// The library's tokenizer, by its constructors.
    pub(super) fn build(self) -> Checked<Built> {
        let mut built: Built = Built::new(self.model.build()?);
        let normalizer = self.normalizers.build()?;
        // Before they are given to it: a token that normalizes to nothing would never end.
        added::check_normalized(&self.added, normalizer.as_ref())?;
        built.with_normalizer(normalizer).map_err(|error| format!("normalizer: {error}"))?;
        built.with_pre_tokenizer(self.pre_tokenizers.build()?);
        built.with_post_processor(self.post_processors.build()?);
        built.add_tokens(added::build(self.added)).map_err(|error| format!("added_tokens: {error}"))?;
        Ok(built)
    }
}
