//! Class names, and the index of each.

use super::{Error, Result};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Classes of a data set; a label is an index into their names.
pub(super) struct Classes {
    names: Vec<String>,
    index: HashMap<String, usize>,
}

impl Classes {
    /// The `given` names in their order, or else the distinct ones among `labels`, sorted.
    pub(super) fn new<'a>(given: Option<&[String]>, labels: impl Iterator<Item = &'a str>) -> Self {
        let names = match given {
            Some(names) => names.to_vec(),
            None => labels.collect::<BTreeSet<_>>().into_iter().map(String::from).collect(),
        };
        Self::from_names(names)
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
        })
    }

    /// Names of the classes.
    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_labels_are_sorted() {
        let classes = Classes::new(None, ["b", "a", "b"].into_iter());
        assert_eq!(classes.index("b", Path::new("f"), None).unwrap(), 1);
        assert_eq!(classes.into_names(), ["a", "b"]);
    }

    #[test]
    fn given_names_keep_their_order_and_admit_no_other() {
        let given = ["z".to_string(), "a".to_string()];
        let classes = Classes::new(Some(&given), ["a", "q"].into_iter());
        assert_eq!(classes.index("z", Path::new("f"), None).unwrap(), 0);
        let error = classes.index("q", Path::new("f"), Some(3)).unwrap_err();
        assert!(matches!(error, Error::UnknownLabel { line: Some(3), known: 2, ref label, .. } if label == "q"));
    }
}
