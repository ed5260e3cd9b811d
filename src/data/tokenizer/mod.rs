//! The tokenizer of a base.
//!
//! Its file comes from somebody else, and the library that does the work can panic, run out of memory or never end on one
//! that is made for it. So the file is read here, into types that have only what is known to take time and memory in
//! proportion to a text, and the library is built from these.

mod added;
mod canon;
mod charsmap;
mod file;
mod model;
mod normalizer;
mod part;
mod patterns;
mod post_processor;
mod pre_tokenizer;

use super::{Error, Result};
use crate::files::{read_json, read_up_to};
use crate::format::Digest;
use crate::runtime::Settings;
use rayon::prelude::*;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tokenizers::{TruncationDirection, TruncationParams};

/// Bytes of a text that are read first, for each token of the limit: more than most texts have.
const BYTES_A_TOKEN: usize = 64;
/// Bytes of a text that are read at most, for a base of any limit: the library loses what comes after a million spaces.
const MAX_READ: usize = 1_000_000;
/// Bytes that a text may become before it is cut into tokens.
const MAX_EXPANDED: f64 = 64e6;

/// Turns texts into vocabulary indices, as `tokenizer.json` says.
///
/// Special tokens are added, nothing is padded, and a text that is too long loses its end (or its beginning,
/// if the file says so) but never a special token. Of a long text only as much is read as the limit on tokens needs.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    max_tokens: usize,
    direction: TruncationDirection,
    prompt: String,
    lowercase: bool,
    /// Digest of all that decides on tokens.
    digest: Digest,
    /// The highest number of a token.
    highest: u32,
    /// Bytes of a text that are read at most.
    most: usize,
}

/// Tokens of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Vocabulary indices: at least one, at most [`Tokenizer::max_tokens`].
    pub ids: Vec<u32>,
    /// Whether the text has more tokens.
    pub is_cut: bool,
}

impl Tokenizer {
    /// Opens a `tokenizer.json`; no sequence will be longer than `max_tokens`, special tokens included. Where
    /// `tokenizer_config.json` beside it is of a BERT, its `do_lower_case`, `strip_accents` and `tokenize_chinese_chars`
    /// count, and its `truncation_side` in any case, as in transformers.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::File`], [`Error::Hazard`] if the file is malformed, or holds what is not known to be harmless,
    /// and [`Error::MaxTokens`] if the special tokens alone reach `max_tokens`.
    pub fn open(path: impl AsRef<Path>, max_tokens: usize) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let bytes = read_up_to(&path, part::LONGEST)?;
        let beside = path.with_file_name("tokenizer_config.json");
        let config = if beside.is_file() { Some(read_json(&beside)?) } else { None };
        let refuse = |problem| Error::Hazard { path: path.clone(), problem };
        let file = file::File::parse(&bytes, config.as_ref()).map_err(refuse)?;
        drop(bytes);
        let (direction, digest, highest) = (file.direction, file.digest(), file.highest);
        let most = (MAX_EXPANDED / file.expansion()) as usize;
        let built = caught(|| file.build()).and_then(|built| built.map_err(Into::into));
        let mut inner = built.map_err(|source| refuse(source.to_string()))?;
        // The library subtracts one from the other unchecked.
        let special = inner.get_post_processor().map_or(0, |post| tokenizers::PostProcessor::added_tokens(post, false));
        if max_tokens <= special {
            return Err(Error::MaxTokens { path, max_tokens, special });
        }
        let truncation = TruncationParams { max_length: max_tokens, direction, ..Default::default() };
        inner.with_truncation(Some(truncation)).map_err(|source| refuse(source.to_string()))?;
        let (prompt, lowercase, most) = (String::new(), false, most.min(MAX_READ));
        Ok(Self { inner, path, max_tokens, direction, prompt, lowercase, digest, highest, most })
    }

    /// The same, which puts `prompt` before every text, and makes it lower case first if `lowercase`.
    #[must_use]
    pub fn with_prompt(self, prompt: &str, lowercase: bool) -> Self {
        Self { prompt: prompt.to_owned(), lowercase, ..self }
    }

    /// The highest number of a token, which the base's table of embeddings must have a row for.
    pub fn highest(&self) -> u32 {
        self.highest
    }

    /// Longest sequence, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// What turns a text into tokens, to which an adapter is bound: large parts as digests.
    pub fn settings(&self) -> Settings {
        let prompt = match self.prompt.as_str() {
            "" => "none".to_owned(),
            prompt => Digest::of(prompt.as_bytes()).to_string(),
        };
        let lowercase = if self.lowercase { "lowercase " } else { "" };
        Settings::default()
            .with(Settings::MAX_TOKENS, self.max_tokens)
            .with(Settings::PROMPT, prompt)
            .with(Settings::TOKENIZER, format_args!("{lowercase}{}", self.digest))
    }

    /// What is said of texts that lose their end, or their beginning.
    pub(crate) fn cut_off(&self) -> String {
        let end = if self.direction == TruncationDirection::Left { "whose beginning is" } else { "that are" };
        format!("texts {end} cut off at {} tokens (--max-tokens)", self.max_tokens)
    }

    /// Tokens of `text`.
    ///
    /// # Errors
    /// [`Error::Encode`], [`Error::NoTokens`] if there are neither tokens nor special tokens, and [`Error::TooLong`] for a
    /// text that has few tokens in its first megabyte.
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        let whole = |text: &str| self.encode_part(&self.prompted(text));
        let mut read = self.max_tokens.saturating_mul(BYTES_A_TOKEN).clamp(1 << 12, self.most / 4);
        if text.len() <= 2 * read {
            return whole(text);
        }
        // Tokens that half as much text has too are those of the whole.
        let mut half = whole(self.part(text, read))?;
        loop {
            let all = whole(self.part(text, 2 * read))?;
            let is_read = 2 * read >= text.len();
            if is_read || (all.ids == half.ids && half.is_cut) {
                return Ok(Encoded { is_cut: all.is_cut || !is_read, ..all });
            }
            read *= 2;
            if 2 * read > self.most {
                let (path, bytes) = (self.path.clone(), text.len());
                return Err(Error::TooLong { path, text: beginning(text), bytes, read });
            }
            half = all;
        }
    }

    /// The beginning of a text, or the end if that is what counts, of about so many bytes: whole words if there are several.
    fn part<'t>(&self, text: &'t str, bytes: usize) -> &'t str {
        if bytes >= text.len() {
            return text;
        }
        match self.direction {
            TruncationDirection::Right => {
                let part = &text[..text.floor_char_boundary(bytes)];
                part.rfind(char::is_whitespace).filter(|&at| at > bytes / 2).map_or(part, |at| &part[..at])
            }
            TruncationDirection::Left => {
                let part = &text[text.ceil_char_boundary(text.len() - bytes)..];
                part.find(char::is_whitespace).filter(|&at| at < bytes / 2).map_or(part, |at| &part[at..])
            }
        }
    }

    fn prompted<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match (self.prompt.as_str(), self.lowercase) {
            ("", false) => Cow::Borrowed(text),
            (prompt, false) => Cow::Owned(format!("{prompt}{text}")),
            (prompt, true) => Cow::Owned(format!("{prompt}{text}").to_lowercase()),
        }
    }

    fn encode_part(&self, text: &str) -> Result<Encoded> {
        let encoded = caught(|| self.inner.encode_fast(text, true)).and_then(|encoding| encoding);
        let encoding =
            encoded.map_err(|source| Error::Encode { path: self.path.clone(), text: beginning(text), source })?;
        if encoding.is_empty() {
            return Err(Error::NoTokens { path: self.path.clone(), text: beginning(text) });
        }
        if encoding.len() > self.max_tokens {
            let source = format!("{} tokens, over the limit of {}", encoding.len(), self.max_tokens).into();
            return Err(Error::Encode { path: self.path.clone(), text: beginning(text), source });
        }
        Ok(Encoded { ids: encoding.get_ids().to_vec(), is_cut: !encoding.get_overflowing().is_empty() })
    }

    /// Tokens of each of `texts`, in their order, whatever the number of threads.
    ///
    /// # Errors
    /// Those of [`Tokenizer::encode`], for the first text that has one.
    pub fn encode_batch<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Encoded>> {
        let encoded: Vec<Result<Encoded>> = texts.par_iter().map(|text| self.encode(text.as_ref())).collect();
        encoded.into_iter().collect()
    }
}

fn beginning(text: &str) -> String {
    text.chars().take(40).collect()
}

/// What the library gives, or that it panicked: then its state is not used again.
fn caught<R>(body: impl FnOnce() -> R) -> std::result::Result<R, Box<dyn std::error::Error + Send + Sync>> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        format!("the tokenizer library panicked: {}", said.unwrap_or("for no reason it gives")).into()
    })
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

    fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        tokenizer.encode(text).unwrap().ids
    }

    #[test]
    fn special_tokens_surround_the_words() {
        let tokenizer = open(&tokenizer_json(true), 8).unwrap();
        assert_eq!(ids(&tokenizer, "Red cars"), [2, 4, 5, 6, 3]);
        assert_eq!(ids(&tokenizer, ""), [2, 3]);
        assert_eq!(ids(&tokenizer, "zebra"), [2, 1, 3]);
    }

    #[test]
    fn truncation_keeps_the_special_tokens() {
        let tokenizer = open(&tokenizer_json(true), 4).unwrap();
        let cut = Encoded { ids: vec![2, 4, 7, 3], is_cut: true };
        assert_eq!(tokenizer.encode("red blue red blue").unwrap(), cut);
        assert_eq!(tokenizer.encode("red blue").unwrap(), Encoded { is_cut: false, ..cut.clone() });
        assert_eq!(tokenizer.max_tokens(), 4);
    }

    #[test]
    fn a_batch_is_every_text_alone() {
        let tokenizer = open(&tokenizer_json(true), 8).unwrap();
        let texts: Vec<String> = (0..200).map(|index| "red ".repeat(index % 5)).collect();
        let alone: Vec<Encoded> = texts.iter().map(|text| tokenizer.encode(text).unwrap()).collect();
        assert_eq!(tokenizer.encode_batch(&texts).unwrap(), alone);
    }

    #[test]
    fn bad_tokenizers_are_errors() {
        assert!(matches!(open("{}", 8), Err(Error::Hazard { .. })));
        assert!(matches!(Tokenizer::open("/nonexistent/t.json", 8), Err(Error::Io { .. })));
        let error = open(&tokenizer_json(true), 2).unwrap_err();
        assert!(matches!(error, Error::MaxTokens { max_tokens: 2, special: 2, .. }));
        assert!(matches!(open(&tokenizer_json(false), 0), Err(Error::MaxTokens { special: 0, .. })));
    }

    #[test]
    fn texts_without_tokens_are_errors() {
        let tokenizer = open(&tokenizer_json(false), 8).unwrap();
        assert!(matches!(tokenizer.encode(" "), Err(Error::NoTokens { .. })));
        let error = tokenizer.encode_batch(&["red", " ", "zebra"]).unwrap_err();
        assert!(matches!(error, Error::NoTokens { ref text, .. } if text == " "));
    }

    #[test]
    fn of_a_long_text_only_as_much_is_read_as_counts() {
        for direction in ["Right", "Left"] {
            let truncation = format!(
                "\"truncation\": {{\"direction\": \"{direction}\", \"max_length\": 5, \"strategy\": \"LongestFirst\", \"stride\": 0}}"
            );
            let tokenizer = open(&tokenizer_json(true).replace("\"truncation\": null", &truncation), 8).unwrap();
            let word = |index: usize| ["red ", "blue ", "car ", "cars  "][index * index % 7 % 4];
            let text: String = (0..20_000).map(word).collect();
            let cut = tokenizer.encode(&text).unwrap();
            let expected = tokenizer.encode_part(&text).unwrap();
            assert_eq!(cut, expected, "{direction}");
            assert!(cut.is_cut && cut.ids.len() == 8);
        }
        let tokenizer = open(&tokenizer_json(true), 8).unwrap();
        // One word, however long, is one token.
        let long = "x".repeat(200_000);
        assert_eq!(tokenizer.encode(&long).unwrap(), Encoded { ids: vec![2, 1, 3], is_cut: false });
        let spaces = format!("red{}blue", " ".repeat(100_000));
        assert_eq!(ids(&tokenizer, &spaces), [2, 4, 7, 3]);
        let error = tokenizer.encode(&" ".repeat(3 << 20)).unwrap_err();
        assert!(matches!(error, Error::TooLong { bytes: 0x30_0000, .. }), "{error}");
    }

    #[test]
    fn a_prompt_and_lower_case_come_first() {
        let tokenizer = open(&tokenizer_json(true).replace("{\"type\": \"Lowercase\"}", "null"), 8).unwrap();
        assert_eq!(ids(&tokenizer, "Red"), [2, 1, 3]);
        let plain = tokenizer.settings();
        let tokenizer = tokenizer.with_prompt("Blue ", true);
        assert_eq!(ids(&tokenizer, "Red"), [2, 7, 4, 3]);
        let names: Vec<String> = plain.differences(&tokenizer.settings()).into_iter().map(|d| d.name).collect();
        assert_eq!(names, [Settings::PROMPT, Settings::TOKENIZER]);
    }

    #[test]
    fn the_settings_of_a_tokenizer_are_what_makes_tokens() {
        let settings = |json: &str| open(json, 8).unwrap().settings();
        let json = tokenizer_json(true);
        let own = settings(&json);
        assert_eq!(own.get(Settings::MAX_TOKENS), Some("8"));
        // Layout, padding and truncation are none of it.
        for same in [json.replace('\n', " "), json.replace("\"Fixed\": 16", "\"Fixed\": 4")] {
            assert_eq!(own.differences(&settings(&same)), []);
        }
        for other in
            [json.replace("\"red\": 4, \"car\": 5", "\"car\": 4, \"red\": 5"), json.replace("Lowercase", "NFC")]
        {
            assert_eq!(own.differences(&settings(&other))[0].name, Settings::TOKENIZER);
        }
    }

    #[test]
    fn a_config_of_a_bert_decides_on_case() {
        let folder = Folder::new();
        let normalizer = r#"{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true}"#;
        let path =
            folder.write("tokenizer.json", tokenizer_json(true).replace("{\"type\": \"Lowercase\"}", normalizer));
        let first = |config: &str| {
            folder.write("tokenizer_config.json", config);
            ids(&Tokenizer::open(&path, 8).unwrap(), "RED")[1]
        };
        assert_eq!(first("{}"), 4);
        assert_eq!(first("{\"do_lower_case\": false, \"tokenizer_class\": \"BertTokenizer\"}"), 1);
        assert_eq!(first("{\"do_lower_case\": false, \"tokenizer_class\": \"PreTrainedTokenizerFast\"}"), 4);
    }

    #[test]
    fn a_config_decides_which_end_is_cut_off() {
        let folder = Folder::new();
        let path = folder.write("tokenizer.json", tokenizer_json(true));
        let found = |config: &str| {
            folder.write("tokenizer_config.json", config);
            Tokenizer::open(&path, 4).map(|tokenizer| ids(&tokenizer, "red red blue blue"))
        };
        assert_eq!(found("{}").unwrap(), [2, 4, 4, 3]);
        assert_eq!(found("{\"truncation_side\": \"left\"}").unwrap(), [2, 7, 7, 3]);
        assert!(found("{\"truncation_side\": \"both\"}").err().unwrap().to_string().contains("truncation_side"));
    }

    /// Names and files, as `tests/golden/tokenizers/make_tokenizers.py` writes them.
    fn files(text: &str) -> Vec<(String, String)> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Each would panic, abort, take all memory, never end or make other tokens than it states.
    #[test]
    fn hostile_files_are_refused_before_the_library_sees_them() {
        // What is wrong with these is in a part that is not used.
        let unused = ["ok_nesting60_decoder", "load_panic_decoder_nesting", "ok_truncation_padding_huge_are_replaced"];
        let all = files(include_str!("../../../tests/golden/tokenizers/hostile.jsonl"));
        assert!(all.len() > 70);
        for (name, file) in all {
            match open(&file, 32) {
                Ok(tokenizer) => {
                    assert!(unused.contains(&name.as_str()), "{name} is accepted");
                    assert!(tokenizer.encode("Hello a").is_ok(), "{name}");
                }
                Err(Error::Hazard { .. }) => assert!(!unused.contains(&name.as_str()), "{name} is refused"),
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }

    #[test]
    fn heads_of_published_tokenizers_are_accepted() {
        for (name, file) in files(include_str!("../../../tests/golden/tokenizers/known.jsonl")) {
            let tokenizer = open(&file, 32).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!tokenizer.encode("a b").unwrap().ids.is_empty(), "{name}");
        }
    }

    #[test]
    fn files_that_are_large_in_one_part_are_refused() {
        let base = |model: String| {
            format!(
                r#"{{"version": "1.0", "added_tokens": [], "pre_tokenizer": {{"type": "WhitespaceSplit"}}, "model": {model}}}"#
            )
        };
        let unigram =
            |pieces: String| base(format!(r#"{{"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0]{pieces}]}}"#));
        let long = |length: usize| "a".repeat(length);
        let prefixes: String = (1..512).map(|length| format!(r#", ["{}", -1]"#, long(length))).collect();
        let word_piece = |prefix: usize, longest: u64| {
            let prefix = "#".repeat(prefix);
            base(format!(
                r#"{{"type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "{prefix}",
                     "max_input_chars_per_word": {longest}, "vocab": {{"a": 0}}}}"#
            ))
        };
        assert!(open(&unigram(format!(r#", ["{}", -1]"#, long(512))), 8).is_ok());
        assert!(open(&word_piece(2, 100), 8).is_ok());
        let junk = format!(
            r#"{{"type": "WordLevel", "unk_token": "a", "vocab": {{"a": 0}}, "junk": [{}[0]]}}"#,
            "[0],".repeat(100_000)
        );
        let refused = [
            unigram(format!(r#", ["{}", -1]"#, long(50_000))),
            unigram(prefixes),
            word_piece(3_000_000, 100),
            word_piece(2, 1_000_000_000),
            base(junk),
            " ".repeat(part::LONGEST as usize + 1),
        ];
        for file in refused {
            let start: String = file.chars().take(80).collect();
            assert!(open(&file, 8).is_err(), "{start}");
        }
    }
}
