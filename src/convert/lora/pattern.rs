//! `rank_pattern` and `alpha_pattern`: Python regular expressions, of which the first that matches a module's name counts.

use fancy_regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::fields::numbers;

/// Patterns of a field beyond which it is none that PEFT wrote.
const MOST: usize = 4096;
/// Characters of a pattern, likewise.
const LONGEST: usize = 512;
/// Steps back that a match may take, and bytes that a compiled pattern may have: of patterns that people write none comes
/// near.
const STEPS: usize = 100_000;
const COMPILED: usize = 1 << 20;

/// The patterns of a field with their numbers, in the order of the file.
pub(super) struct Patterns {
    name: &'static str,
    all: Vec<(Regex, f64)>,
}

impl Patterns {
    pub(super) fn read(name: &'static str, field: Option<&Value>) -> Result<Self, String> {
        let none = Map::new();
        let fields = match field {
            None | Some(Value::Null) => &none,
            Some(Value::Object(fields)) => fields,
            Some(_) => return Err(format!("{name} is no object")),
        };
        if fields.len() > MOST {
            return Err(format!("{name} has {} patterns, and at most {MOST} are read", fields.len()));
        }
        let compile = |(pattern, number): (String, f64)| match compiled(&pattern) {
            Ok(regex) => Ok((regex, number)),
            Err(why) => {
                let shown: String = pattern.chars().take(80).collect();
                Err(format!("{name}: the pattern {shown:?} is not supported: {why}"))
            }
        };
        Ok(Self { name, all: numbers(name, fields)?.into_iter().map(compile).collect::<Result<_, _>>()? })
    }

    /// The number of the first pattern that matches the name of a module.
    pub(super) fn find(&self, module: &str) -> Result<Option<f64>, String> {
        for (regex, number) in &self.all {
            match regex.is_match(module) {
                Ok(true) => return Ok(Some(*number)),
                Ok(false) => {}
                Err(error) => return Err(format!("{}: the pattern {}: {error}", self.name, regex.as_str())),
            }
        }
        Ok(None)
    }
}

/// PEFT's `re.match(rf"(.*\.)?({pattern})$", name)`.
fn compiled(pattern: &str) -> Result<Regex, String> {
    check(pattern)?;
    let whole = format!(r"\A(?:(.*\.)?({pattern})\z)");
    let regex = RegexBuilder::new(&whole).backtrack_limit(STEPS).delegate_size_limit(COMPILED).build();
    regex.map_err(|error| error.to_string())
}

/// Refuses what Python reads otherwise than the library here does, so that no pattern means something else.
fn check(pattern: &str) -> Result<(), String> {
    if pattern.chars().count() > LONGEST {
        return Err(format!("more than {LONGEST} characters"));
    }
    let (mut rest, mut depth, mut in_class) = (pattern, 0_i32, false);
    while let Some(c) = rest.chars().next() {
        let next = rest[c.len_utf8()..].chars().next();
        let mut taken = c.len_utf8();
        match (c, in_class) {
            ('\\', _) => {
                let escaped = next.ok_or("it ends in a backslash")?;
                let known = "dDwWsSbBAtnrfv".contains(escaped) || !escaped.is_alphanumeric();
                let reference = escaped.is_ascii_digit() && escaped != '0' && !in_class;
                if !known && !reference {
                    return Err(format!("\\{escaped}"));
                }
                taken += escaped.len_utf8();
            }
            ('[', false) => {
                in_class = true;
                // A bracket that closes right away is one of the class.
                for first in ["^]", "]", "^"] {
                    if rest[1..].starts_with(first) {
                        taken += first.len();
                        break;
                    }
                }
            }
            (']', true) => in_class = false,
            ('[', true) => return Err("a bracket within a class".to_owned()),
            ('&' | '-' | '~' | '|', true) if next == Some(c) => return Err(format!("{c}{c} within a class")),
            ('(', false) => {
                depth += 1;
                let known = ["(?:", "(?=", "(?!", "(?P<", "(?P="];
                if next == Some('?') && !known.iter().any(|group| rest.starts_with(group)) {
                    return Err(rest.chars().take(4).collect());
                }
            }
            (')', false) => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return Err("a closing parenthesis without an opening one".to_owned());
        }
        rest = &rest[taken..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const QUERY: &str = "bert.encoder.layer.0.attention.self.query";

    fn find(patterns: Value, module: &str) -> Result<Option<f64>, String> {
        Patterns::read("rank_pattern", Some(&patterns))?.find(module)
    }

    #[test]
    fn patterns_match_as_in_python() {
        let matching = [
            "query",
            "self.query",
            QUERY,
            r".*layer\.0\..*query",
            r"encoder\.layer\.[01]\.attention\.self\.(query|value)",
            "(query|key)",
            "^bert.*query",
            "qu.ry",
            ".*uery",
            "query$",
            r"(?!key)\w+",
            r"layer\.\d+\.attention\.self\.query",
            "[^k]uery",
        ];
        for pattern in matching {
            assert_eq!(find(json!({ pattern: 4 }), QUERY), Ok(Some(4.0)), "{pattern}");
        }
        for pattern in
            ["uery", "^query", "key", "layer.0", "query.", "Query", "base_model.model.bert.*", r"layer\.1\..*"]
        {
            assert_eq!(find(json!({ pattern: 4 }), QUERY), Ok(None), "{pattern}");
        }
    }

    #[test]
    fn the_first_in_the_file_counts() {
        let file = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(find(file(r#"{"self.query": 64, "query": 32}"#), QUERY), Ok(Some(64.0)));
        assert_eq!(find(file(r#"{"query": 32, "self.query": 64}"#), QUERY), Ok(Some(32.0)));
        assert_eq!(find(json!(null), QUERY), Ok(None));
        assert!(find(json!([1]), QUERY).is_err());
    }

    #[test]
    fn what_python_reads_otherwise_is_refused() {
        let refused = [
            r"a\Z",
            r"a\z",
            r"\p{L}",
            r"\h",
            r"\x41",
            r"\0",
            "(?i)query",
            "(?<name>a)",
            "(?<=a)b",
            "(?>a)",
            "(?(1)a|b)",
            "[[]",
            "[a&&b]",
            "[a--b]",
            "a)|(b",
            "a\\",
        ];
        for pattern in refused {
            let error = find(json!({ pattern: 4 }), QUERY).expect_err(pattern);
            assert!(error.contains("not supported"), "{error}");
        }
        assert!(find(json!({ "(": 1 }), QUERY).is_err() && find(json!({ "*": 1 }), QUERY).is_err());
        assert!(find(json!({ "a".repeat(513): 1 }), QUERY).is_err());
        let many: Map<String, Value> = (0..4097).map(|number| (number.to_string(), json!(1))).collect();
        assert!(find(Value::Object(many), QUERY).is_err());
    }

    #[test]
    fn no_pattern_takes_long() {
        let name = format!("{}!", "a".repeat(60));
        for pattern in [r"(a+)+", r"(a|aa)+x", r"(?=(a+)+x)a", r"((a+)\1?)+x", r"\w{1,500}"] {
            // Either it is decided, or refused after a bounded number of steps.
            let _ = find(json!({ pattern: 1 }), &name);
        }
        assert!(find(json!({ "((a{500}){500}){500}": 1 }), &name).is_err());
    }
}
