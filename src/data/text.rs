//! Labelled texts.

use super::classes::Classes;
use super::record::Record;
use super::records::read_records;
use super::tokenizer::Encoded;
use super::{Columns, Error, Note, Result, Tokenizer};
use crate::kernels::Segments;
use crate::runtime::{self, Examples, Input, Settings, Tokens};
use rayon::prelude::*;
use std::path::Path;

/// Labelled texts, as the tokens of a base.
#[derive(Clone, Debug)]
pub struct TextSet {
    /// Tokens of all texts, one after another.
    ids: Vec<u32>,
    segments: Segments,
    labels: Vec<usize>,
    classes: Vec<String>,
    settings: Settings,
    notes: Vec<Note>,
}

impl TextSet {
    /// Reads a CSV, TSV, JSONL or NDJSON file, told by its extension.
    ///
    /// CSV and TSV have a header line, and fields of CSV may be quoted with `"`; JSONL has an object a line, and the
    /// columns are the keys of the first. Numbers and truth values are labels by their JSON spelling; space
    /// around labels is dropped. The classes are `labels`, or the sorted distinct labels if that is `None`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::UnsupportedFile`], [`Error::Delimiter`], [`Error::MissingColumn`], [`Error::SameColumns`],
    /// [`Error::NoExamples`], [`Error::SameLabels`]; at a line of the file [`Error::Csv`], [`Error::Quote`],
    /// [`Error::Json`], [`Error::EmptyField`], [`Error::Record`], and [`Error::UnknownLabel`] for a label that is not
    /// among `labels`.
    pub fn open(
        path: impl AsRef<Path>,
        tokenizer: &Tokenizer,
        columns: &Columns,
        labels: Option<&[String]>,
    ) -> Result<Self> {
        let path = path.as_ref();
        let found = read_records(path, columns, true)?;
        let records = &found.records;
        let names = || records.iter().map(|record| record.label.as_deref().unwrap_or_default());
        let classes = Classes::new(labels, names(), path)?;
        let labels = names()
            .zip(records)
            .map(|(name, record)| classes.index(name, path, Some(record.line)))
            .collect::<Result<Vec<_>>>()?;
        let encode = |record: &Record| {
            tokenizer.encode(&record.text).map_err(|source| Error::Record {
                path: path.to_path_buf(),
                line: record.line,
                source: Box::new(source),
            })
        };
        // Gathered before the first error is looked for: which one is found must not depend on the threads.
        let encoded: Vec<Result<Encoded>> = records.par_iter().map(encode).collect();
        let encoded = encoded.into_iter().collect::<Result<Vec<_>>>()?;
        let mut notes = found.notes(path);
        let cut: Vec<usize> =
            records.iter().zip(&encoded).filter(|(_, e)| e.is_cut).map(|(record, _)| record.line).collect();
        let place = cut.first().map(|line| format!("{}:{line}", path.display()));
        notes.extend(Note::of(tokenizer.cut_off(), cut.len(), place));
        Ok(Self {
            segments: Segments::from_lengths(encoded.iter().map(|encoded| encoded.ids.len())),
            ids: encoded.into_iter().flat_map(|encoded| encoded.ids).collect(),
            labels,
            classes: classes.into_names(),
            settings: tokenizer.settings(),
            notes,
        })
    }

    /// What is left out of the file or cut off.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Tokens of example `index`, `[rows]`.
    ///
    /// # Panics
    /// If `index` is not below [`Examples::len`].
    pub fn ids(&self, index: usize) -> &[u32] {
        &self.ids[self.segments.range(index)]
    }
}

impl Examples for TextSet {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        self.labels[index]
    }

    fn rows(&self, index: usize) -> usize {
        self.segments.range(index).len()
    }

    fn settings(&self) -> Settings {
        self.settings.clone()
    }

    fn batch(&self, indices: &[usize]) -> std::result::Result<Input, runtime::Error> {
        let segments = Segments::from_lengths(indices.iter().map(|&index| self.rows(index)));
        let mut ids = Vec::with_capacity(segments.rows());
        for &index in indices {
            ids.extend_from_slice(self.ids(index));
        }
        Ok(Input::Tokens(Tokens { ids, segments }))
    }
}

/// The texts of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The texts, in order.
    pub texts: Vec<String>,
    /// What is left out of the file.
    pub notes: Vec<Note>,
}

/// The texts of a file whose labels, if it has any, do not matter: the formats of [`TextSet::open`], and
/// `.txt` with one text a line, blank ones too.
///
/// # Errors
/// Those of [`TextSet::open`] that are not about labels or tokens.
pub fn read_texts(path: impl AsRef<Path>, columns: &Columns) -> Result<Texts> {
    let path = path.as_ref();
    let found = read_records(path, columns, false)?;
    let notes = found.notes(path);
    Ok(Texts { texts: found.records.into_iter().map(|record| record.text).collect(), notes })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, tokenizer_json};
    use super::*;

    fn open(content: &str, tokenizer: &str, labels: Option<&[String]>) -> Result<TextSet> {
        let folder = Folder::new();
        let tokenizer = Tokenizer::open(folder.write("t.json", tokenizer), 8).unwrap();
        TextSet::open(folder.write("f.csv", content), &tokenizer, &Columns::default(), labels)
    }

    const CONTENT: &str = "text,label\nred car,warm\nblue,cold\nred,warm\n";

    #[test]
    fn a_batch_packs_its_texts_in_order() {
        let set = open(CONTENT, &tokenizer_json(true), None).unwrap();
        assert_eq!((set.len(), set.classes()), (3, ["cold".to_string(), "warm".to_string()].as_slice()));
        assert_eq!(
            (0..3).map(|index| (set.label(index), set.rows(index))).collect::<Vec<_>>(),
            [(1, 4), (0, 3), (1, 3)]
        );
        let Input::Tokens(batch) = set.batch(&[2, 0]).unwrap() else { panic!("texts are tokens") };
        assert_eq!(batch.ids, [2, 4, 3, 2, 4, 5, 3]);
        assert_eq!(batch.segments, Segments::from_lengths([3, 4]));
        assert!(set.batch(&[]).unwrap().is_empty());
    }

    #[test]
    fn given_labels_are_the_classes() {
        let labels = ["warm", "mild", "cold"].map(String::from);
        let set = open(CONTENT, &tokenizer_json(true), Some(&labels)).unwrap();
        assert_eq!((set.label(0), set.label(1), set.classes().len()), (0, 2, 3));
        let error = open(CONTENT, &tokenizer_json(true), Some(&labels[..1])).unwrap_err();
        assert!(matches!(error, Error::UnknownLabel { line: Some(3), known: 1, .. }));
    }

    #[test]
    fn unusable_texts_name_their_line() {
        let long = "x".repeat(1_100_000);
        let error = open(&format!("text,label\nred,a\n{long},a\n"), &tokenizer_json(true), None).unwrap_err();
        assert!(matches!(error, Error::Record { line: 3, .. }), "{error}");
    }

    #[test]
    fn texts_are_read_without_labels() {
        let folder = Folder::new();
        let path = folder.write("f.jsonl", "{\"query\": \"red\"}\n{\"query\": \"blue\"}");
        assert_eq!(read_texts(&path, &Columns::default()).unwrap().texts, ["red", "blue"]);
    }

    #[test]
    fn texts_that_are_cut_off_are_counted() {
        let set = open(
            "text,label\nred,a\nred red red red red red red,b\n\nred red red red red red,b\n",
            &tokenizer_json(true),
            None,
        )
        .unwrap();
        let notes: Vec<String> = set.notes().iter().map(Note::to_string).collect();
        assert_eq!(notes.len(), 2);
        assert!(notes[0].starts_with("1 blank lines left out, first ") && notes[0].ends_with("f.csv:4"));
        assert!(
            notes[1].starts_with("1 texts that are cut off at 8 tokens") && notes[1].ends_with("f.csv:3"),
            "{}",
            notes[1]
        );
        assert_eq!(set.settings().get(Settings::MAX_TOKENS), Some("8"));
    }
}
