//! CSV and TSV files.

use super::columns::Positions;
use super::records::Record;
use super::{Columns, Error, Result};
use std::path::Path;

/// Records of a file with a header line, and with fields separated by `delimiter` and quoted with `"`.
pub(super) fn read_separated(path: &Path, delimiter: u8, columns: &Columns, labelled: bool) -> Result<Vec<Record>> {
    let content = std::fs::read(path).map_err(Error::io(path))?;
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
    let malformed = |source: csv::Error| Error::Csv {
        path: path.to_path_buf(),
        line: source.position().map(|position| Lines::new(content).line(position)),
        source,
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::Headers).from_reader(content);
    let header = reader.headers().map_err(malformed)?;
    let header: Vec<String> = header.iter().map(String::from).collect();
    let Positions { text, label } = columns.find(&header, path, labelled)?;
    let mut lines = Lines::new(content);
    let mut records = Vec::new();
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        records.push(Record {
            line: record.position().map_or(0, |position| lines.line(position)),
            text: record.get(text).unwrap_or_default().to_string(),
            label: label.and_then(|label| record.get(label)).map(|label| label.trim().to_string()),
        });
    }
    Ok(records)
}

/// Line numbers of ascending positions. The reader's own are those of the line break before a record, and
/// leave out blank lines.
struct Lines<'a> {
    content: &'a [u8],
    byte: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(content: &'a [u8]) -> Self {
        Self { content, byte: 0, line: 1 }
    }

    /// Line of the record at `position`, counted from 1.
    fn line(&mut self, position: &csv::Position) -> usize {
        let record = position.byte() as usize;
        while let Some(&byte) = self.content.get(self.byte)
            && (self.byte < record || matches!(byte, b'\r' | b'\n'))
        {
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

    fn read(content: impl AsRef<[u8]>) -> Result<Vec<Record>> {
        let path = Folder::new();
        read_separated(&path.write("f.csv", content), b',', &Columns::default(), true)
    }

    #[test]
    fn a_line_is_where_the_record_starts() {
        for newline in ["\n", "\r\n"] {
            for mark in ["", "\u{feff}"] {
                let content = format!("{mark}text,label\n\n\"a\nb\",x\nc,y\n\n\nd,z").replace('\n', newline);
                let lines: Vec<usize> = read(&content).unwrap().iter().map(|record| record.line).collect();
                assert_eq!(lines, [3, 5, 8], "{content:?}");
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
}
