//! JSONL files: one object a line.

use super::record::{Record, Records, read_text};
use super::{Columns, Error, Result};
use crate::files::parse_json;
use serde_json::Value;
use std::path::Path;

/// Whole numbers that f64 can tell apart are below.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Records of a JSONL file, whose columns are the keys of its first object.
pub(super) fn read_json_lines(path: &Path, columns: &Columns, labelled: bool) -> Result<Records> {
    let content = read_text(path)?;
    let mut names: Option<(String, Option<String>)> = None;
    let mut found = Records::default();
    for (index, source) in content.trim_end().lines().enumerate() {
        let line = index + 1;
        if source.trim().is_empty() {
            found.blank.push(line);
            continue;
        }
        let malformed = |reason| Error::Json { path: path.to_path_buf(), line, reason };
        let value = parse_json(source.as_bytes())
            .map_err(|error| malformed(error.to_string().replace(" at line 1 column", " at column")))?;
        let object = value.as_object().ok_or_else(|| malformed("no object".into()))?;
        if names.is_none() {
            let header: Vec<String> = object.keys().cloned().collect();
            let positions = columns.find(&header, path, labelled)?;
            names = Some((header[positions.text].clone(), positions.label.map(|label| header[label].clone())));
        }
        let Some((text, label)) = &names else {
            continue;
        };
        let text = match object.get(text) {
            Some(Value::String(text)) => text.clone(),
            Some(_) => return Err(malformed(format!("`{text}` is not a string"))),
            None => return Err(malformed(format!("no `{text}`"))),
        };
        let label = match label.as_ref().and_then(|label| object.get(label)) {
            Some(Value::String(label)) => Some(label.trim().to_string()),
            // Beyond these not every whole number is one of its own.
            Some(Value::Number(label))
                if label.as_f64().is_some_and(|number| label.is_f64() && number.abs() >= EXACT) =>
            {
                return Err(malformed(format!("the label {label} is too large for a number; write it as a string")));
            }
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
            Some(Value::Array(_) | Value::Object(_)) if labelled => {
                return Err(malformed("the label is neither a string nor a number".into()));
            }
            _ => None,
        };
        found.records.push(Record { line, text, label });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Folder;
    use super::*;

    fn read(content: &str) -> Result<Vec<Record>> {
        let folder = Folder::new();
        read_json_lines(&folder.write("f.jsonl", content), &Columns::default(), true).map(|found| found.records)
    }

    #[test]
    fn labels_are_strings_numbers_or_truth_values() {
        let lines = ["\" a \"", "7", "-1.5", "true"].map(|label| format!("{{\"text\": \"t\", \"label\": {label}}}"));
        let records = read(&lines.join("\n")).unwrap();
        let labels: Vec<&str> = records.iter().filter_map(|record| record.label.as_deref()).collect();
        assert_eq!(labels, ["a", "7", "-1.5", "true"]);
    }

    #[test]
    fn malformed_lines_are_named() {
        let lines = [
            "[]",
            "{",
            "{\"text\": \"a\", \"label\": 1, \"text\": \"b\"}",
            "{\"text\": 1, \"label\": 1}",
            "{\"label\": 1}",
            "{\"text\": \"a\", \"label\": []}",
            "{\"text\": \"a\", \"label\": 100000000000000000000001}",
        ];
        for line in lines {
            let error = read(&format!("{{\"text\": \"a\", \"label\": 1}}\n{line}")).unwrap_err();
            assert!(matches!(error, Error::Json { line: 2, .. }), "{line}: {error}");
            assert!(!error.to_string().contains("line 1"), "{error}");
        }
    }
}
