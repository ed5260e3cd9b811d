//! What is made of pictures and texts against what the libraries make of them that checkpoints are published for.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use taps::base::Base;
use taps::data::{Tokenizer, read_images};
use taps::models::{InputSpec, Model};

use crate::common::{self, Golden};

/// A copy of a golden's base.
fn copied(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(common::folder(name).join(file), folder.path().join(file)).unwrap();
    }
    folder
}

/// Writes a file, or what it says beside what is there already.
fn put(folder: &Path, name: &str, json: &Value) {
    let path = folder.join(name);
    let mut all: Value = std::fs::read(&path).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
    match (all.as_object_mut(), json.as_object()) {
        (Some(all), Some(json)) => all.extend(json.clone()),
        _ => all = json.clone(),
    }
    std::fs::write(path, all.to_string()).unwrap();
}

/// Largest difference of two images; each unit of a byte is 1/255 divided by the deviation of its channel.
fn largest(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn pictures_become_the_numbers_that_transformers_and_timm_make_of_them() {
    let golden = Golden::open("processors/golden.safetensors");
    let cases = std::fs::read(common::folder("processors/cases.json")).unwrap();
    let cases: BTreeMap<String, Value> = serde_json::from_slice(&cases).unwrap();
    assert!(cases.len() > 50);
    let (mut whole, mut wrong) = (0, Vec::new());
    for (name, case) in &cases {
        let folder = copied(case["base"].as_str().unwrap());
        case["files"].as_object().unwrap().iter().for_each(|(file, json)| put(folder.path(), file, json));
        let model = Model::open(&Base::open(folder.path()).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let InputSpec::Images(spec) = model.input() else { panic!("{name}: no images") };
        assert_eq!([spec.channels, spec.height, spec.width], golden.shape(name)[..], "{name}");
        let picture = common::folder("processors/pictures").join(format!("{}.png", case["picture"].as_str().unwrap()));
        let found = read_images(&[picture], &spec).unwrap().pixels;
        let expected = golden.floats(name);
        // One unit of a byte, where an interpolation by integers of fewer bits falls on the other side of a half.
        let unit = 1.02 / 255.0 / spec.std.iter().copied().fold(f32::MAX, f32::min);
        let off = largest(&found, &expected);
        let apart = found.iter().zip(&expected).filter(|(a, b)| (**a - **b).abs() > 1e-4).count();
        whole += usize::from(off < 1e-4);
        if off > unit || apart * 3 > found.len() {
            wrong.push(format!("{name}: off by {off}, and a unit is {unit}; {apart} of {} differ", found.len()));
        }
    }
    println!("{whole} of {} pictures are equal", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn texts_become_the_tokens_that_sentence_transformers_makes_of_them() {
    let folder = common::folder("sentences");
    let golden = Golden::open("sentences/golden.safetensors");
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(folder.join("texts.json")).unwrap()).unwrap();
    let InputSpec::Tokens(spec) = Model::open(&Base::open(&folder).unwrap()).unwrap().input() else {
        panic!("it reads texts")
    };
    let limit = spec.max_tokens.expect("a limit is stated");
    assert!(limit < spec.longest);
    let tokenizer = Tokenizer::open(folder.join("tokenizer.json"), limit).unwrap();
    let tokenizer = tokenizer.with_prompt(&spec.prompt, spec.lowercase);
    let (ids, lengths) = (golden.integers("ids"), golden.integers("lengths"));
    let padded = ids.len() / lengths.len();
    for (row, (text, &length)) in texts.iter().zip(&lengths).enumerate() {
        let found = tokenizer.encode(text).unwrap();
        let expected: Vec<u32> = ids[row * padded..][..length].iter().map(|&id| id as u32).collect();
        assert_eq!(found.ids, expected, "{text}");
        assert_eq!(found.is_cut, row + 1 == texts.len(), "{text}");
    }
}
