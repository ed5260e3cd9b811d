//! Records of CSV, TSV, JSONL and plain text files.

use super::json_lines::read_json_lines;
use super::separated::read_separated;
use super::{Columns, Error, Result};
use std::path::Path;

/// Extensions of files whose records have a label.
pub(super) const TABLES: &[&str] = &["csv", "tsv", "jsonl", "ndjson"];
const TEXTS: &[&str] = &["csv", "tsv", "jsonl", "ndjson", "txt"];

/// One text, where it stands, and its label.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Line of the file, counted from 1.
    pub(super) line: usize,
    pub(super) text: String,
    /// `None` only where labels were not asked for.
    pub(super) label: Option<String>,
}

/// Extension of `path` in lower case, empty if it has none.
pub(super) fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// All records of `path`, each with a text and, if `labelled`, a label that are not blank.
pub(super) fn read_records(path: &Path, columns: &Columns, labelled: bool) -> Result<Vec<Record>> {
    let extension = extension(path);
    let records = match extension.as_str() {
        "csv" => read_separated(path, b',', columns, labelled)?,
        "tsv" => read_separated(path, b'\t', columns, labelled)?,
        "jsonl" | "ndjson" => read_json_lines(path, columns, labelled)?,
        "txt" if !labelled => read_lines(path)?,
        _ => {
            let supported = if labelled { TABLES } else { TEXTS };
            return Err(Error::UnsupportedFile { path: path.to_path_buf(), extension, supported });
        }
    };
    let empty = |line, role| Error::EmptyField { path: path.to_path_buf(), line, role };
    for record in &records {
        if record.text.trim().is_empty() {
            return Err(empty(record.line, "text"));
        }
        if labelled && record.label.as_deref().is_none_or(str::is_empty) {
            return Err(empty(record.line, "label"));
        }
    }
    if records.is_empty() {
        return Err(Error::NoExamples { path: path.to_path_buf(), expected: "one text a record" });
    }
    Ok(records)
}

fn read_lines(path: &Path) -> Result<Vec<Record>> {
    let content = read_text(path)?;
    let lines = content.trim_end().lines().enumerate();
    Ok(lines.map(|(index, text)| Record { line: index + 1, text: text.to_string(), label: None }).collect())
}

/// Content of `path` without its byte order mark.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let mut content = std::fs::read_to_string(path).map_err(Error::io(path))?;
    if content.starts_with('\u{feff}') {
        content.drain(..'\u{feff}'.len_utf8());
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Folder;
    use super::*;

    fn read(name: &str, content: &str, labelled: bool) -> Result<Vec<Record>> {
        let folder = Folder::new();
        read_records(&folder.write(name, content), &Columns::default(), labelled)
    }

    fn record(line: usize, text: &str, label: &str) -> Record {
        Record { line, text: text.into(), label: Some(label.into()) }
    }

    #[test]
    fn every_format_gives_the_same_records() {
        let expected = [record(2, "a, \"b\"", "x"), record(3, "c", "1")];
        assert_eq!(read("f.csv", "\u{feff}text,label\n\"a, \"\"b\"\"\", x\nc,1\n", true).unwrap(), expected);
        assert_eq!(read("f.TSV", "label\ttext\r\nx \t\"a, \"\"b\"\"\"\r\n1\tc", true).unwrap(), expected);
        let json =
            "\n{\"text\": \"a, \\\"b\\\"\", \"label\": \" x\"}\n{\"label\": 1, \"text\": \"c\", \"note\": null}\n";
        assert_eq!(read("f.jsonl", json, true).unwrap(), expected);
    }

    #[test]
    fn plain_text_is_one_text_a_line() {
        let records = read("f.txt", "one\r\ntwo\n\n", false).unwrap();
        assert_eq!(records.iter().map(|record| record.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert!(
            matches!(read("f.txt", "one", true), Err(Error::UnsupportedFile { extension, .. }) if extension == "txt")
        );
    }

    #[test]
    fn blank_fields_and_files_are_errors() {
        let empty = |content| match read("f.csv", content, true).unwrap_err() {
            Error::EmptyField { line, role, .. } => (line, role),
            other => panic!("{other}"),
        };
        assert_eq!(empty("text,label\na,x\n ,x\n"), (3, "text"));
        assert_eq!(empty("text,label\na, \n"), (2, "label"));
        let error = read("f.jsonl", "{\"text\": \"a\", \"label\": null}", true).unwrap_err();
        assert!(matches!(error, Error::EmptyField { line: 1, role: "label", .. }));
        assert!(matches!(read("f.csv", "text,label\n", true), Err(Error::NoExamples { .. })));
        assert!(matches!(read("f.csv", "text,label\na,\n", false), Ok(records) if records.len() == 1));
    }

    #[test]
    fn unreadable_files_are_errors() {
        let missing = read_records(Path::new("/nonexistent/f.csv"), &Columns::default(), true);
        assert!(matches!(missing, Err(Error::Io { .. })));
        assert!(
            matches!(read("f.xlsx", "", false), Err(Error::UnsupportedFile { supported, .. }) if supported == TEXTS)
        );
    }
}
