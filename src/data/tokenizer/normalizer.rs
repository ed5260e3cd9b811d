//! What is done to a text before it is cut.
//!
//! Nothing here matches an empty text, on which the library's later steps panic or never end, and nothing makes a text
//! longer without bound.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokenizers::normalizers::{self as library, NormalizerWrapper};

use super::canon::Canon;
use super::charsmap::CharsMap;
use super::part::{Checked, steps};

/// Regular expressions that are known to take time in proportion to a text.
const PATTERNS: [&str; 2] = [" {2,}", r"\s+"];

/// Most of one kind after another.
const MOST: usize = 16;
/// Bytes of a pattern and of what takes its place.
const PIECE: usize = 64;
/// How many times as long replacements may make a text.
const GROWTH: f64 = 9.0;

/// A pattern, as the library writes it.
#[derive(Deserialize, Clone)]
pub(super) enum Pattern {
    String(String),
    Regex(String),
}

impl Pattern {
    pub(super) fn write(&self, canon: &mut Canon) {
        let (kind, text) = match self {
            Pattern::String(text) => ("string", text),
            Pattern::Regex(text) => ("regex", text),
        };
        canon.text(kind);
        canon.text(text);
    }
}

/// One step, as the file names it.
#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
#[expect(clippy::upper_case_acronyms, reason = "names of the file")]
enum Step {
    BertNormalizer { clean_text: bool, handle_chinese_chars: bool, strip_accents: Option<bool>, lowercase: bool },
    Strip { strip_left: bool, strip_right: bool },
    StripAccents {},
    NFC {},
    NFD {},
    NFKC {},
    NFKD {},
    Lowercase {},
    Nmt {},
    ByteLevel {},
    Precompiled { precompiled_charsmap: CharsMap },
    Replace { pattern: Pattern, content: String },
    Prepend { prepend: String },
}

/// The steps in order.
pub(super) struct Normalizers {
    steps: Vec<Step>,
    is_sequence: bool,
}

impl Normalizers {
    pub(super) fn check(raw: Option<&RawValue>) -> Checked<Self> {
        let (steps, is_sequence): (Vec<Step>, bool) = steps(raw, "normalizer", 2 << 20)?;
        let wrong = |what: String| Err(format!("normalizer: {what}"));
        if steps.len() > MOST {
            return wrong(format!("{} steps, and {MOST} are the most", steps.len()));
        }
        let count = |is: fn(&Step) -> bool| steps.iter().filter(|step| is(step)).count();
        if count(|step| matches!(step, Step::Prepend { .. })) > 1
            || count(|step| matches!(step, Step::Precompiled { .. })) > 1
        {
            return wrong("Prepend or Precompiled twice".to_owned());
        }
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Replace { pattern: Pattern::String(pattern), content }
                    if !(1..=PIECE).contains(&pattern.len()) || content.len() > PIECE =>
                {
                    let (from, to) = (pattern.len(), content.len());
                    return wrong(format!("Replace of {from} bytes by {to}, and 1 to {PIECE} can be"));
                }
                Step::Replace { pattern: Pattern::Regex(pattern), content }
                    if !PATTERNS.contains(&pattern.as_str()) || content.len() > 3 =>
                {
                    return wrong(format!("Replace of the regular expression {pattern:?}, which is not known"));
                }
                Step::Prepend { prepend } if !(1..=16).contains(&prepend.len()) => {
                    return wrong(format!("Prepend of {} bytes, and 1 to 16 can be", prepend.len()));
                }
                Step::ByteLevel {} if number + 1 < steps.len() => {
                    return wrong("ByteLevel that is not the last".to_owned());
                }
                _ => {}
            }
        }
        let this = Self { steps, is_sequence };
        match this.growth() {
            growth if growth <= GROWTH => Ok(this),
            growth => wrong(format!("replacements that make a text {growth} times as long, and {GROWTH} is the most")),
        }
    }

    /// Sets what `tokenizer_config.json` of a BERT says of case, accents and Chinese characters, as transformers does.
    pub(super) fn follow(&mut self, config: &Value) {
        let class = config.get("tokenizer_class").and_then(Value::as_str);
        if class.is_some_and(|class| !["BertTokenizer", "BertTokenizerFast"].contains(&class)) || self.is_sequence {
            return;
        }
        let stated = |key: &str| config.get(key).and_then(Value::as_bool);
        if let [Step::BertNormalizer { handle_chinese_chars, strip_accents, lowercase, .. }] = &mut self.steps[..] {
            *lowercase = stated("do_lower_case").unwrap_or(*lowercase);
            *strip_accents = stated("strip_accents").or(*strip_accents);
            *handle_chinese_chars = stated("tokenize_chinese_chars").unwrap_or(*handle_chinese_chars);
        }
    }

    /// How many times as long replacements make a text.
    fn growth(&self) -> f64 {
        let of = |step: &Step| match step {
            Step::Replace { pattern: Pattern::String(pattern), content } => content.len() as f64 / pattern.len() as f64,
            Step::Replace { content, .. } => content.len() as f64,
            _ => 1.0,
        };
        self.steps.iter().map(|step| of(step).max(1.0)).product()
    }

    /// How many times as long all steps make a text, at most: the worst character of each.
    pub(super) fn expansion(&self) -> f64 {
        let (mut once, mut each) = (1.0_f64, 1.0_f64);
        for step in &self.steps {
            match step {
                Step::Precompiled { .. } => each *= 22.0,
                Step::ByteLevel {} => each *= 2.0,
                Step::NFKC {} | Step::NFKD {} => once = once.max(11.0),
                Step::BertNormalizer { .. } => once = once.max(4.0),
                Step::NFC {} | Step::NFD {} | Step::Lowercase {} => once = once.max(3.0),
                _ => {}
            }
        }
        once * each * self.growth()
    }

    pub(super) fn build(&self) -> Checked<Option<NormalizerWrapper>> {
        let mut built: Vec<NormalizerWrapper> = self.steps.iter().map(Step::build).collect::<Checked<_>>()?;
        Ok(match self.is_sequence {
            true => Some(library::Sequence::new(built).into()),
            false => built.pop(),
        })
    }

    pub(super) fn write(&self, canon: &mut Canon) {
        canon.number(self.steps.len() as u64);
        self.steps.iter().for_each(|step| step.write(canon));
    }
}

impl Step {
    fn build(&self) -> Checked<NormalizerWrapper> {
        Ok(match self {
            &Step::BertNormalizer { clean_text, handle_chinese_chars, strip_accents, lowercase } => {
                library::BertNormalizer::new(clean_text, handle_chinese_chars, strip_accents, lowercase).into()
            }
            &Step::Strip { strip_left, strip_right } => library::Strip::new(strip_left, strip_right).into(),
            Step::StripAccents {} => library::StripAccents.into(),
            Step::NFC {} => library::NFC.into(),
            Step::NFD {} => library::NFD.into(),
            Step::NFKC {} => library::NFKC.into(),
            Step::NFKD {} => library::NFKD.into(),
            Step::Lowercase {} => library::Lowercase.into(),
            Step::Nmt {} => library::Nmt.into(),
            Step::ByteLevel {} => library::ByteLevel::new().into(),
            Step::Precompiled { precompiled_charsmap } => {
                let built = library::Precompiled::from(precompiled_charsmap.bytes());
                built.map_err(|error| format!("normalizer: Precompiled: {error}"))?.into()
            }
            Step::Replace { pattern, content } => {
                let pattern = match pattern.clone() {
                    Pattern::String(text) => library::replace::ReplacePattern::String(text),
                    Pattern::Regex(text) => library::replace::ReplacePattern::Regex(text),
                };
                let built = library::Replace::new(pattern, content.clone());
                built.map_err(|error| format!("normalizer: Replace: {error}"))?.into()
            }
            Step::Prepend { prepend } => library::Prepend::new(prepend.clone()).into(),
        })
    }

    fn write(&self, canon: &mut Canon) {
        match self {
            &Step::BertNormalizer { clean_text, handle_chinese_chars, strip_accents, lowercase } => {
                canon.text("BertNormalizer");
                let accents = [strip_accents == Some(true), strip_accents == Some(false)];
                canon.flags([clean_text, handle_chinese_chars, accents[0], accents[1], lowercase]);
            }
            &Step::Strip { strip_left, strip_right } => {
                canon.text("Strip");
                canon.flags([strip_left, strip_right]);
            }
            Step::StripAccents {} => canon.text("StripAccents"),
            Step::NFC {} => canon.text("NFC"),
            Step::NFD {} => canon.text("NFD"),
            Step::NFKC {} => canon.text("NFKC"),
            Step::NFKD {} => canon.text("NFKD"),
            Step::Lowercase {} => canon.text("Lowercase"),
            Step::Nmt {} => canon.text("Nmt"),
            Step::ByteLevel {} => canon.text("ByteLevel"),
            Step::Precompiled { precompiled_charsmap } => {
                canon.text("Precompiled");
                canon.text(precompiled_charsmap.text());
            }
            Step::Replace { pattern, content } => {
                canon.text("Replace");
                pattern.write(canon);
                canon.text(content);
            }
            Step::Prepend { prepend } => {
                canon.text("Prepend");
                canon.text(prepend);
            }
        }
    }
}
