//! Parts of a `tokenizer.json`, read with limits.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// What is wrong with a file, and where.
pub(super) type Checked<T> = Result<T, String>;

/// Bytes of the longest file: a vocabulary of 260 thousand tokens and half a million merges has 33 MB.
pub(super) const LONGEST: u64 = 64 << 20;

/// One section of at most `most` bytes.
pub(super) fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue, what: &str, most: usize) -> Checked<T> {
    let length = raw.get().len();
    if length > most {
        return Err(format!("{what} has {length} bytes, and {most} are the most"));
    }
    serde_json::from_str(raw.get()).map_err(|error| format!("{what}: {error}"))
}

/// The steps of a section that is one step, or a sequence of them; and whether it is a sequence. A sequence within a sequence
/// is none: steps have no such type.
pub(super) fn steps<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    what: &str,
    most: usize,
) -> Checked<(Vec<T>, bool)> {
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sequence<T> {
        #[serde(rename = "type")]
        _type: IgnoredAny,
        #[serde(alias = "normalizers", alias = "pretokenizers")]
        processors: Vec<T>,
    }
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok((Vec::new(), false)) };
    match parse::<Kind>(raw, what, most)?.r#type.as_str() {
        "Sequence" => Ok((parse::<Sequence<T>>(raw, what, most)?.processors, true)),
        _ => Ok((vec![parse(raw, what, most)?], false)),
    }
}
