//! The vocabulary, and how a piece of a text becomes tokens of it.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokenizers::ModelWrapper;
use tokenizers::models::bpe::{self, BPE};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::WordPiece;

use super::canon::Canon;
use super::part::{Checked, LONGEST, parse};

/// Bytes of a token: of real ones the longest is 128 spaces in two bytes each.
pub(super) const TOKEN: usize = 512;
/// Tokens, and half as many as merges.
const ENTRIES: usize = 1 << 20;
/// Bytes of all pieces of a Unigram, and nodes of its trie, which the library takes 340 bytes for.
const PIECES: usize = 4 << 20;
const NODES: usize = 2_000_000;
/// Bytes of pieces that can begin at one character: the library copies and looks up each.
const WITHIN: usize = 2048;
/// Bytes of a prefix or suffix, which is copied for every character.
const AFFIX: usize = 16;
/// Characters of a word, in which WordPiece tries every part.
const WORD: u64 = 256;

type Vocabulary = HashMap<String, u32>;

/// A model that has been checked.
pub(super) enum Model {
    Bpe {
        vocab: Vocabulary,
        merges: Vec<(String, String)>,
        unk: Option<String>,
        prefix: Option<String>,
        suffix: Option<String>,
        fuse_unk: bool,
        byte_fallback: bool,
        ignore_merges: bool,
    },
    WordPiece {
        vocab: Vocabulary,
        unk: String,
        prefix: String,
        longest: usize,
    },
    WordLevel {
        vocab: Vocabulary,
        unk: String,
    },
    Unigram {
        pieces: Vec<(String, f64)>,
        unk: usize,
        byte_fallback: bool,
    },
}

/// The section as it is written, the long parts as they stand there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section<'a> {
    r#type: Option<String>,
    dropout: Option<f32>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
    max_input_chars_per_word: Option<u64>,
    unk_id: Option<usize>,
    #[serde(borrow)]
    vocab: &'a RawValue,
    #[serde(borrow)]
    merges: Option<&'a RawValue>,
}

impl Model {
    pub(super) fn check(raw: &RawValue) -> Checked<Self> {
        let most = LONGEST as usize;
        let section: Section<'_> = parse(raw, "model", most)?;
        let affixes = [&section.continuing_subword_prefix, &section.end_of_word_suffix];
        if affixes.into_iter().flatten().any(|affix| affix.len() > AFFIX) {
            return Err(format!("model: a prefix or suffix of more than {AFFIX} bytes"));
        }
        if section.dropout.is_some_and(|share| share != 0.0) {
            return Err("model: dropout, which gives other tokens each time".to_owned());
        }
        let kind = match section.r#type.as_deref() {
            Some(kind) => kind,
            None if section.merges.is_some() => "BPE",
            None if section.max_input_chars_per_word.is_some() => "WordPiece",
            None => return Err("model: no type".to_owned()),
        };
        match kind {
            "BPE" => Self::bpe(section),
            "Unigram" => Self::unigram(&section),
            "WordPiece" | "WordLevel" => {
                let Vocab(vocab) = parse(section.vocab, "model: vocab", most)?;
                check_ids(&vocab)?;
                let unk = section.unk_token.ok_or("model: no unk_token")?;
                if !vocab.contains_key(&unk) {
                    return Err("model: unk_token is not in the vocabulary".to_owned());
                }
                if kind == "WordLevel" {
                    return Ok(Model::WordLevel { vocab, unk });
                }
                let longest = section.max_input_chars_per_word.filter(|longest| (1..=WORD).contains(longest));
                let longest = longest.ok_or_else(|| format!("model: max_input_chars_per_word is not 1 to {WORD}"))?;
                let prefix = section.continuing_subword_prefix.ok_or("model: no continuing_subword_prefix")?;
                Ok(Model::WordPiece { vocab, unk, prefix, longest: longest as usize })
            }
            kind => Err(format!("model: type {kind:?}, and BPE, WordPiece, WordLevel and Unigram are known")),
        }
    }

    fn bpe(section: Section<'_>) -> Checked<Self> {
        let most = LONGEST as usize;
        let Vocab(vocab) = parse(section.vocab, "model: vocab", most)?;
        let Merges(merges) = parse(section.merges.ok_or("model: no merges")?, "model: merges", most)?;
        check_ids(&vocab)?;
        if section.unk_token.as_ref().is_some_and(|unk| !vocab.contains_key(unk)) {
            return Err("model: unk_token is not in the vocabulary".to_owned());
        }
        let prefix = section.continuing_subword_prefix.as_deref().unwrap_or_default();
        let mut joined = String::new();
        for (a, b) in &merges {
            let rest = b.strip_prefix(prefix).filter(|rest| !rest.is_empty());
            let rest = rest.ok_or_else(|| format!("model: a merge whose second part is {b:?}"))?;
            joined.clear();
            joined.push_str(a);
            joined.push_str(rest);
            if a.is_empty() || ![a, b, &joined].into_iter().all(|token| vocab.contains_key(token)) {
                return Err(format!("model: a merge of {a:?} and {b:?}, of which or to which there is no token"));
            }
        }
        Ok(Model::Bpe {
            vocab,
            merges,
            unk: section.unk_token,
            prefix: section.continuing_subword_prefix,
            suffix: section.end_of_word_suffix,
            fuse_unk: section.fuse_unk.unwrap_or(false),
            byte_fallback: section.byte_fallback.unwrap_or(false),
            ignore_merges: section.ignore_merges.unwrap_or(false),
        })
    }

    fn unigram(section: &Section<'_>) -> Checked<Self> {
        let Pieces(pieces) = parse(section.vocab, "model: vocab", LONGEST as usize)?;
        let unk = section.unk_id.filter(|&unk| unk < pieces.len()).ok_or("model: unk_id is no piece")?;
        let mut sorted: Vec<&str> = pieces.iter().map(|piece| piece.0.as_str()).collect();
        sorted.sort_unstable();
        let common = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        let (mut nodes, mut before) = (0, "");
        // The pieces that the one at hand begins with.
        let (mut open, mut within): (Vec<&str>, usize) = (Vec::new(), 0);
        for piece in sorted {
            if piece == before {
                return Err(format!("model: the piece {piece:?} is there twice"));
            }
            nodes += piece.len() - common(piece, before);
            while let Some(shorter) = open.pop_if(|shorter| !piece.starts_with(*shorter)) {
                within -= shorter.len();
            }
            open.push(piece);
            within += piece.len();
            if nodes > NODES || within > WITHIN {
                return Err("model: pieces that are too many, or begin one another too often".to_owned());
            }
            before = piece;
        }
        Ok(Model::Unigram { pieces, unk, byte_fallback: section.byte_fallback.unwrap_or(false) })
    }

    /// How many tokens there are, the number of each, and the highest number.
    pub(super) fn tokens(&self) -> (usize, HashMap<&str, u32>, u32) {
        let tokens: HashMap<&str, u32> = match self {
            Model::Bpe { vocab, .. } | Model::WordPiece { vocab, .. } | Model::WordLevel { vocab, .. } => {
                vocab.iter().map(|(token, id)| (token.as_str(), *id)).collect()
            }
            Model::Unigram { pieces, .. } => (0..).zip(pieces).map(|(id, piece)| (piece.0.as_str(), id)).collect(),
        };
        let highest = tokens.values().copied().max().unwrap_or(0);
        (tokens.len(), tokens, highest)
    }

    pub(super) fn build(self) -> Checked<ModelWrapper> {
        let failed = |error: tokenizers::Error| format!("model: {error}");
        Ok(match self {
            Model::Bpe { vocab, merges, unk, prefix, suffix, fuse_unk, byte_fallback, ignore_merges } => {
                let mut builder = BPE::builder()
                    .vocab_and_merges(library(vocab), merges)
                    .fuse_unk(fuse_unk)
                    .byte_fallback(byte_fallback)
                    .ignore_merges(ignore_merges)
                    // The library keeps what it has found for each thread, also after the tokenizer is gone.
                    .cache_capacity(0);
                if let Some(unk) = unk {
                    builder = builder.unk_token(unk);
                }
                if let Some(prefix) = prefix {
                    builder = builder.continuing_subword_prefix(prefix);
                }
                if let Some(suffix) = suffix {
                    builder = builder.end_of_word_suffix(suffix);
                }
                builder.build().map_err(failed)?.into()
            }
            Model::WordPiece { vocab, unk, prefix, longest } => {
                let builder = WordPiece::builder().vocab(library(vocab)).unk_token(unk);
                let builder = builder.continuing_subword_prefix(prefix).max_input_chars_per_word(longest);
                builder.build().map_err(failed)?.into()
            }
            Model::WordLevel { vocab, unk } => {
                WordLevel::builder().vocab(library(vocab)).unk_token(unk).build().map_err(failed)?.into()
            }
            Model::Unigram { pieces, unk, byte_fallback } => {
                Unigram::from(pieces, Some(unk), byte_fallback).map_err(|error| format!("model: {error}"))?.into()
            }
        })
    }

    pub(super) fn write(&self, canon: &mut Canon) {
        let write_vocab = |canon: &mut Canon, vocab: &Vocabulary| {
            let mut all: Vec<(&String, &u32)> = vocab.iter().collect();
            all.sort_unstable();
            canon.number(all.len() as u64);
            for (token, id) in all {
                canon.text(token);
                canon.number((*id).into());
            }
        };
        match self {
            Model::Bpe { vocab, merges, unk, prefix, suffix, fuse_unk, byte_fallback, ignore_merges } => {
                canon.text("BPE");
                [unk, prefix, suffix].into_iter().for_each(|text| canon.maybe(text.as_deref()));
                canon.flags([*fuse_unk, *byte_fallback, *ignore_merges]);
                write_vocab(canon, vocab);
                canon.number(merges.len() as u64);
                for (a, b) in merges {
                    canon.text(a);
                    canon.text(b);
                }
            }
            Model::WordPiece { vocab, unk, prefix, longest } => {
                canon.text("WordPiece");
                canon.text(unk);
                canon.text(prefix);
                canon.number(*longest as u64);
                write_vocab(canon, vocab);
            }
            Model::WordLevel { vocab, unk } => {
                canon.text("WordLevel");
                canon.text(unk);
                write_vocab(canon, vocab);
            }
            Model::Unigram { pieces, unk, byte_fallback } => {
                canon.text("Unigram");
                canon.number(*unk as u64);
                canon.flag(*byte_fallback);
                canon.number(pieces.len() as u64);
                for (piece, score) in pieces {
                    canon.text(piece);
                    canon.number(score.to_bits());
                }
            }
        }
    }
}

/// A vocabulary as the library has it.
fn library(vocab: Vocabulary) -> bpe::Vocab {
    vocab.into_iter().collect()
}

/// No number is given to two tokens, nor one that no embedding has a row for.
fn check_ids(vocab: &Vocabulary) -> Checked<()> {
    let mut ids: Vec<u32> = vocab.values().copied().collect();
    ids.sort_unstable();
    match (ids.last(), ids.windows(2).find(|pair| pair[0] == pair[1])) {
        (None, _) => Err("model: no tokens".to_owned()),
        (_, Some(pair)) => Err(format!("model: the number {} is of two tokens", pair[0])),
        (Some(&last), _) if last as usize >= 2 * ENTRIES => Err(format!("model: the number {last}")),
        _ => Ok(()),
    }
}

/// Tokens and their numbers, none there twice.
struct Vocab(Vocabulary);

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tokens;
        impl<'de> Visitor<'de> for Tokens {
            type Value = Vocab;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tokens and their numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Vocab, A::Error> {
                let mut vocab = Vocabulary::new();
                while let Some((token, id)) = entries.next_entry::<String, u32>()? {
                    if token.len() > TOKEN || vocab.len() == ENTRIES {
                        return Err(A::Error::custom("too many tokens, or one that is too long"));
                    }
                    if vocab.contains_key(&token) {
                        return Err(A::Error::custom(format_args!("the token {token:?} is there twice")));
                    }
                    vocab.insert(token, id);
                }
                Ok(Vocab(vocab))
            }
        }
        deserializer.deserialize_map(Tokens)
    }
}

/// Pairs of tokens that become one, in order.
struct Merges(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Merges;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("pairs of tokens")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Merges, A::Error> {
                let mut merges = Vec::new();
                while let Some(Merge(a, b)) = items.next_element()? {
                    if merges.len() == 2 * ENTRIES {
                        return Err(A::Error::custom("too many merges"));
                    }
                    merges.push((a, b));
                }
                Ok(Merges(merges))
            }
        }
        deserializer.deserialize_seq(Pairs)
    }
}

/// Two tokens in a list, or in a text with a space between them.
struct Merge(String, String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two tokens")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Merge, E> {
                match text.split_once(' ') {
                    Some((a, b)) if !b.contains(' ') => Ok(Merge(a.to_owned(), b.to_owned())),
                    _ => Err(E::custom(format_args!("{text:?} is not two tokens"))),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Merge, A::Error> {
                match (items.next_element()?, items.next_element()?, items.next_element::<IgnoredAny>()?) {
                    (Some(a), Some(b), None) => Ok(Merge(a, b)),
                    _ => Err(A::Error::custom("a list that is not two tokens")),
                }
            }
        }
        deserializer.deserialize_any(Pair)
    }
}

/// Pieces of a Unigram and the logarithms of their probabilities.
struct Pieces(Vec<(String, f64)>);

impl<'de> Deserialize<'de> for Pieces {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Pieces;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("pieces and their scores")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Pieces, A::Error> {
                let (mut pieces, mut bytes) = (Vec::new(), 0);
                while let Some((piece, score)) = items.next_element::<(String, f64)>()? {
                    bytes += piece.len();
                    let fits = (1..=TOKEN).contains(&piece.len()) && score.abs() <= 1e6;
                    if !fits || bytes > PIECES || pieces.len() == ENTRIES {
                        let problem = "a piece that is empty or too long, or too many, or a score that is no logarithm";
                        return Err(A::Error::custom(problem));
                    }
                    pieces.push((piece, score));
                }
                Ok(Pieces(pieces))
            }
        }
        deserializer.deserialize_seq(All)
    }
}
