//! Fields of `adapter_config.json`, and what is said of wrong ones.

use serde_json::{Map, Value};

/// A number that is neither infinite nor none.
pub(super) fn finite(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

/// Says that a field is something else than expected.
pub(super) fn wrong(name: &str, found: &Value, expected: &str) -> String {
    format!("{name} is {}, expected {expected}", shortened(found))
}

/// A value as a message shows it.
pub(super) fn shortened(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The numbers of a pattern field, in the order of the file.
pub(super) fn numbers(name: &str, fields: &Map<String, Value>) -> Result<Vec<(String, f64)>, String> {
    let number = |(key, value): (&String, &Value)| match finite(value) {
        Some(number) => Ok((key.clone(), number)),
        None => Err(wrong(&format!("{name} of {key:?}"), value, "a number")),
    };
    fields.iter().map(number).collect()
}
