//! The commands that make adapters smaller, or of something else, as a person or a script meets them.
#![cfg(feature = "cli")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const BASE: &str = "adapters/digits/base";
const DIGITS: &str = "adapters/digits/data/digits-images-idx3-ubyte";
const ROTATED: &str = "adapters/digits/rotated.taps";
const INVERTED: &str = "adapters/digits/inverted.taps";

fn taps(args: &[&str]) -> Output {
    let root = env!("CARGO_MANIFEST_DIR");
    Command::new(env!("CARGO_BIN_EXE_taps")).args(args).current_dir(root).stdin(Stdio::null()).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let args = [args, &["--json", "--threads", "1"]].concat();
    let output = taps(&args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object on stdout")
}

fn refused(args: &[&str], word: &str) {
    let output = taps(args);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && message.contains(word), "{args:?}: {message}");
}

fn verified(file: &Path) -> bool {
    json(&["verify", file.to_str().unwrap(), "--base", BASE])["ok"] == true
}

#[test]
fn an_adapter_is_stored_in_fewer_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("small.taps");
    let small = out.to_str().unwrap();
    let exact = std::fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join(ROTATED)).unwrap().len();
    let recode = |more: &[&'static str]| json(&[&["recode", ROTATED, small, "--base", BASE], more].concat());
    for (encoding, shown) in [("int8", "int8"), ("int4", "int4/32"), ("one-bit", "one-bit"), ("sparse", "sparse/")] {
        let recoded = recode(&["--encoding", encoding]);
        assert_eq!(recoded["bytes"], std::fs::metadata(&out).unwrap().len());
        assert!(recoded["bytes"].as_u64().unwrap() < exact && recoded["accuracy"].is_null());
        let tensors = recoded["tensors"].as_array().unwrap();
        assert!(tensors.iter().any(|tensor| tensor["encoding"].as_str().unwrap().starts_with(shown)), "{recoded}");
        assert!(verified(&out));
    }
    let auto = recode(&["--encoding", "auto", "--max-bytes", "9k", "--data", DIGITS, "--examples", "64"]);
    assert!(auto["bytes"].as_u64().unwrap() <= 9000 && auto["divergence"].as_f64().unwrap() > 0.0);
    assert!(verified(&out));
    let inspected = json(&["inspect", small]);
    let encodings: Vec<&str> =
        inspected["entries"].as_array().unwrap().iter().map(|entry| entry["encoding"].as_str().unwrap()).collect();
    assert!(encodings.iter().any(|encoding| *encoding != "f32"), "{encodings:?}");
    let wrong =
        |more: &[&'static str], word| refused(&[&["recode", ROTATED, small, "--base", BASE], more].concat(), word);
    wrong(&["--encoding", "auto", "--max-bytes", "9k"], "--data");
    wrong(&["--encoding", "auto", "--data", DIGITS], "--max-bytes");
    wrong(&["--encoding", "int8", "--max-bytes", "9k"], "auto");
    wrong(&["--encoding", "int4", "--group", "7"], "even");
    wrong(&["--encoding", "low-rank", "--rank", "0"], "rank");
    wrong(&["--encoding", "sparse", "--share", "2"], "share");
}

#[test]
fn training_ends_within_the_bytes_it_may_take() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("digits.taps");
    let train = ["train", "--base", BASE, "--data", DIGITS, "--task", "digits", "--out", out.to_str().unwrap()];
    let few = ["--epochs", "1", "--max-active-layers", "2", "--validation", "0", "--encoding"];
    let trained = json(&[&train[..], &few, &["auto", "--max-bytes", "8k", "--record"]].concat());
    assert!(trained["bytes"].as_u64().unwrap() <= 8000, "{trained}");
    assert_eq!(trained["recoded"]["bytes"], trained["bytes"]);
    assert!(verified(&out));
    let one_bit = json(&[&train[..], &few, &["one-bit"]].concat());
    let tensors = one_bit["recoded"]["tensors"].as_array().unwrap();
    assert_eq!(tensors.iter().filter(|tensor| tensor["encoding"] == "one-bit").count(), 2);
    refused(&[&train[..], &few, &["auto"]].concat(), "--max-bytes");
    refused(&[&train[..], &few, &["f32", "--max-bytes", "8k"]].concat(), "auto");
}

#[test]
fn a_merged_checkpoint_differs_from_its_base_by_the_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let (merged, out) = (folder.path().join("merged"), folder.path().join("again.taps"));
    let (merged, again) = (merged.to_str().unwrap(), out.to_str().unwrap());
    json(&["merge", "--base", BASE, "--adapter", ROTATED, "--out", merged]);
    let of = |base: &str, adapter: &[&str]| {
        let eval = json(&[&["eval", "--base", base, "--data", DIGITS], adapter].concat());
        (eval["correct"].as_u64(), eval["loss"].as_f64())
    };
    assert_eq!(of(merged, &[]), of(BASE, &["--adapter", ROTATED]));
    let differed = json(&["diff", "--base", BASE, "--tuned", merged, "--task", "rotated", "--out", again]);
    let layers = differed["layers"].as_array().unwrap();
    assert!(!layers.is_empty() && layers.iter().all(|layer| layer["kept"] == true));
    assert_eq!(of(BASE, &["--adapter", again]), of(BASE, &["--adapter", ROTATED]));
    let cap = ["--max-active-layers", "1", "--data", DIGITS, "--examples", "64"];
    let few =
        json(&[&["diff", "--base", BASE, "--tuned", merged, "--task", "rotated", "--out", again], &cap[..]].concat());
    let kept =
        few["layers"].as_array().unwrap().iter().filter(|layer| layer["kept"] == true && !layer["worth"].is_null());
    assert_eq!(kept.count(), 1);
}

#[test]
fn adapters_are_scaled_and_combined() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.taps");
    let path = out.to_str().unwrap();
    json(&["scale", ROTATED, path, "--base", BASE, "--lines", "0.6,0.4"]);
    assert!(verified(&out));
    json(&["combine", ROTATED, INVERTED, "--base", BASE, "--method", "ties", "--task", "both", "--out", path]);
    assert!(verified(&out));
    assert_eq!(json(&["inspect", path])["task"], "both");
    refused(&["scale", ROTATED, path, "--base", BASE, "--lines", "0.6"], "0.6,0.4");
}

#[test]
fn only_what_a_trusted_key_signed_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, other, signed) = (path("a.key"), path("b.key"), path("signed.taps"));
    let made = json(&["keygen", &key]);
    json(&["keygen", &other]);
    let (public, strange) = (path("a.key.pub"), path("b.key.pub"));
    assert_eq!(made["public"], public);
    let before = std::fs::read(&key).unwrap();
    let again = taps(&["keygen", &key]);
    assert!(again.status.code() == Some(1) && std::fs::read(&key).unwrap() == before, "a key is never written over");
    assert_eq!(json(&["sign", ROTATED, "--key", &key, "--out", &signed])["key"], made["key"]);
    let failed = |args: &[&str], word: &str| {
        let output = taps(args);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && message.contains(word), "{args:?}: {message}");
    };
    let checked = json(&["verify", &signed, "--base", BASE, "--key", &strange, "--key", &public]);
    assert_eq!(checked["signed_by"], made["key"]);
    failed(&["verify", &signed, "--key", &strange], "not trusted");
    failed(&["verify", ROTATED, "--key", &public], "not signed");
    let eval = |adapter: &str, key: &str| {
        let eval = ["eval", "--base", BASE, "--data", DIGITS, "--adapter", adapter, "--trust", key];
        taps(&eval).status.success()
    };
    assert!(eval(&signed, &public) && !eval(&signed, &strange) && !eval(ROTATED, &public));
    let mut altered = std::fs::read(&signed).unwrap();
    let at = altered.len() - 1;
    altered[at] ^= 1;
    std::fs::write(&signed, altered).unwrap();
    failed(&["verify", &signed, "--key", &public], "signature does not hold");
    assert!(!eval(&signed, &public));
    refused(&["sign", ROTATED, "--key", &public, "--out", &signed], "public key");
    refused(&["verify", ROTATED, "--key", &key], "secret key");
}
