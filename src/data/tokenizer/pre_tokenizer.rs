//! Where a text is cut before its pieces become tokens.

use serde::Deserialize;
use serde_json::value::RawValue;
use tokenizers::pre_tokenizers::{self as library, PreTokenizerWrapper};
use tokenizers::tokenizer::SplitDelimiterBehavior;

use super::canon::Canon;
use super::normalizer::Pattern;
use super::part::{Checked, steps};
use super::patterns::PATTERNS;

/// Most of them after another.
const MOST: usize = 8;
/// Bytes of a text that is cut at.
const PIECE: usize = 64;

/// One step, as the file names it.
#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Step {
    BertPreTokenizer {},
    Whitespace {},
    WhitespaceSplit {},
    ByteLevel {
        add_prefix_space: bool,
        // Of offsets, which are not used.
        #[serde(rename = "trim_offsets")]
        _trim_offsets: bool,
        #[serde(default = "yes")]
        use_regex: bool,
    },
    Metaspace {
        replacement: char,
        add_prefix_space: Option<bool>,
        #[serde(default)]
        prepend_scheme: Scheme,
        split: Option<bool>,
        #[serde(rename = "str_rep")]
        _str_rep: Option<String>,
    },
    Split {
        pattern: Pattern,
        behavior: Behavior,
        invert: bool,
    },
    Punctuation {
        #[serde(default)]
        behavior: Behavior,
    },
    Digits {
        individual_digits: bool,
    },
    CharDelimiterSplit {
        delimiter: char,
    },
}

#[derive(Deserialize, Clone, Copy, Default)]
enum Behavior {
    Removed,
    #[default]
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Scheme {
    First,
    Never,
    #[default]
    Always,
}

fn yes() -> bool {
    true
}

/// The steps in order.
pub(super) struct PreTokenizers(Vec<Step>);

impl PreTokenizers {
    pub(super) fn check(raw: Option<&RawValue>) -> Checked<Self> {
        let (steps, _): (Vec<Step>, bool) = steps(raw, "pre_tokenizer", 64 << 10)?;
        let wrong = |what: String| Err(format!("pre_tokenizer: {what}"));
        if steps.len() > MOST {
            return wrong(format!("{} steps, and {MOST} are the most", steps.len()));
        }
        for step in &steps {
            match step {
                Step::Split { pattern: Pattern::String(text), .. } if !(1..=PIECE).contains(&text.len()) => {
                    return wrong(format!("Split at {} bytes, and 1 to {PIECE} can be", text.len()));
                }
                Step::Split { pattern: Pattern::Regex(text), .. } if !PATTERNS.contains(&text.as_str()) => {
                    return wrong(format!("Split at the regular expression {text:?}, which is not known"));
                }
                Step::Metaspace { add_prefix_space: Some(false), prepend_scheme, .. }
                    if *prepend_scheme != Scheme::Never =>
                {
                    return wrong("Metaspace with a prepend_scheme and without add_prefix_space".to_owned());
                }
                _ => {}
            }
        }
        // Each adds characters, and in turn they would do so without bound.
        if steps.iter().filter(|step| step.adds()).count() > 1 {
            return wrong("ByteLevel or Metaspace twice".to_owned());
        }
        Ok(Self(steps))
    }

    /// How many times as long a text becomes, at most.
    pub(super) fn expansion(&self) -> f64 {
        if self.0.iter().any(Step::adds) { 2.0 } else { 1.0 }
    }

    pub(super) fn build(&self) -> Checked<Option<PreTokenizerWrapper>> {
        let mut built: Vec<PreTokenizerWrapper> = self.0.iter().map(Step::build).collect::<Checked<_>>()?;
        Ok(match built.len() {
            0 | 1 => built.pop(),
            _ => Some(library::sequence::Sequence::new(built).into()),
        })
    }

    pub(super) fn write(&self, canon: &mut Canon) {
        canon.number(self.0.len() as u64);
        self.0.iter().for_each(|step| step.write(canon));
    }
}

impl Step {
    fn adds(&self) -> bool {
        matches!(self, Step::ByteLevel { .. } | Step::Metaspace { .. })
    }

    /// Where Metaspace puts its character first.
    fn scheme(add_prefix_space: Option<bool>, scheme: Scheme) -> Scheme {
        if add_prefix_space == Some(false) { Scheme::Never } else { scheme }
    }

    fn build(&self) -> Checked<PreTokenizerWrapper> {
        Ok(match self {
            Step::BertPreTokenizer {} => library::bert::BertPreTokenizer.into(),
            Step::Whitespace {} => library::whitespace::Whitespace.into(),
            Step::WhitespaceSplit {} => library::whitespace::WhitespaceSplit.into(),
            &Step::ByteLevel { add_prefix_space, use_regex, .. } => {
                library::byte_level::ByteLevel::new(add_prefix_space, true, use_regex).into()
            }
            &Step::Metaspace { replacement, add_prefix_space, prepend_scheme, split, .. } => {
                let scheme = match Self::scheme(add_prefix_space, prepend_scheme) {
                    Scheme::First => library::metaspace::PrependScheme::First,
                    Scheme::Never => library::metaspace::PrependScheme::Never,
                    Scheme::Always => library::metaspace::PrependScheme::Always,
                };
                library::metaspace::Metaspace::new(replacement, scheme, split.unwrap_or(true)).into()
            }
            Step::Split { pattern, behavior, invert } => {
                let pattern = match pattern.clone() {
                    Pattern::String(text) => library::split::SplitPattern::String(text),
                    Pattern::Regex(text) => library::split::SplitPattern::Regex(text),
                };
                let built = library::split::Split::new(pattern, behavior.build(), *invert);
                built.map_err(|error| format!("pre_tokenizer: Split: {error}"))?.into()
            }
            Step::Punctuation { behavior } => library::punctuation::Punctuation::new(behavior.build()).into(),
            Step::Digits { individual_digits } => library::digits::Digits::new(*individual_digits).into(),
            Step::CharDelimiterSplit { delimiter } => library::delimiter::CharDelimiterSplit::new(*delimiter).into(),
        })
    }

    fn write(&self, canon: &mut Canon) {
        match self {
            Step::BertPreTokenizer {} => canon.text("BertPreTokenizer"),
            Step::Whitespace {} => canon.text("Whitespace"),
            Step::WhitespaceSplit {} => canon.text("WhitespaceSplit"),
            &Step::ByteLevel { add_prefix_space, use_regex, .. } => {
                canon.text("ByteLevel");
                canon.flags([add_prefix_space, use_regex]);
            }
            &Step::Metaspace { replacement, add_prefix_space, prepend_scheme, split, .. } => {
                canon.text("Metaspace");
                canon.number(u32::from(replacement).into());
                canon.number(Self::scheme(add_prefix_space, prepend_scheme) as u64);
                canon.flag(split.unwrap_or(true));
            }
            Step::Split { pattern, behavior, invert } => {
                canon.text("Split");
                pattern.write(canon);
                canon.number(*behavior as u64);
                canon.flag(*invert);
            }
            Step::Punctuation { behavior } => {
                canon.text("Punctuation");
                canon.number(*behavior as u64);
            }
            Step::Digits { individual_digits } => {
                canon.text("Digits");
                canon.flag(*individual_digits);
            }
            Step::CharDelimiterSplit { delimiter } => {
                canon.text("CharDelimiterSplit");
                canon.number(u32::from(*delimiter).into());
            }
        }
    }
}

impl Behavior {
    fn build(self) -> SplitDelimiterBehavior {
        match self {
            Behavior::Removed => SplitDelimiterBehavior::Removed,
            Behavior::Isolated => SplitDelimiterBehavior::Isolated,
            Behavior::MergedWithPrevious => SplitDelimiterBehavior::MergedWithPrevious,
            Behavior::MergedWithNext => SplitDelimiterBehavior::MergedWithNext,
            Behavior::Contiguous => SplitDelimiterBehavior::Contiguous,
        }
    }
}
