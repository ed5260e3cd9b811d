//! Tokens that are found in a text before it is cut.

use std::collections::HashSet;

use serde::Deserialize;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::{AddedToken, NormalizedString, Normalizer};

use super::canon::Canon;
use super::model::{Model, TOKEN};
use super::part::Checked;

/// More take seconds to load.
const MOST: usize = 1 << 15;

/// One of them, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Added {
    id: u32,
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

/// Checks that each gets the number that it states, and returns the highest of all tokens. The library gives numbers itself:
/// that of the vocabulary, or the next one.
pub(super) fn check(added: &[Added], model: &Model) -> Checked<u32> {
    let wrong = |what: String| Err(format!("added_tokens: {what}"));
    if added.len() > MOST {
        return wrong(format!("{} of them, and {MOST} are the most", added.len()));
    }
    let (size, tokens, mut highest) = model.tokens();
    let (first, mut next) = (size as u32, size as u32);
    let mut seen = HashSet::new();
    for token in added {
        let content = token.content.as_str();
        if !(1..=TOKEN).contains(&content.len()) || !seen.insert(content) {
            return wrong(format!("{content:?} is there twice, or not of 1 to {TOKEN} bytes"));
        }
        // All white space up to it would be looked through again at each.
        if content.chars().all(char::is_whitespace) && (token.lstrip || token.rstrip) {
            return wrong(format!("{content:?}, which is white space and takes more of it along"));
        }
        let known = tokens.get(content).copied();
        let id = known.unwrap_or(next);
        next += u32::from(known.is_none());
        if id != token.id {
            return wrong(format!("{content:?} has the number {}, and would get {id}", token.id));
        }
        highest = highest.max(id);
    }
    // Where the vocabulary's numbers have holes, a next one may be taken.
    match tokens.values().any(|id| (first..next).contains(id)) {
        true => wrong("one would get the number of a token of the vocabulary".to_owned()),
        false => Ok(highest),
    }
}

/// Checks that none normalizes to nothing, which the library would find everywhere, nor two to the same, of which it would
/// find one by chance.
pub(super) fn check_normalized(added: &[Added], normalizer: Option<&NormalizerWrapper>) -> Checked<()> {
    let mut seen = HashSet::new();
    for token in added.iter().filter(|token| token.normalized) {
        let mut text = NormalizedString::from(token.content.as_str());
        if let Some(normalizer) = normalizer {
            normalizer.normalize(&mut text).map_err(|error| format!("added_tokens: {error}"))?;
        }
        let text = text.get();
        if text.is_empty() || text.len() > 4 * TOKEN || !seen.insert(text.to_owned()) {
            let content = &token.content;
            return Err(format!("added_tokens: {content:?} normalizes to nothing, to too much, or as another one"));
        }
    }
    Ok(())
}

pub(super) fn build(added: Vec<Added>) -> Vec<AddedToken> {
    let token = |Added { content, single_word, lstrip, rstrip, normalized, special, .. }| AddedToken {
        content,
        single_word,
        lstrip,
        rstrip,
        normalized,
        special,
    };
    added.into_iter().map(token).collect()
}

pub(super) fn write(added: &[Added], canon: &mut Canon) {
    canon.number(added.len() as u64);
    for token in added {
        canon.text(&token.content);
        canon.number(token.id.into());
        canon.flags([token.single_word, token.lstrip, token.rstrip, token.normalized]);
    }
}
