//! Which special tokens are put around those of a text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokenizers::processors::PostProcessorWrapper;

use super::canon::Canon;
use super::model::TOKEN;
use super::part::{Checked, steps};
use crate::files::parse_json;

/// Bytes of the section.
const MOST: usize = 64 << 10;

/// One step, as the file names it.
#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Step {
    BertProcessing {
        sep: (String, u32),
        cls: (String, u32),
    },
    RobertaProcessing {
        sep: (String, u32),
        cls: (String, u32),
        #[serde(rename = "trim_offsets")]
        _trim_offsets: bool,
        #[serde(rename = "add_prefix_space")]
        _add_prefix_space: bool,
    },
    /// Of offsets alone, which are not used.
    ByteLevel {
        #[serde(rename = "add_prefix_space")]
        _add_prefix_space: bool,
        #[serde(rename = "trim_offsets")]
        _trim_offsets: bool,
        #[serde(rename = "use_regex")]
        _use_regex: Option<bool>,
    },
    TemplateProcessing {
        single: Vec<Piece>,
        pair: Vec<Piece>,
        special_tokens: BTreeMap<String, Special>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
enum Piece {
    Sequence {
        id: Text,
        #[serde(rename = "type_id")]
        _type_id: u32,
    },
    SpecialToken {
        id: String,
        #[serde(rename = "type_id")]
        _type_id: u32,
    },
}

#[derive(Deserialize, PartialEq)]
enum Text {
    A,
    B,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Special {
    id: String,
    ids: Vec<u32>,
    tokens: Vec<String>,
}

/// At most one step that adds tokens, and the section that the library is given.
pub(super) struct PostProcessors {
    step: Option<Step>,
    raw: Option<String>,
}

impl PostProcessors {
    pub(super) fn check(raw: Option<&RawValue>) -> Checked<Self> {
        let wrong = |what: &dyn std::fmt::Display| format!("post_processor: {what}");
        let (steps, _): (Vec<Step>, bool) = steps(raw, "post_processor", MOST)?;
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Self { step: None, raw: None }) };
        // The library is given the text, in which no key may be there twice: of two it might take the other.
        parse_json(raw.get().as_bytes()).map_err(|error| wrong(&error))?;
        if steps.len() > 4 {
            return Err(wrong(&format_args!("{} steps, and 4 are the most", steps.len())));
        }
        // A second one would take the parts of what the first has made for two texts.
        let mut adding = steps.into_iter().filter(|step| !matches!(step, Step::ByteLevel { .. }));
        let step = adding.next();
        if adding.next().is_some() {
            return Err(wrong(&"two steps that add tokens"));
        }
        if let Some(step) = &step {
            step.check().map_err(|problem| wrong(&problem))?;
        }
        Ok(Self { step, raw: Some(raw.get().to_owned()) })
    }

    /// Numbers of the tokens that it adds.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.step.iter().flat_map(|step| match step {
            Step::BertProcessing { sep, cls } | Step::RobertaProcessing { sep, cls, .. } => vec![sep.1, cls.1],
            Step::TemplateProcessing { special_tokens, .. } => {
                special_tokens.values().flat_map(|special| special.ids.clone()).collect()
            }
            Step::ByteLevel { .. } => Vec::new(),
        })
    }

    /// Templates have no constructor that takes pieces; the section is small and checked.
    pub(super) fn build(&self) -> Checked<Option<PostProcessorWrapper>> {
        let built = self.raw.as_ref().map(|raw| serde_json::from_str(raw));
        built.transpose().map_err(|error| format!("post_processor: {error}"))
    }

    pub(super) fn write(&self, canon: &mut Canon) {
        match &self.step {
            None | Some(Step::ByteLevel { .. }) => canon.text(""),
            Some(Step::BertProcessing { sep, cls } | Step::RobertaProcessing { sep, cls, .. }) => {
                canon.text("around");
                canon.number(cls.1.into());
                canon.number(sep.1.into());
            }
            Some(Step::TemplateProcessing { single, special_tokens, .. }) => {
                canon.text("template");
                canon.number(single.len() as u64);
                for piece in single {
                    let ids = match piece {
                        Piece::Sequence { .. } => None,
                        Piece::SpecialToken { id, .. } => special_tokens.get(id).map(|special| &special.ids),
                    };
                    canon.number(ids.map_or(0, |ids| ids.len() as u64));
                    ids.into_iter().flatten().for_each(|id| canon.number((*id).into()));
                }
            }
        }
    }
}

impl Step {
    fn check(&self) -> Checked<()> {
        match self {
            Step::ByteLevel { .. } => Ok(()),
            Step::BertProcessing { sep, cls } | Step::RobertaProcessing { sep, cls, .. } => {
                match sep.0.len().max(cls.0.len()) > TOKEN {
                    true => Err(format!("a token of more than {TOKEN} bytes")),
                    false => Ok(()),
                }
            }
            Step::TemplateProcessing { single, pair, special_tokens } => {
                if single.len() > 16 || pair.len() > 32 || special_tokens.len() > 64 {
                    return Err("too many pieces".to_owned());
                }
                for (template, is_pair) in [(single, false), (pair, true)] {
                    let count = |text: Text| {
                        template
                            .iter()
                            .filter(|piece| matches!(piece, Piece::Sequence { id, .. } if *id == text))
                            .count()
                    };
                    let (a, b) = (count(Text::A), count(Text::B));
                    if if is_pair { a > 1 || b > 1 } else { (a, b) != (1, 0) } {
                        return Err(format!("a template with the first text {a} times and the second {b} times"));
                    }
                    let unknown = template.iter().find_map(|piece| match piece {
                        Piece::SpecialToken { id, .. } => (!special_tokens.contains_key(id)).then_some(id),
                        Piece::Sequence { .. } => None,
                    });
                    if let Some(id) = unknown {
                        return Err(format!("{id:?} is not among the special tokens"));
                    }
                }
                let fits = |(key, special): (&String, &Special)| {
                    let is_short = special.tokens.iter().all(|token| token.len() <= TOKEN);
                    let counts = (1..=8).contains(&special.ids.len()) && special.ids.len() == special.tokens.len();
                    (*key != special.id || !counts || !is_short).then(|| key.clone())
                };
                match special_tokens.iter().find_map(fits) {
                    Some(key) => Err(format!("special token {key:?} is not 1 to 8 tokens and their numbers")),
                    None => Ok(()),
                }
            }
        }
    }
}
