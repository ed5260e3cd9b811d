//! What is printed: with control characters shown and not obeyed, and never the end of a run.

use std::fmt::{Display, Write as _};
use std::io::{self, ErrorKind, Write, stderr, stdout};
use std::sync::OnceLock;

use serde_json::Value;

use super::Mode;

/// Why standard output takes no more, but for a reader that has gone.
static FAILED: OnceLock<String> = OnceLock::new();

/// The same text with every character that would move the cursor, colour what follows or reorder the line as its number:
/// names, labels and paths come from files of others.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if !is_control(character) => out.push(character),
            '\n' | '\r' | '\t' => out.extend(character.escape_default()),
            _ => _ = write!(out, "\\u{{{:x}}}", u32::from(character)),
        }
    }
    out
}

/// Control characters, separators of lines, and those that set the direction of writing.
fn is_control(character: char) -> bool {
    let is_direction = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || is_direction || matches!(character, '\u{61c}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Says on standard error what must not be missed.
pub(super) fn note(text: impl Display) {
    line_to(&mut stderr(), "note: ", &text);
}

/// Says on standard error why a command failed.
pub(super) fn error(text: impl Display) {
    line_to(&mut stderr(), "error: ", &text);
}

/// A line of progress on standard error.
pub(super) fn progress(text: impl Display) {
    line_to(&mut stderr(), "", &text);
}

/// Standard error that is closed or full has nobody to be told.
fn line_to(out: &mut impl Write, before: &str, text: &impl Display) {
    let _ = writeln!(out, "{before}{}", escaped(&text.to_string()));
}

impl Mode {
    /// Prints a line for a person.
    pub(super) fn say(&self, line: impl Display) {
        if !self.json {
            print(&escaped(&line.to_string()));
        }
    }

    /// Prints a line of fields with tabs between them, for a person or a program.
    pub(super) fn row(&self, fields: &[&str]) {
        if !self.json {
            print(&fields.iter().map(|field| escaped(field)).collect::<Vec<_>>().join("\t"));
        }
    }

    /// Prints the result for a machine.
    pub(super) fn result(&self, value: &Value) {
        if self.json {
            print(&json(value));
        }
    }
}

/// One line of JSON, in which what JSON allows and a terminal obeys is a number, too.
fn json(value: &Value) -> String {
    let mut out = String::new();
    for character in value.to_string().chars() {
        if is_control(character) {
            // Of UTF-16, as JSON has it.
            character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(out, "\\u{unit:04x}"));
        } else {
            out.push(character);
        }
    }
    out
}

fn print(line: &str) {
    if FAILED.get().is_some() {
        return;
    }
    if let Err(error) = writeln!(stdout(), "{line}") {
        fail(&error);
    }
}

fn fail(error: &io::Error) {
    // A reader that has read enough is no failure.
    let reason = if error.kind() == ErrorKind::BrokenPipe { String::new() } else { error.to_string() };
    let _ = FAILED.set(reason);
}

/// Why what was said did not all arrive, if somebody waits for it.
pub(super) fn unsaid() -> Option<String> {
    if let Err(error) = stdout().flush() {
        fail(&error);
    }
    FAILED.get().filter(|reason| !reason.is_empty()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(
            escaped("a\u{1b}[2Jb\r\nc\td\u{202e}e\u{9b}f\u{7f}"),
            "a\\u{1b}[2Jb\\r\\nc\\td\\u{202e}e\\u{9b}f\\u{7f}"
        );
        assert_eq!(escaped("plain, größer, 日本, 🙂"), "plain, größer, 日本, 🙂");
        let value = serde_json::json!({ "label": "a\u{1b}\u{9b}\u{202e}\n" });
        assert_eq!(json(&value), r#"{"label":"a\u001b\u009b\u202e\n"}"#);
        assert_eq!(serde_json::from_str::<Value>(&json(&value)).unwrap(), value);
    }
}
