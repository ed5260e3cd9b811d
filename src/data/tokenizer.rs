//! The tokenizer of a base.

use super::{Error, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use tokenizers::TruncationParams;

/// Turns texts into vocabulary indices, as `tokenizer.json` says.
///
/// Special tokens are added, nothing is padded, and a text that is too long loses its end (or its beginning,
/// if the file says so) but never a special token.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    max_tokens: usize,
}

impl Tokenizer {
    /// Opens a `tokenizer.json`; no sequence will be longer than `max_tokens`, special tokens included.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Tokenizer`] if the file is malformed, and [`Error::MaxTokens`] if the special
    /// tokens alone reach `max_tokens`.
    pub fn open(path: impl AsRef<Path>, max_tokens: usize) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let mut inner = match tokenizers::Tokenizer::from_bytes(bytes) {
            Ok(inner) => inner,
            Err(source) => return Err(Error::Tokenizer { path, source }),
        };
        // The library subtracts one from the other unchecked.
        let special = inner.get_post_processor().map_or(0, |post| tokenizers::PostProcessor::added_tokens(post, false));
        if max_tokens <= special {
            return Err(Error::MaxTokens { path, max_tokens, special });
        }
        let direction = inner.get_truncation().map(|truncation| truncation.direction).unwrap_or_default();
        let truncation = TruncationParams { max_length: max_tokens, direction, ..Default::default() };
        if let Err(source) = inner.with_truncation(Some(truncation)) {
            return Err(Error::Tokenizer { path, source });
        }
        inner.with_padding(None);
        Ok(Self { inner, path, max_tokens })
    }

    /// Longest sequence, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Vocabulary indices of `text`: at least one, at most [`Tokenizer::max_tokens`].
    ///
    /// # Errors
    /// [`Error::Encode`], and [`Error::NoTokens`] if there are neither tokens nor special tokens.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let beginning = || text.chars().take(40).collect();
        let encoding = self.inner.encode_fast(text, true).map_err(|source| Error::Encode {
            path: self.path.clone(),
            text: beginning(),
            source,
        })?;
        if encoding.is_empty() {
            return Err(Error::NoTokens { path: self.path.clone(), text: beginning() });
        }
        Ok(encoding.get_ids().to_vec())
    }

    /// Vocabulary indices of each of `texts`, in their order, whatever the number of threads.
    ///
    /// # Errors
    /// Those of [`Tokenizer::encode`], for the first text that has one.
    pub fn encode_batch<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Vec<u32>>> {
        let encoded: Vec<Result<Vec<u32>>> = texts.par_iter().map(|text| self.encode(text.as_ref())).collect();
        encoded.into_iter().collect()
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Tokenizer").field("path", &self.path).field("max_tokens", &self.max_tokens).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, tokenizer_json};
    use super::*;

    fn open(json: &str, max_tokens: usize) -> Result<Tokenizer> {
        Tokenizer::open(Folder::new().write("tokenizer.json", json), max_tokens)
    }

    #[test]
    fn special_tokens_surround_the_words() {
        let tokenizer = open(&tokenizer_json(true), 8).unwrap();
        assert_eq!(tokenizer.encode("Red cars").unwrap(), [2, 4, 5, 6, 3]);
        assert_eq!(tokenizer.encode("").unwrap(), [2, 3]);
        assert_eq!(tokenizer.encode("zebra").unwrap(), [2, 1, 3]);
    }

    #[test]
    fn truncation_keeps_the_special_tokens() {
        let tokenizer = open(&tokenizer_json(true), 4).unwrap();
        assert_eq!(tokenizer.encode("red blue red blue").unwrap(), [2, 4, 7, 3]);
        assert_eq!(tokenizer.max_tokens(), 4);
    }

    #[test]
    fn a_batch_is_every_text_alone() {
        let tokenizer = open(&tokenizer_json(true), 8).unwrap();
        let texts: Vec<String> = (0..200).map(|index| "red ".repeat(index % 5)).collect();
        let alone: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text).unwrap()).collect();
        assert_eq!(tokenizer.encode_batch(&texts).unwrap(), alone);
    }

    #[test]
    fn bad_tokenizers_are_errors() {
        assert!(matches!(open("{}", 8), Err(Error::Tokenizer { .. })));
        assert!(matches!(Tokenizer::open("/nonexistent/t.json", 8), Err(Error::Io { .. })));
        let error = open(&tokenizer_json(true), 2).unwrap_err();
        assert!(matches!(error, Error::MaxTokens { max_tokens: 2, special: 2, .. }));
        assert!(matches!(open(&tokenizer_json(false), 0), Err(Error::MaxTokens { special: 0, .. })));
    }

    #[test]
    fn texts_without_tokens_are_errors() {
        let tokenizer = open(&tokenizer_json(false), 8).unwrap();
        assert!(matches!(tokenizer.encode(" "), Err(Error::NoTokens { .. })));
        let without_unknown = tokenizer_json(false).replace("\"[UNK]\": 1", "\"other\": 1");
        let error = open(&without_unknown, 8).unwrap().encode_batch(&["red", "zebra", " "]).unwrap_err();
        assert!(matches!(error, Error::Encode { ref text, .. } if text == "zebra"));
    }
}
