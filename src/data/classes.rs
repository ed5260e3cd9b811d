//! Class names, and the index of each.

use super::{Error, Result};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use unicode_normalization::UnicodeNormalization;

/// Classes of a data set; a label is an index into their names.
pub(super) struct Classes {
    names: Vec<String>,
    index: HashMap<String, usize>,
}

impl Classes {
    /// The `given` names in their order, or else the distinct ones among `labels` of `path`, sorted.
    ///
    /// # Errors
    /// [`Error::SameLabels`] if two of the labels look the same.
    pub(super) fn new<'a>(
        given: Option<&[String]>,
        labels: impl Iterator<Item = &'a str>,
        path: &Path,
    ) -> Result<Self> {
        if let Some(names) = given {
            return Ok(Self::from_names(names.to_vec()));
        }
        let names: Vec<String> = labels.collect::<BTreeSet<_>>().into_iter().map(String::from).collect();
        let mut composed: HashMap<String, &String> = HashMap::new();
        for name in &names {
            if let Some(other) = composed.insert(name.nfc().collect(), name) {
                let [a, b] = [other, name].map(|name| name.escape_unicode_marks());
                return Err(Error::SameLabels { path: path.to_path_buf(), a, b });
            }
        }
        Ok(Self::from_names(names))
    }

    /// The `names` in their order.
    pub(super) fn from_names(names: Vec<String>) -> Self {
        let index = names.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect();
        Self { names, index }
    }

    /// Index of the class `label`, found in `path` at `line`.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`].
    pub(super) fn index(&self, label: &str, path: &Path, line: Option<usize>) -> Result<usize> {
        self.index.get(label).copied().ok_or_else(|| Error::UnknownLabel {
            path: path.to_path_buf(),
            line,
            label: label.to_string(),
            known: self.names.len(),
            hint: self.hint(label),
        })
    }

    /// What a label that is none of the classes may be meant to be.
    fn hint(&self, label: &str) -> String {
        let composed = |text: &str| text.nfc().collect::<String>();
        let same = |alike: &dyn Fn(&str) -> String| self.names.iter().find(|name| alike(name) == alike(label));
        if let Some(name) = same(&composed) {
            let [name, label] = [name, label].map(str::escape_unicode_marks);
            return format!(
                "; `{label}` and the class `{name}` are composed of other characters and look the same: write both alike (Unicode normalization form C)"
            );
        }
        match same(&|text| composed(text).to_lowercase().split_whitespace().collect()) {
            Some(name) => format!("; there is a class `{name}`"),
            None => String::new(),
        }
    }

    /// Names of the classes.
    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }
}

trait EscapeMarks {
    fn escape_unicode_marks(&self) -> String;
}

impl EscapeMarks for str {
    /// The same with all that is not ASCII as its number, so that people see what differs.
    fn escape_unicode_marks(&self) -> String {
        self.chars().map(|c| if c.is_ascii() { c.to_string() } else { c.escape_unicode().to_string() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_labels_are_sorted() {
        let classes = Classes::new(None, ["b", "a", "b"].into_iter(), Path::new("f")).unwrap();
        assert_eq!(classes.index("b", Path::new("f"), None).unwrap(), 1);
        assert_eq!(classes.into_names(), ["a", "b"]);
    }

    #[test]
    fn given_names_keep_their_order_and_admit_no_other() {
        let given = ["z".to_string(), "a".to_string()];
        let classes = Classes::new(Some(&given), ["a", "q"].into_iter(), Path::new("f")).unwrap();
        assert_eq!(classes.index("z", Path::new("f"), None).unwrap(), 0);
        let error = classes.index("q", Path::new("f"), Some(3)).unwrap_err();
        assert!(matches!(error, Error::UnknownLabel { line: Some(3), known: 2, ref label, .. } if label == "q"));
    }

    #[test]
    fn labels_that_look_the_same_are_told_apart() {
        let (one, two) = ("caf\u{e9}", "cafe\u{301}");
        let error = Classes::new(None, [one, two].into_iter(), Path::new("f")).err().unwrap();
        let message = error.to_string();
        assert!(message.contains("`caf\\u{e9}`") && message.contains("`cafe\\u{301}`"), "{message}");
        let classes = Classes::from_names(vec![one.to_string(), "Tea time".to_string()]);
        let message = |label| classes.index(label, Path::new("f"), None).unwrap_err().to_string();
        assert!(message(two).contains("`cafe\\u{301}` and the class `caf\\u{e9}`"), "{}", message(two));
        assert!(message("tea  time").contains("there is a class `Tea time`"));
        assert!(!message("milk").contains("there is a class"));
    }
}
