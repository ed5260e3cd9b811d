//! Which columns of a table hold the text and the label.

use super::{Error, Result};
use std::path::Path;

const TEXT_NAMES: [&str; 6] = ["text", "sentence", "utterance", "query", "content", "review"];
const LABEL_NAMES: [&str; 5] = ["label", "category", "intent", "class", "target"];

/// Columns of a CSV, TSV or JSONL file, and how they are told apart.
///
/// A column left at `None` is recognised by its name, whatever its case: `text`, `sentence`, `utterance`,
/// `query`, `content` or `review`; and `label`, `category`, `intent`, `class` or `target`. In a file of two
/// columns one of which is known, the other one is the one left.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Name of the column that holds the text.
    pub text: Option<String>,
    /// Name of the column that holds the label.
    pub label: Option<String>,
    /// What separates the fields of a CSV or TSV file, an ASCII character; by default a comma and a tab.
    pub delimiter: Option<char>,
    /// Whether fields of a CSV or TSV file may be quoted with `"`; by default those of CSV may, and in TSV a quote is text.
    pub quoting: Option<bool>,
}

/// Positions of the columns in a header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Positions {
    pub(super) text: usize,
    pub(super) label: Option<usize>,
}

impl Columns {
    /// Positions in the `header` of `path`. A label that is not `labelled` may be absent.
    ///
    /// # Errors
    /// [`Error::MissingColumn`] and [`Error::SameColumns`].
    pub(super) fn find(&self, header: &[String], path: &Path, labelled: bool) -> Result<Positions> {
        let missing = |role, column: &Option<String>| Error::MissingColumn {
            path: path.to_path_buf(),
            role,
            column: column.clone(),
            found: header.to_vec(),
        };
        let mut text = named(header, self.text.as_deref(), &TEXT_NAMES, None);
        let mut label = named(header, self.label.as_deref(), &LABEL_NAMES, text);
        match (header.len(), text, label) {
            (2, None, Some(label)) if self.text.is_none() => text = Some(1 - label),
            (2, Some(text), None) if self.label.is_none() => label = Some(1 - text),
            (1, None, None) if self.text.is_none() && !labelled => text = Some(0),
            _ => {}
        }
        let text = text.ok_or_else(|| missing("text", &self.text))?;
        // A name that was asked for is looked for even where the label is not needed.
        if label.is_none() && (labelled || self.label.is_some()) {
            return Err(missing("label", &self.label));
        }
        for column in [Some(text), label].into_iter().flatten() {
            let count = header.iter().filter(|name| **name == header[column]).count();
            if count > 1 {
                return Err(Error::SameColumns { path: path.to_path_buf(), name: header[column].clone(), count });
            }
        }
        Ok(Positions { text, label })
    }
}

/// Position of the column `asked` for, or of the first of the `usual` names, but for the one that is `taken`.
fn named(header: &[String], asked: Option<&str>, usual: &[&str], taken: Option<usize>) -> Option<usize> {
    match asked {
        Some(name) => header.iter().position(|column| column == name),
        None => usual.iter().find_map(|name| {
            let found = header.iter().position(|column| column.eq_ignore_ascii_case(name))?;
            (Some(found) != taken).then_some(found)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(header: &[&str], text: Option<&str>, label: Option<&str>, labelled: bool) -> Result<Positions> {
        let header: Vec<String> = header.iter().map(|name| name.to_string()).collect();
        let columns = Columns { text: text.map(String::from), label: label.map(String::from), ..Columns::default() };
        columns.find(&header, Path::new("a.csv"), labelled)
    }

    fn positions(text: usize, label: usize) -> Positions {
        Positions { text, label: Some(label) }
    }

    #[test]
    fn usual_names_are_recognised() {
        assert_eq!(find(&["id", "Intent", "Utterance"], None, None, true).unwrap(), positions(2, 1));
        assert_eq!(find(&["content", "text", "label"], None, None, true).unwrap(), positions(1, 2));
    }

    #[test]
    fn the_other_of_two_columns_is_the_one_left() {
        assert_eq!(find(&["topic", "text"], None, None, true).unwrap(), positions(1, 0));
        assert_eq!(find(&["label", "words"], None, None, true).unwrap(), positions(1, 0));
        assert_eq!(find(&["x", "y"], Some("y"), None, true).unwrap(), positions(1, 0));
        assert_eq!(find(&["class", "target"], Some("class"), None, true).unwrap(), positions(0, 1));
    }

    #[test]
    fn names_asked_for_win() {
        assert_eq!(
            find(&["text", "label", "note", "kind"], Some("note"), Some("kind"), true).unwrap(),
            positions(2, 3)
        );
    }

    #[test]
    fn the_label_is_optional_for_prediction() {
        assert_eq!(find(&["words"], None, None, false).unwrap(), Positions { text: 0, label: None });
        assert_eq!(find(&["id", "text", "n"], None, None, false).unwrap(), Positions { text: 1, label: None });
    }

    #[test]
    fn missing_columns_are_errors() {
        let role = |result: Result<Positions>| match result.unwrap_err() {
            Error::MissingColumn { role, column, found, .. } => (role, column, found.len()),
            other => panic!("{other}"),
        };
        assert_eq!(role(find(&["a", "b"], None, None, true)), ("text", None, 2));
        assert_eq!(role(find(&["text", "a", "b"], None, None, true)), ("label", None, 3));
        assert_eq!(role(find(&["text", "a"], None, Some("z"), true)), ("label", Some("z".into()), 2));
        assert_eq!(role(find(&["text", "a"], Some("z"), None, false)), ("text", Some("z".into()), 2));
        assert_eq!(role(find(&["words"], None, None, true)), ("text", None, 1));
    }

    #[test]
    fn a_column_that_is_there_twice_is_an_error_where_it_is_read() {
        let twice = find(&["text", "label", "text"], None, None, true);
        assert!(matches!(twice, Err(Error::SameColumns { name, count: 2, .. }) if name == "text"));
        let twice = find(&["text", "label", "label"], None, None, true);
        assert!(matches!(twice, Err(Error::SameColumns { name, .. }) if name == "label"));
        assert_eq!(find(&["text", "label", "note", "note"], None, None, true).unwrap(), positions(0, 1));
    }

    #[test]
    fn another_delimiter_is_suggested() {
        let message = |header: &str| find(&[header], None, None, true).unwrap_err().to_string();
        assert!(message("text;label").contains("--delimiter ';'"));
        assert!(message("text\tlabel").contains("--delimiter tab"));
        assert!(message("words").contains("--text-column"));
    }
}
