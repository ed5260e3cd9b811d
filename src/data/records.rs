//! Records of CSV, TSV, JSONL and plain text files.

use super::json_lines::read_json_lines;
use super::record::Record;
use super::record::Records;
use super::record::read_text;
use super::separated::read_separated;
use super::{Columns, Error, Result};
use std::path::Path;

/// Extensions of files whose records have a label.
pub(super) const TABLES: &[&str] = &["csv", "tsv", "jsonl", "ndjson"];
const TEXTS: &[&str] = &["csv", "tsv", "jsonl", "ndjson", "txt"];

/// Extension of `path` in lower case, empty if it has none.
pub(super) fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// All records of `path`, each with a text and, if `labelled`, a label that are not blank.
pub(super) fn read_records(path: &Path, columns: &Columns, labelled: bool) -> Result<Records> {
    let extension = extension(path);
    let separated = |delimiter: char, quoting: bool| {
        let delimiter = columns.delimiter.unwrap_or(delimiter);
        // What the reader takes for the ends of fields, lines and quoted text is one byte.
        let byte = u8::try_from(delimiter).ok().filter(|byte| byte.is_ascii() && !b"\"\r\n".contains(byte));
        let byte = byte.ok_or_else(|| Error::Delimiter { path: path.to_path_buf(), delimiter })?;
        read_separated(path, byte, columns.quoting.unwrap_or(quoting), columns, labelled)
    };
    let found = match extension.as_str() {
        "csv" => separated(',', true)?,
        "tsv" => separated('\t', false)?,
        "jsonl" | "ndjson" => read_json_lines(path, columns, labelled)?,
        "txt" if !labelled => read_lines(path)?,
        _ => {
            let supported = if labelled { TABLES } else { TEXTS };
            return Err(Error::UnsupportedFile { path: path.to_path_buf(), extension, supported });
        }
    };
    let empty = |line, role| Error::EmptyField { path: path.to_path_buf(), line, role };
    for record in &found.records {
        // A line is a text whatever it holds.
        if record.text.trim().is_empty() && extension != "txt" {
            return Err(empty(record.line, "text"));
        }
        if labelled && record.label.as_deref().is_none_or(str::is_empty) {
            return Err(empty(record.line, "label"));
        }
    }
    if found.records.is_empty() {
        return Err(Error::NoExamples { path: path.to_path_buf(), expected: "one text a record" });
    }
    Ok(found)
}

fn read_lines(path: &Path) -> Result<Records> {
    let content = read_text(path)?;
    let lines = content.lines().enumerate();
    let records = lines.map(|(index, text)| Record { line: index + 1, text: text.to_string(), label: None }).collect();
    Ok(Records { records, ..Records::default() })
}

#[cfg(test)]
mod tests {
    use super::super::Note;
    use super::super::testing::Folder;
    use super::*;

    fn read(name: &str, content: &str, labelled: bool) -> Result<Vec<Record>> {
        let folder = Folder::new();
        let found = read_records(&folder.write(name, content), &Columns::default(), labelled)?;
        Ok(found.records)
    }

    fn record(line: usize, text: &str, label: &str) -> Record {
        Record { line, text: text.into(), label: Some(label.into()) }
    }

    #[test]
    fn every_format_gives_the_same_records() {
        let expected = [record(2, "a, \"b\"", "x"), record(3, "c", "1")];
        assert_eq!(read("f.csv", "\u{feff}text,label\n\"a, \"\"b\"\"\", x\nc,1\n", true).unwrap(), expected);
        assert_eq!(read("f.TSV", "label\ttext\r\nx \ta, \"b\"\r\n1\tc", true).unwrap(), expected);
        let json =
            "\n{\"text\": \"a, \\\"b\\\"\", \"label\": \" x\"}\n{\"label\": 1, \"text\": \"c\", \"note\": null}\n";
        assert_eq!(read("f.jsonl", json, true).unwrap(), expected);
    }

    #[test]
    fn plain_text_is_one_text_a_line() {
        let records = read("f.txt", "one\r\n\ntwo \n\n", false).unwrap();
        assert_eq!(records.iter().map(|record| record.text.as_str()).collect::<Vec<_>>(), ["one", "", "two ", ""]);
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

    #[test]
    fn delimiters_and_quotes_are_as_asked_for() {
        let folder = Folder::new();
        let path = folder.write("f.csv", "text;label\n\"a\";x\n\nb;y\n");
        let ask = |delimiter, quoting| {
            let columns = Columns { delimiter: Some(delimiter), quoting, ..Columns::default() };
            read_records(&path, &columns, true)
        };
        let found = ask(';', None).unwrap();
        assert_eq!(found.records, [record(2, "a", "x"), record(4, "b", "y")]);
        let notes: Vec<String> = found.notes(Path::new("f.csv")).iter().map(Note::to_string).collect();
        assert_eq!(notes, ["1 blank lines left out, first f.csv:3"]);
        assert_eq!(ask(';', Some(false)).unwrap().records[0].text, "\"a\"");
        for wrong in ['"', '\n', 'é'] {
            assert!(matches!(ask(wrong, None), Err(Error::Delimiter { .. })));
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_errors() {
        let folder = Folder::new();
        let read = |name| read_records(&folder.write(name, b"{}\xff"), &Columns::default(), false);
        assert!(matches!(read("f.jsonl"), Err(Error::Utf8 { at: 2, .. })));
        assert!(matches!(read("f.txt"), Err(Error::Utf8 { at: 2, .. })));
    }
}
