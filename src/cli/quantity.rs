//! Bytes and times as flags take them.

use std::time::Duration;

/// A limit that may be lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit(pub(super) Option<usize>);

/// A limit: a number, or `all` for none.
pub(super) fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "all" => Ok(Limit(None)),
        _ => text.parse().map(|limit| Limit(Some(limit))).map_err(|_| "a number, or all".to_owned()),
    }
}

/// Bytes: a number, or one with k, M or G for powers of 1000.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let unit = |letter: char| match letter {
        'k' | 'K' => Some(1e3),
        'M' => Some(1e6),
        'G' => Some(1e9),
        _ => None,
    };
    scaled(text, unit, usize::MAX as f64)
        .map(|bytes| bytes as usize)
        .ok_or_else(|| "a number of bytes, as 64000, 64k or 20M".to_owned())
}

/// A time: a number of seconds, or one with s, m or h.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let unit = |letter: char| match letter {
        's' => Some(1.0),
        'm' => Some(60.0),
        'h' => Some(3600.0),
        _ => None,
    };
    scaled(text, unit, 1e9)
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "a number of seconds, as 90, 90s, 5m or 2h".to_owned())
}

/// A number from 0 to `highest`, times what the letter after it stands for.
fn scaled(text: &str, unit: impl Fn(char) -> Option<f64>, highest: f64) -> Option<f64> {
    let (number, factor) = match text.chars().last().and_then(unit) {
        Some(factor) => (&text[..text.len() - 1], factor),
        None => (text, 1.0),
    };
    let digits = number.chars().all(|character| character.is_ascii_digit() || character == '.');
    let value = number.parse::<f64>().ok().filter(|_| digits)? * factor;
    (0.0..highest).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_decimal_units() {
        let read = ["64000", "64k", "0.5M", "2G", "0"].map(|text| bytes(text).unwrap());
        assert_eq!(read, [64_000, 64_000, 500_000, 2_000_000_000, 0]);
        for wrong in ["", "k", "-1", "1e3", "12 k", "12kB", "inf", "nan", "1m"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_may_be_lifted() {
        assert_eq!([limit("3"), limit("all")], [Ok(Limit(Some(3))), Ok(Limit(None))]);
        assert!(limit("-1").is_err() && limit("any").is_err());
    }

    #[test]
    fn times_are_seconds_unless_said() {
        let read = ["90", "90s", "1.5m", "2h"].map(|text| time(text).unwrap().as_secs());
        assert_eq!(read, [90, 90, 90, 7200]);
        for wrong in ["", "s", "5M", "-1s", "1d", "99999999999999999h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
