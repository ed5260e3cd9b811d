//! What an adapter depends on beside the weights of its base: how inputs become numbers, and what no tensor shows.

use crate::format::{self, Adapter};

/// Names and values of what an adapter was made with, in order of the names. The names in use are the associated
/// constants, and in the [format's specification](crate::format::spec).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    all: Vec<Setting>,
}

/// One of [`Settings`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setting {
    /// What it is.
    pub name: String,
    /// What it was.
    pub value: String,
    /// Whether an adapter computes something else where it is not so.
    pub required: bool,
}

/// A setting that two sides have differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is.
    pub name: String,
    /// The value of the side that was asked.
    pub own: String,
    /// That of the other.
    pub other: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is {} and not {}", self.name, self.own, self.other)
    }
}

impl Settings {
    /// Heads of each attention layer.
    pub const ATTENTION_HEADS: &str = "attention_heads";
    /// What is subtracted from the channels of an image.
    pub const IMAGE_MEAN: &str = "image_mean";
    /// What they are divided by then.
    pub const IMAGE_STD: &str = "image_std";
    /// How an image of another size becomes one of [`Settings::IMAGE_SIZE`].
    pub const IMAGE_RESIZE: &str = "image_resize";
    /// Height and width in pixels.
    pub const IMAGE_SIZE: &str = "image_size";
    /// The longest sequence of tokens.
    pub const MAX_TOKENS: &str = "max_tokens";
    /// What is added to a variance before its root is taken.
    pub const NORM_EPS: &str = "norm_eps";
    /// How the windows of convolutions are padded.
    pub const PADDING: &str = "padding";
    /// How the outputs for tokens become what the head reads.
    pub const POOLING: &str = "pooling";
    /// Digest of a text that is put before every text.
    pub const PROMPT: &str = "prompt";
    /// Digest of what turns texts into tokens.
    pub const TOKENIZER: &str = "tokenizer";

    /// Those that are of the data's making: a network knows of them, and not what they are.
    pub(super) const OF_TEXTS: [&str; 3] = [Self::MAX_TOKENS, Self::PROMPT, Self::TOKENIZER];

    /// The same with a required setting, in the place of an earlier one of that name.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.set(Setting { name: name.to_owned(), value: value.to_string(), required: true });
        self
    }

    fn set(&mut self, setting: Setting) {
        match self.all.binary_search_by(|own| own.name.cmp(&setting.name)) {
            Ok(at) => self.all[at] = setting,
            Err(at) => self.all.insert(at, setting),
        }
    }

    /// Those that an adapter file has.
    pub fn of_adapter(adapter: &Adapter<'_>) -> Self {
        let own =
            |format::Setting { name, required, value }| Setting { name: name.into(), value: value.into(), required };
        Self { all: adapter.settings().map(own).collect() }
    }

    /// The value of the setting called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
    }

    /// All of them, in order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Setting> + Clone {
        self.all.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The settings of both that are not the same.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let differs = |setting: &Setting| {
            let found = other.get(&setting.name).filter(|found| *found != setting.value)?;
            Some(Difference { name: setting.name.clone(), own: setting.value.clone(), other: found.to_owned() })
        };
        self.all.iter().filter_map(differs).collect()
    }

    /// The settings of both; where they differ those of `other`.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        other.all.iter().for_each(|setting| self.set(setting.clone()));
        self
    }

    /// As a [`format::Draft`] takes them.
    pub fn drafts(&self) -> Vec<format::Setting<'_>> {
        let all = self.all.iter();
        all.map(|Setting { name, value, required }| format::Setting { name, required: *required, value }).collect()
    }
}

/// Numbers as settings hold them: the shortest decimal ones that give the same f32 again, with commas between.
pub(crate) fn numbers(values: &[f32]) -> String {
    values.iter().map(f32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_in_order_and_each_is_there_once() {
        let a = Settings::default().with("b", 1).with("a", "x").with("b", 2);
        let names: Vec<(&str, &str)> = a.iter().map(|found| (found.name.as_str(), found.value.as_str())).collect();
        assert_eq!(names, [("a", "x"), ("b", "2")]);
        let b = Settings::default().with("b", 3).with("c", 4);
        let of =
            |name: &str, own: &str, other: &str| Difference { name: name.into(), own: own.into(), other: other.into() };
        assert_eq!(a.differences(&b), [of("b", "2", "3")]);
        assert_eq!(a.differences(&b)[0].to_string(), "b is 2 and not 3");
        assert_eq!(a.clone().and(&b), Settings::default().with("a", "x").with("b", 3).with("c", 4));
        assert_eq!((a.get("b"), a.get("c"), a.is_empty()), (Some("2"), None, false));
    }

    #[test]
    fn numbers_give_the_same_floats_again() {
        let values = [0.485, 0.1, 1e-12, 255.0, -0.0, f32::MIN_POSITIVE, 16_777_216.0];
        let text = numbers(&values);
        let again: Vec<f32> = text.split(',').map(|number| number.parse().unwrap()).collect();
        assert_eq!(again, values);
        assert!(text.starts_with("0.485,0.1,0.000000000001,255,"), "{text}");
    }
}
