//! CSV and TSV files.

use super::columns::Positions;
use super::record::{Record, Records};
use super::{Columns, Error, Result};
use crate::files;
use std::path::Path;

/// Records of a file with a header line, and with fields separated by `delimiter` and, if `quoting`, quoted with `"`.
pub(super) fn read_separated(
    path: &Path,
    delimiter: u8,
    quoting: bool,
    columns: &Columns,
    labelled: bool,
) -> Result<Records> {
    let content = files::read(path)?;
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(Error::Utf8 { path: path.to_path_buf(), at: 0 });
    }
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
    let mut found = Records::default();
    if quoting {
        check_quotes(path, content, delimiter)?;
    }
    let malformed = |source: csv::Error| Error::Csv {
        path: path.to_path_buf(),
        line: source.position().map(|position| Lines::new(content).line(position)),
        source,
    };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).quoting(quoting).trim(csv::Trim::Headers).from_reader(content);
    let header = reader.headers().map_err(malformed)?;
    let header: Vec<String> = header.iter().map(String::from).collect();
    let Positions { text, label } = columns.find(&header, path, labelled)?;
    let mut lines = Lines::new(content);
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let line = record.position().map_or(0, |position| lines.line(position));
        if record.iter().any(|field| field.contains('\n')) {
            found.spanning.push(line);
        }
        found.records.push(Record {
            line,
            text: record.get(text).unwrap_or_default().to_string(),
            label: label.and_then(|label| record.get(label)).map(|label| label.trim().to_string()),
        });
    }
    // Those at the end are no mistake.
    found.blank = lines.blank;
    Ok(found)
}

/// Every quote that opens a field is closed, right before a delimiter or the end of a line: otherwise the reader would take
/// lines together until the next quote.
fn check_quotes(path: &Path, content: &[u8], delimiter: u8) -> Result<()> {
    let (mut at, mut line) = (0, 1);
    while at < content.len() {
        // The beginning of a field.
        if content[at] == b'"' {
            let start = line;
            let wrong = |problem| Err(Error::Quote { path: path.to_path_buf(), line: start, problem });
            at += 1;
            loop {
                match (content.get(at), content.get(at + 1)) {
                    (None, _) => return wrong("a quote opens a field that no quote closes"),
                    (Some(b'"'), Some(b'"')) => at += 2,
                    (Some(b'"'), _) => break,
                    (Some(&byte), _) => {
                        line += usize::from(byte == b'\n');
                        at += 1;
                    }
                }
            }
            at += 1;
            if content.get(at).is_some_and(|&byte| byte != delimiter && !matches!(byte, b'\r' | b'\n')) {
                return wrong("text follows the quote that closes a field");
            }
        }
        while let Some(&byte) = content.get(at) {
            at += 1;
            line += usize::from(byte == b'\n');
            if byte == delimiter || byte == b'\n' {
                break;
            }
        }
    }
    Ok(())
}

/// Line numbers of ascending positions. The reader's own are those of the line break before a record, and
/// leave out blank lines.
struct Lines<'a> {
    content: &'a [u8],
    byte: usize,
    line: usize,
    /// Blank lines before records.
    blank: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(content: &'a [u8]) -> Self {
        Self { content, byte: 0, line: 1, blank: Vec::new() }
    }

    /// Line of the record at `position`, counted from 1.
    fn line(&mut self, position: &csv::Position) -> usize {
        let record = position.byte() as usize;
        while let Some(&byte) = self.content.get(self.byte)
            && (self.byte < record || matches!(byte, b'\r' | b'\n'))
        {
            let is_start = self.byte == 0 || self.content[self.byte - 1] == b'\n';
            if self.byte >= record && byte == b'\n' && (is_start || self.content[..self.byte].ends_with(b"\n\r")) {
                self.blank.push(self.line);
            }
            self.line += usize::from(byte == b'\n');
            self.byte += 1;
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Folder;
    use super::*;

    fn read_as(content: impl AsRef<[u8]>, delimiter: u8, quoting: bool) -> Result<Records> {
        let path = Folder::new();
        read_separated(&path.write("f.csv", content), delimiter, quoting, &Columns::default(), true)
    }

    fn read(content: impl AsRef<[u8]>) -> Result<Records> {
        read_as(content, b',', true)
    }

    #[test]
    fn a_line_is_where_the_record_starts() {
        for newline in ["\n", "\r\n"] {
            for mark in ["", "\u{feff}"] {
                let content = format!("{mark}text,label\n\n\"a\nb\",x\nc,y\n\n\nd,z\n\n").replace('\n', newline);
                let found = read(&content).unwrap();
                let lines: Vec<usize> = found.records.iter().map(|record| record.line).collect();
                assert_eq!(lines, [3, 5, 8], "{content:?}");
                assert_eq!((found.spanning, found.blank), (vec![3], vec![2, 6, 7]), "{content:?}");
            }
        }
    }

    #[test]
    fn malformed_records_name_their_line() {
        for content in [&b"text,label\r\na,b\r\n\r\na,b,c\r\n"[..], b"text,label\na,b\n\n\xff,x\n"] {
            let error = read(content).unwrap_err();
            assert!(matches!(error, Error::Csv { line: Some(4), .. }), "{error:?}");
        }
    }

    #[test]
    fn unusable_headers_are_errors() {
        assert!(matches!(read(""), Err(Error::MissingColumn { found, .. }) if found.is_empty()));
        assert!(matches!(read(b"text,label,\xff\n"), Err(Error::Csv { line: Some(1), .. })));
    }

    #[test]
    fn a_stray_quote_swallows_no_line() {
        let stray = |content: &str| match read(content).unwrap_err() {
            Error::Quote { line, .. } => line,
            other => panic!("{other}"),
        };
        assert_eq!(stray("text,label\na,x\n\"b,y\nc,x\n"), 3);
        assert_eq!(stray("text,label\na,x\n\"b,y\nc,x\n\"d,z\n"), 3);
        assert_eq!(stray("text,label\n\"a\"\"\",x\n\"b\" ,y\n"), 3);
        assert_eq!(stray("\"text\",label\n\"a\nb\",x\nc,\"y\n"), 4);
        for fine in ["text,label\n\"a \"\"b\"\"\",x\n", "text,label\n5\" pipe,x", "text,label\n\"\",x\na,\"\""] {
            assert!(read(fine).is_ok(), "{fine}");
        }
        let texts = |found: Records| found.records.into_iter().map(|record| record.text).collect::<Vec<_>>();
        assert_eq!(texts(read_as("text;label\n\"a;x\nb\";y\n", b';', false).unwrap()), ["\"a", "b\""]);
        assert_eq!(texts(read_as("text\tlabel\n\"a\tb\"\tx\n", b'\t', true).unwrap()), ["a\tb"]);
    }
}
