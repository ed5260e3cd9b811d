//! What the command does with adapters that others wrote: sizes that are not there, names that move the cursor, keys.
#![cfg(feature = "cli")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::adapter::{AdapterFile, Piece};
use common::digits::open;
use taps::Network;
use taps::format::{Digest, Encoding, Role};

const BASE: &str = "adapters/digits/base";
const DATA: &str = "adapters/digits/data";
const PICTURE: &str = "tests/golden/processors/pictures/small.png";
const ADAPTER: &str = "adapters/digits/inverted.taps";

fn run(mut command: Command, args: &[&str]) -> Output {
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).output().unwrap()
}

fn taps(args: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_taps")), args)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An adapter of the shipped base that changes nothing.
fn adapter(task: &str) -> AdapterFile {
    let (base, model) = open();
    AdapterFile { architecture: model.architecture().to_owned(), ..AdapterFile::new(&base, task) }
}

/// A file of 0.3 MB with a tensor of 16 GB.
fn huge() -> Vec<u8> {
    let piece = Piece {
        name: "layer".to_owned(),
        role: Role::Delta,
        encoding: Encoding::LowRank { rank: 1, half: true },
        shape: vec![1 << 16, 1 << 16],
        base: Some(Digest::of(b"some tensor")),
        values: vec![0.5; 2 << 16],
    };
    let mut file = adapter("huge");
    file.tensors.push(piece);
    file.bytes()
}

#[test]
#[cfg(target_os = "linux")]
fn a_small_file_of_a_huge_tensor_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = folder.path().join("huge.taps");
    fs::write(&hostile, huge()).unwrap();
    assert!(fs::metadata(&hostile).unwrap().len() < 300_000);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(root.join(ADAPTER), folder.path().join("fine.taps")).unwrap();
    // Two gigabytes of address space in all.
    let limited = |args: &[&str]| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -v 2000000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_taps")]);
        run(shell, args)
    };
    let page = folder.path().join("report.html");
    for base in [&[][..], &["--base", BASE]] {
        let output = limited(&[&["report", path(folder.path()), "--threads", "1"], base].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(fs::read_to_string(&page).unwrap().contains("inverted"));
        fs::remove_file(&page).unwrap();
    }
    let key = folder.path().join("key");
    assert!(taps(&["keygen", path(&key)]).status.success());
    for args in [
        vec!["verify", path(&hostile)],
        vec!["inspect", path(&hostile)],
        vec!["sign", path(&hostile), "--key", path(&key)],
        vec!["verify", path(&hostile), "--base", BASE],
        vec!["recode", path(&hostile), "x.taps", "--base", BASE, "--encoding", "f16"],
        vec!["eval", "--base", BASE, "--adapter", path(&hostile), "--data", DATA],
    ] {
        let output = limited(&[&args[..], &["--threads", "1"]].concat());
        let said = text(&output.stderr);
        // Whether it is refused or not, no signal ends it and nothing panics.
        assert!(output.status.code().is_some_and(|code| code <= 2) && !said.contains("panicked"), "{args:?}: {said}");
    }
}

#[test]
fn names_cannot_move_the_cursor() {
    let (base, model) = open();
    // Control characters are no part of an adapter; what turns the direction of writing may be, and anything may be of a
    // base or a path.
    let evil = "a\u{202e}b\u{2066}c\u{200f}";
    let head = model.layout().layer(model.layout().head());
    let labels: Vec<String> = (0..10).map(|number| format!("{evil}{number}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let mut file = adapter(evil).head(head.weight.shape[1], &labels, 1);
    file.tensors.iter_mut().for_each(|piece| piece.name = piece.name.replace("classifier", &head.name));
    let folder = tempfile::tempdir().unwrap();
    let hostile = folder.path().join("\u{1b}[31mred.taps");
    fs::write(&hostile, file.bytes()).unwrap();
    let key = folder.path().join("key");
    let theirs = folder.path().join("base\u{1b}[2J");
    fs::create_dir(&theirs).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(root.join(BASE).join("model.safetensors"), theirs.join("model.safetensors")).unwrap();
    let mut config: serde_json::Value =
        serde_json::from_slice(&fs::read(base.folder().join("config.json")).unwrap()).unwrap();
    let names = (0..10).map(|number| (number.to_string(), format!("\u{1b}[2J\u{9b}31m\r\u{7}{number}").into()));
    config["id2label"] = serde_json::Value::Object(names.collect());
    config.as_object_mut().unwrap().remove("label2id");
    fs::write(theirs.join("config.json"), config.to_string()).unwrap();
    let table = folder.path().join("table.csv");
    fs::write(&table, "te\u{1b}[2Jxt,la\u{7}bel\nx,\u{1b}[31my\n").unwrap();
    let commands: Vec<Vec<&str>> = vec![
        vec!["verify", path(&hostile), "--base", BASE],
        vec!["inspect", path(&hostile), "--base", BASE],
        vec!["report", path(folder.path()), "--base", BASE],
        vec!["eval", "--base", BASE, "--adapter", path(&hostile), "--data", DATA],
        vec!["predict", "--base", BASE, "--adapter", path(&hostile), PICTURE],
        vec!["sign", path(&hostile), "--key", path(&key)],
        vec!["recode", path(&hostile), path(&hostile), "--base", BASE, "--encoding", "f16"],
        vec!["predict", "--base", path(&theirs), PICTURE],
        vec!["eval", "--base", path(&theirs), "--data", DATA],
        vec!["eval", "--base", path(&theirs), "--data", path(&table)],
        vec!["predict", "--base", path(&theirs), "\u{1b}[2J.png"],
        vec!["merge", "--adapter", path(&hostile), "--base", BASE, "--out", path(&hostile)],
    ];
    let mut all = String::new();
    for args in commands {
        for json in [&[][..], &["--json"]] {
            let output = taps(&[&args[..], json].concat());
            for (which, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
                let said = text(bytes);
                let moved = said.chars().find(|&c| {
                    c.is_control() && c != '\n' && c != '\t' || ['\u{202e}', '\u{2066}', '\u{200f}'].contains(&c)
                });
                assert_eq!(moved, None, "{args:?} {json:?}: {which}: {said:?}");
                all += &said;
            }
        }
    }
    for shown in ["\\u{202e}b", "\\u{2066}c", "\\u{1b}[2J", "\\u{9b}31m", "\\u{1b}[31mred"] {
        assert!(all.contains(shown), "no {shown} in {all}");
    }
    let page = fs::read_to_string(folder.path().join("report.html"));
    assert!(page.is_err() || !page.unwrap().contains('\u{1b}'));
}

/// Commands of each kind that reads an adapter.
#[test]
fn a_key_may_be_asked_for_wherever_an_adapter_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (key, other) = (at("key"), at("other"));
    for key in [&key, &other] {
        assert!(taps(&["keygen", path(key)]).status.success());
    }
    let runs = at("runs");
    fs::create_dir(&runs).unwrap();
    let signed = runs.join("signed.taps");
    let output = taps(&["sign", ADAPTER, "--key", path(&key), "--out", path(&signed)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let out = at("out.taps");
    let (adapter, out) = (path(&signed), path(&out));
    let owned = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect::<Vec<String>>();
    let commands = [
        owned(&["verify", adapter, "--base", BASE]),
        owned(&["inspect", adapter, "--base", BASE]),
        owned(&["eval", "--base", BASE, "--adapter", adapter, "--data", DATA]),
        owned(&["predict", "--base", BASE, "--adapter", adapter, PICTURE]),
        owned(&["recode", adapter, out, "--base", BASE, "--encoding", "f16"]),
        owned(&["scale", adapter, out, "--base", BASE, "--lines", "0.6,0.4"]),
        owned(&["combine", adapter, adapter, "--base", BASE, "--task", "t", "--out", out]),
        owned(&["merge", "--adapter", adapter, "--base", BASE, "--out", out]),
        owned(&["sign", adapter, "--key", path(&other)]),
    ];
    for command in commands {
        let args = |key: &Path| -> Vec<String> {
            let public = format!("{}.pub", key.display());
            command.iter().cloned().chain(["--trust".to_owned(), public]).collect()
        };
        let refused = args(&other);
        let output = taps(&refused.iter().map(String::as_str).collect::<Vec<_>>());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("signed.taps") && said.contains("key"), "{command:?}: {said}");
    }
    let trusting = |key: &Path| {
        let public = format!("{}.pub", key.display());
        taps(&["report", path(&runs), "--trust", &public])
    };
    let output = trusting(&other);
    assert!(text(&output.stderr).contains("signed.taps"), "{}", text(&output.stderr));
    assert!(trusting(&key).status.success());
}
