//! What can be wrong with a data set, where, and what to do about it.

use super::idx_error::IdxError;
use crate::files;
use std::path::{Path, PathBuf};

/// Why data could not be read.
///
/// The message names the file, the line where there is one, and the way out. The underlying error of a
/// library is the [`source`](std::error::Error::source) and is not repeated in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file is of a size or kind that is not read.
    #[error(transparent)]
    File(files::Error),
    /// A CSV or TSV file is malformed.
    #[error("{}: malformed record; every record needs as many fields as the header, in UTF-8", place(path, *line))]
    Csv {
        /// The file.
        path: PathBuf,
        /// Line the record starts on, counted from 1.
        line: Option<usize>,
        /// What the CSV reader says.
        source: csv::Error,
    },
    /// A line of a JSONL file does not hold what it should.
    #[error("{}:{line}: {reason}; every line must be one JSON object", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The text or the label column is not there, or cannot be told from the others.
    #[error(
        "{}: no {} among the columns {}; {}",
        path.display(), wanted(role, column.as_deref()), list(found), way_out(role, found)
    )]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// `text` or `label`.
        role: &'static str,
        /// The name that was asked for, `None` where the column was to be recognised.
        column: Option<String>,
        /// The columns of the file.
        found: Vec<String>,
    },
    /// A record has a blank text or label.
    #[error("{}:{line}: the {role} is empty; fill it in or remove the record", path.display())]
    EmptyField {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// `text` or `label`.
        role: &'static str,
    },
    /// A label is none of the classes of the adapter.
    #[error(
        "{}: label `{label}` is none of the adapter's {known} classes{hint}; use the data set's own adapter or relabel",
        place(path, *line)
    )]
    UnknownLabel {
        /// The file, or the class folder.
        path: PathBuf,
        /// Line, or number of the label in an IDX file, counted from 1; `None` for a folder.
        line: Option<usize>,
        /// The label.
        label: String,
        /// Number of known classes.
        known: usize,
        /// What it may be meant to be, after `; `; empty where nothing is like it.
        hint: String,
    },
    /// Two labels look the same and are not.
    #[error(
        "{}: the labels `{a}` and `{b}` look the same and are two classes; write both alike (Unicode normalization form C)",
        path.display()
    )]
    SameLabels {
        /// The file or folder.
        path: PathBuf,
        /// One of them, with what is not ASCII as numbers.
        a: String,
        /// The other.
        b: String,
    },
    /// The name of a class folder is no text.
    #[error("{}: a class has the name of its folder, which is not UTF-8; rename it", path.display())]
    ClassName {
        /// The folder.
        path: PathBuf,
    },
    /// The subfolders of a folder are no classes.
    #[error("{}: {} are the parts of a data set and no classes; name one of them", path.display(), list(found))]
    Splits {
        /// The folder.
        path: PathBuf,
        /// Its subfolders.
        found: Vec<String>,
    },
    /// A quote of a CSV file has no end where one could be.
    #[error(
        "{}:{line}: {problem}; double every quote within a field, or pass `--quoting off` where quotes are text",
        path.display()
    )]
    Quote {
        /// The file.
        path: PathBuf,
        /// Line on which the field begins, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A character cannot separate fields.
    #[error("{}: fields cannot be separated by {delimiter:?}; name an ASCII character that is no quote and no line break", path.display())]
    Delimiter {
        /// The file.
        path: PathBuf,
        /// The character.
        delimiter: char,
    },
    /// A file is not text.
    #[error("{}: not UTF-8 from byte {at} on, as UTF-16 or Latin-1 are not; save it as UTF-8", path.display())]
    Utf8 {
        /// The file.
        path: PathBuf,
        /// Position of the first byte that is none.
        at: usize,
    },
    /// A column that is to be read is there twice.
    #[error("{}: there are {count} columns `{name}`; rename all but one, or name another (`--text-column`, `--label-column`)", path.display())]
    SameColumns {
        /// The file.
        path: PathBuf,
        /// Their name.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// There is nothing to read.
    #[error("{}: no examples; expected {expected}", path.display())]
    NoExamples {
        /// The file or folder.
        path: PathBuf,
        /// What would count as an example.
        expected: &'static str,
    },
    /// A class folder gives no image.
    #[error(
        "{}: no readable JPEG or PNG file in this class folder; remove it, or open the folder that holds the classes",
        path.display()
    )]
    EmptyClass {
        /// The class folder.
        path: PathBuf,
    },
    /// `tokenizer.json` is malformed, or holds what is not known to be harmless.
    #[error("{}: not a tokenizer that is read here: {problem}", path.display())]
    Hazard {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// The limit on tokens leaves no room for text.
    #[error("{}: {max_tokens} tokens, of which {special} are special, leave none for text; allow more", path.display())]
    MaxTokens {
        /// The tokenizer.
        path: PathBuf,
        /// The limit asked for.
        max_tokens: usize,
        /// Special tokens of every sequence.
        special: usize,
    },
    /// A text could not be turned into tokens.
    #[error("{}: cannot tokenize {text:?}; its vocabulary lacks an unknown token", path.display())]
    Encode {
        /// The tokenizer.
        path: PathBuf,
        /// The beginning of the text.
        text: String,
        /// What the tokenizer library says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A text has more letters than its tokens could be told from.
    #[error(
        "{}: {text:?}… has {bytes} bytes and fewer tokens than the limit in its first {read}; split it or leave it out",
        path.display()
    )]
    TooLong {
        /// The tokenizer.
        path: PathBuf,
        /// The beginning of the text.
        text: String,
        /// Its length.
        bytes: usize,
        /// How much of it was read.
        read: usize,
    },
    /// A text has no token, not even a special one.
    #[error("{}: {text:?} gives no tokens; remove it", path.display())]
    NoTokens {
        /// The tokenizer.
        path: PathBuf,
        /// The beginning of the text.
        text: String,
    },
    /// A record could be read but not be used.
    #[error("{}:{line}: unusable text", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// An IDX file is malformed, or does not fit the other of its pair.
    #[error("{}: {problem}", path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: IdxError,
    },
    /// A folder holds several IDX image files.
    #[error("{}: several image files, {}; name one of them", path.display(), list(found))]
    SeveralIdx {
        /// The folder.
        path: PathBuf,
        /// Names of the files.
        found: Vec<String>,
    },
    /// An image could not be decoded.
    #[error("{}: not a readable JPEG or PNG image", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        source: image::ImageError,
    },
    /// Too many images of a folder could not be decoded.
    #[error(
        "{}: {skipped} of {total} images are unreadable, first {}: {reason}; repair or remove them",
        path.display(), first.display()
    )]
    SkippedImages {
        /// The folder.
        path: PathBuf,
        /// Number of unreadable images.
        skipped: usize,
        /// Number of images.
        total: usize,
        /// The first of them.
        first: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The image format of the base makes no sense.
    #[error("image format of the base: {reason}; correct its config.json")]
    ImageSpec {
        /// What is wrong with it.
        reason: String,
    },
    /// The parts of an image set do not fit together.
    #[error("image set: {reason}")]
    Parts {
        /// What does not fit.
        reason: String,
    },
    /// The data is not of the kind that the base reads.
    #[error("{}: holds {holds}, but the base takes {takes}; choose another base or other data", path.display())]
    WrongKind {
        /// The file or folder.
        path: PathBuf,
        /// `texts` or `images`.
        holds: &'static str,
        /// What the base takes.
        takes: &'static str,
    },
    /// The file is of no kind that can be read here.
    #[error("{}: files {} are not read here; supported: {}", path.display(), ending(extension), supported.join(", "))]
    UnsupportedFile {
        /// The file.
        path: PathBuf,
        /// Its extension, empty if it has none.
        extension: String,
        /// What can be read here.
        supported: &'static [&'static str],
    },
}

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        match error {
            files::Error::Io { path, source } => Error::Io { path, source },
            other => Error::File(other),
        }
    }
}

impl Error {
    /// Turns the failure of an operation on `path` into an error that names it.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Error::Io { path: path.to_path_buf(), source }
    }

    /// What a library says, or else the message: the reason alone where the path stands beside it.
    pub(super) fn reason(&self) -> String {
        std::error::Error::source(self).map_or_else(|| self.to_string(), |source| source.to_string())
    }
}

fn place(path: &Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    }
}

fn wanted(role: &str, column: Option<&str>) -> String {
    match column {
        Some(column) => format!("{role} column `{column}`"),
        None => format!("{role} column is recognised"),
    }
}

fn way_out(role: &str, found: &[String]) -> String {
    let separated = |delimiter: &&str| found.len() == 1 && found[0].contains(*delimiter);
    match [";", "\t", "|", ","].into_iter().find(separated) {
        Some("\t") => "fields seem to be separated by tabs: pass `--delimiter tab`".to_owned(),
        Some(delimiter) => format!("fields seem to be separated by `{delimiter}`: pass `--delimiter '{delimiter}'`"),
        None => format!("name it with `--{role}-column`"),
    }
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn ending(extension: &str) -> String {
    match extension {
        "" => "without an extension".into(),
        extension => format!("ending in .{extension}"),
    }
}
