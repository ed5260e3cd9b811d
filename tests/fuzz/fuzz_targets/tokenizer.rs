//! Any bytes as a tokenizer's file, or as its configuration: refused, or texts become tokens within the limit.
#![no_main]

mod folder;

use folder::{folder, golden};
use libfuzzer_sys::fuzz_target;
use taps::data::Tokenizer;

const TEXTS: [&str; 6] = [
    "",
    "My card has not arrived yet, why?",
    "  two  spaces\tand\na line ",
    "na\u{ef}ve \u{4e2d}\u{6587} \u{1f600}\u{200d}\u{1f525} e\u{301} \u{fdfa}",
    "\u{0}\u{7f}\u{ad}\u{feff}\u{e000}\u{10ffff}",
    "[CLS][SEP]<s></s>##a a##b",
];

fuzz_target!(|data: &[u8]| {
    let Some((&which, bytes)) = data.split_first() else { return };
    let path = folder().join("tokenizer.json");
    if which % 8 == 0 {
        std::fs::copy(golden("sentences").join("tokenizer.json"), &path).unwrap();
        std::fs::write(folder().join("tokenizer_config.json"), bytes).unwrap();
    } else {
        let _ = std::fs::remove_file(folder().join("tokenizer_config.json"));
        std::fs::write(&path, bytes).unwrap();
    }
    let Ok(tokenizer) = Tokenizer::open(&path, 16) else { return };
    for text in TEXTS.iter().map(|&text| text.to_owned()).chain(["ab ".repeat(500), "x".repeat(3000)]) {
        if let Ok(encoded) = tokenizer.encode(&text) {
            assert!((1..=16).contains(&encoded.ids.len()), "{} tokens of {text:?}", encoded.ids.len());
        }
    }
});
