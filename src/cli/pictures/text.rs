//! Other people's text, made safe to show, and numbers for axes and tables.

/// Whether a character would be invisible, is not allowed in XML, or turns the direction of what follows.
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

/// Every odd character replaced by the mark for one.
pub(super) fn cleaned(text: &str) -> String {
    text.chars().map(|c| if is_odd(c) { '\u{fffd}' } else { c }).collect()
}

/// Text for the content or a quoted attribute of HTML and XML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in cleaned(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// At most `most` characters, cleaned; a longer text loses its middle. The SVG writer escapes it.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let text = cleaned(text);
    let length = text.chars().count();
    if length <= most {
        return text;
    }
    let head = most.saturating_sub(1) / 2;
    let tail = most.saturating_sub(1) - head;
    text.chars().take(head).chain(['…']).chain(text.chars().skip(length - tail)).collect()
}

/// About how wide a text of this size is in a sans-serif font.
pub(super) fn width(text: &str, size: f64) -> i32 {
    (text.chars().count() as f64 * size * 0.56).ceil() as i32
}

/// A number with three digits that count, and no zeros after them.
pub(super) fn short(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => return "0".to_owned(),
        size if !(1e-4..1e7).contains(&size) => return format!("{value:.1e}"),
        size => (2 - size.log10().floor() as i32).max(0) as usize,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A count with k, M or G.
pub(super) fn scaled(count: f64) -> String {
    let (value, unit) = match count {
        ..1e3 => (count, ""),
        ..1e6 => (count / 1e3, " k"),
        ..1e9 => (count / 1e6, " M"),
        _ => (count / 1e9, " G"),
    };
    format!("{}{unit}", short(value))
}

/// A change of a layer: a share of its norm where the base is known, else as it is.
pub(super) fn change(value: f32, relative: bool) -> String {
    if relative { format!("{} %", short(100.0 * f64::from(value))) } else { short(value.into()) }
}

/// What the changes of layers are, for an axis.
pub(super) fn measure(relative: bool) -> &'static str {
    match relative {
        true => "change of the layer ‖δ‖ / ‖W̄‖",
        false => "change of the layer ‖δ‖ / √elements",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(
            escaped("<a b=\"c\" d='e'>&\u{0}\u{202e}"),
            "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;\u{fffd}\u{fffd}"
        );
        assert_eq!(shortened("a\nb", 9), "a\u{fffd}b");
    }

    #[test]
    fn long_text_keeps_both_ends() {
        assert_eq!(shortened("abcdefghij", 5), "ab…ij");
        assert_eq!(shortened("äöüäöü", 6), "äöüäöü");
        assert_eq!(shortened("abc", 1), "…");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.5, 0.123456, 12.0, 1234.5, 3e-7, 2e12].map(short);
        assert_eq!(shown, ["0", "0.5", "0.123", "12", "1234", "3.0e-7", "2.0e12"]);
        assert_eq!([5.0, 1500.0, 20e6, 3e9].map(scaled), ["5", "1.5 k", "20 M", "3 G"]);
        assert_eq!((change(0.0421, true), change(0.0421, false)), ("4.21 %".to_owned(), "0.0421".to_owned()));
    }
}
