//! Records of runs, pictures and the report, as a person's browser and other people's names meet them.
#![cfg(feature = "cli")]

#[path = "pictures/browser.rs"]
mod browser;
mod common;
#[path = "pictures/folders.rs"]
mod folders;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use browser::screenshot;
use common::adapter::{AdapterFile, Piece};
use folders::{crowd, digits, record, write_record};
use roxmltree::{Document, Node, ParsingOptions};
use serde_json::{Value, json};
use taps::format::{Digest, Encoding, Role};

const BASE: &str = "adapters/digits/base";
const DIGITS: &str = "adapters/digits/data/digits-images-idx3-ubyte";
const EVIL: &str = "</title></svg><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;]]>\u{1b}\u{202e}";

fn taps(args: &[&str]) -> Output {
    let root = env!("CARGO_MANIFEST_DIR");
    Command::new(env!("CARGO_BIN_EXE_taps")).args(args).current_dir(root).stdin(Stdio::null()).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = taps(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object on stdout")
}

/// Exit code and stderr of a command that fails.
fn failure(args: &[&str]) -> (i32, String) {
    let output = taps(args);
    assert!(!output.status.success(), "{args:?} succeeded");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The page of `folder`, checked: it is well-formed, holds all that it shows, and runs nothing.
fn report(folder: &Path, more: &[&str]) -> String {
    let mut args = vec!["report", folder.to_str().unwrap(), "--json"];
    args.extend(more);
    let done = json(&args);
    let page = std::fs::read_to_string(done["out"].as_str().unwrap()).unwrap();
    let document = parsed(&page);
    let allowed = "html head meta title style body main header section h1 h2 h3 p ul li div figure span table thead tbody \
                   tr th td svg rect line polyline polygon circle text";
    let allowed: HashSet<&str> = allowed.split_whitespace().collect();
    for node in document.descendants().filter(Node::is_element) {
        assert!(allowed.contains(node.tag_name().name()), "element {}", node.tag_name().name());
        for attribute in node.attributes() {
            let name = attribute.name();
            assert!(!name.starts_with("on") && !["href", "src", "data"].contains(&name), "attribute {name}");
            assert!(!attribute.value().contains("url("), "{name}={}", attribute.value());
        }
    }
    let left = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").replace("http-equiv", "");
    assert!(!left.contains("http") && !left.contains("<script") && !left.contains("@import"));
    page
}

fn parsed(text: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).unwrap_or_else(|error| panic!("{error}"))
}

/// The SVGs in the section of a class.
fn pictures<'a>(document: &'a Document<'_>, class: &str) -> Vec<Node<'a, 'a>> {
    let section =
        document.descendants().find(|node| node.attribute("class") == Some(class) && node.has_tag_name("section"));
    section
        .into_iter()
        .flat_map(|section| section.descendants())
        .filter(|node| node.tag_name().name() == "svg")
        .collect()
}

/// How many rectangles there are of the commonest size but for the colours' key, and of how many colours.
fn cells(picture: Node<'_, '_>) -> (usize, usize) {
    let mut sizes: HashMap<(&str, &str), Vec<&str>> = HashMap::new();
    for cell in picture.descendants().filter(|node| node.tag_name().name() == "rect") {
        let size = (cell.attribute("width").unwrap(), cell.attribute("height").unwrap());
        if size.0 == "2" {
            continue;
        }
        sizes.entry(size).or_default().push(cell.attribute("fill").unwrap());
    }
    let cells = sizes.into_values().max_by_key(Vec::len).unwrap();
    (cells.len(), cells.iter().collect::<HashSet<_>>().len())
}

fn texts(node: Node<'_, '_>) -> Vec<String> {
    let texts = node.descendants().filter(|node| node.tag_name().name() == "text");
    texts.map(|node| node.text().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn a_report_shows_every_task_layer_and_run() {
    let folder = digits();
    write_record(folder.path(), "rotated", &record("rotated", "taps", 18_600, 0.91));
    write_record(folder.path(), "other", &record("other", "head", 650, 0.71));
    let page = report(folder.path(), &["--base", BASE]);
    let document = parsed(&page);
    let map = pictures(&document, "layers")[0];
    let (count, colors) = cells(map);
    assert_eq!(count, 3 * 25);
    assert!(colors > 8, "{colors} colours");
    let labels = texts(map);
    for label in ["rotated", "inverted", "strokes", "4 of 25", "0.output.dense"] {
        assert!(labels.iter().any(|text| text == label), "{label} in {labels:?}");
    }
    let scatter = texts(pictures(&document, "accuracy")[0]);
    for label in ["rotated", "inverted", "strokes", "other", "taps", "head", "validation accuracy"] {
        assert!(scatter.iter().any(|text| text == label), "{label} in {scatter:?}");
    }
    assert_eq!(pictures(&document, "curves").len(), 2);
    let table = document.descendants().find(|node| node.has_tag_name("tbody")).unwrap();
    assert_eq!(table.children().filter(Node::is_element).count(), 4);
    assert_eq!(report(folder.path(), &["--base", BASE]), page, "an equal folder gives an equal page");
}

#[test]
fn without_a_base_the_touched_layers_are_shown() {
    let folder = digits();
    let page = report(folder.path(), &[]);
    let document = parsed(&page);
    let map = pictures(&document, "layers")[0];
    let names: HashSet<String> = ["rotated", "inverted", "strokes"]
        .iter()
        .flat_map(|task| {
            let inspected = json(&["inspect", &format!("adapters/digits/{task}.taps"), "--json"]);
            let entries = inspected["entries"].as_array().unwrap().clone();
            let matrices = entries
                .into_iter()
                .filter(|entry| entry["role"] == "delta" && entry["shape"].as_array().unwrap().len() > 1);
            matrices.map(|entry| entry["tensor"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(cells(map).0, 3 * names.len());
    assert!(texts(map).iter().any(|text| text.contains("√elements")));
}

#[test]
fn a_recorded_run_can_be_measured_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let adapter = folder.path().join("small.taps");
    let adapter = adapter.to_str().unwrap();
    let train = ["train", "--base", BASE, "--data", DIGITS, "--task", "digits", "--out", adapter, "--record", "--json"];
    let trained = json(&[&train[..], &["--epochs", "2", "--max-active-layers", "2"]].concat());
    let path = PathBuf::from(trained["record"].as_str().unwrap());
    assert_eq!(path, folder.path().join("small.run.json"));
    let read = || serde_json::from_slice::<Value>(&std::fs::read(&path).unwrap()).unwrap();
    let record = read();
    assert_eq!(record["bytes"], trained["bytes"]);
    assert_eq!(record["active_layers"], trained["active_layers"]);
    assert_eq!(record["validation_accuracy"], trained["validation_accuracy"]);
    assert_eq!((&record["settings"]["max_active_layers"], &record["settings"]["select"]), (&json!(2), &json!("probe")));
    let inspected = json(&["inspect", adapter, "--json"]);
    let elements =
        |entry: &Value| entry["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product::<u64>();
    assert_eq!(record["parameters"], inspected["entries"].as_array().unwrap().iter().map(elements).sum::<u64>());
    let (curves, length) = (&record["curves"], |curve: &Value| curve.as_array().unwrap().len() as u64);
    assert_eq!(length(&curves["select"]) + length(&curves["tune"]), trained["steps"].as_u64().unwrap() + 20);
    assert_eq!((length(&curves["head"]), length(&curves["epochs"])), (40, 3));
    assert_eq!(curves["epochs"][2]["step"], length(&curves["tune"]));

    let mut marked = record.clone();
    marked["from_a_later_version"] = json!([1, null]);
    std::fs::write(&path, marked.to_string()).unwrap();
    let eval = ["eval", "--base", BASE, "--adapter", adapter, "--data", DIGITS, "--json", "--record"];
    let measured = json(&[&eval[..], &[path.to_str().unwrap()]].concat());
    assert_eq!(read()["test_accuracy"], measured["accuracy"]);
    assert_eq!(read()["from_a_later_version"], json!([1, null]));
    let page = report(folder.path(), &["--base", BASE]);
    let document = parsed(&page);
    assert!(texts(pictures(&document, "accuracy")[0]).contains(&"test accuracy".to_owned()));

    marked["task"] = json!("another");
    std::fs::write(&path, marked.to_string()).unwrap();
    let (code, message) = failure(&[&eval[..], &[path.to_str().unwrap()]].concat());
    assert_eq!((code, message.contains("another")), (2, true), "{message}");

    marked["task"] = json!("digits");
    std::fs::write(&path, marked.to_string()).unwrap();
    json(&[&train[..9], &["--json", "--method", "head"]].concat());
    let (code, message) = failure(&[&eval[..], &[path.to_str().unwrap()]].concat());
    assert_eq!((code, message.contains("another adapter")), (2, true), "{message}");
    let stale = json(&["report", folder.path().to_str().unwrap(), "--json"])["problems"][0].to_string();
    assert!(stale.contains("small.run.json") && stale.contains("replaced since"), "{stale}");
}

#[test]
fn names_cannot_leave_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = |name: &str| Piece {
        name: name.to_owned(),
        role: Role::Delta,
        encoding: Encoding::F32,
        shape: vec![2, 2],
        base: Some(Digest::of(b"")),
        values: vec![0.5, 0.0, 0.0, -0.5],
    };
    let name = EVIL.replace('\u{1b}', "");
    let evil = AdapterFile {
        task: name.clone(),
        architecture: name.clone(),
        base: Digest::of(b""),
        labels: vec![name.clone()],
        settings: Default::default(),
        tensors: vec![tensor(&format!("{}.weight", &EVIL[..60]))],
    };
    std::fs::write(folder.path().join("evil.taps"), evil.bytes()).unwrap();
    let mut run = record(EVIL, EVIL, 1000, 0.5);
    run["settings"]["select"] = json!(EVIL);
    run["settings"]["norms"] = json!(EVIL);
    write_record(folder.path(), "run", &run);
    #[cfg(unix)]
    {
        write_record(folder.path(), "<img src=x onerror=alert(3)>'\"&amp;", &record("plain", "taps", 10, 1.0));
        std::fs::write(folder.path().join("<svg onload=alert(4)>.taps"), "not an adapter").unwrap();
    }
    let page = report(folder.path(), &[]);
    for raw in ["<img", "<script", "onload=alert(4)>.", "\u{1b}", "\u{202e}"] {
        assert!(!page.contains(raw), "{raw}");
    }
    let document = parsed(&page);
    let shown = document.descendants().filter_map(|node| node.text()).filter(|text| text.contains("<script>alert(1)"));
    assert!(shown.count() >= 3, "names are shown as they are");
    assert_eq!(cells(pictures(&document, "layers")[0]).0, 1);
}

#[test]
fn what_cannot_be_read_is_named_and_left_out() {
    let folder = digits();
    let path = folder.path().to_str().unwrap();
    std::fs::write(folder.path().join("damaged.taps"), "x").unwrap();
    let mut bad = record("bad", "taps", 10, 0.5);
    bad["validation_accuracy"] = json!(1.5);
    write_record(folder.path(), "bad", &bad);
    let mut endless = record("endless", "taps", 10, 0.5);
    endless["curves"]["tune"][3] = json!(1e300);
    write_record(folder.path(), "endless", &endless);
    let output = taps(&["report", path, "--base", BASE]);
    assert!(output.status.success());
    let notes = String::from_utf8(output.stderr).unwrap();
    let page = report(folder.path(), &["--base", BASE]);
    for name in ["damaged.taps", "bad.run.json", "endless.run.json"] {
        assert!(notes.contains(name) && page.contains(name), "{name} in {notes}");
    }
    let document = parsed(&page);
    assert_eq!(cells(pictures(&document, "layers")[0]).0, 3 * 25);
}

#[test]
fn a_folder_without_anything_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (code, message) = failure(&["report", path]);
    assert_eq!(code, 1);
    assert!(message.contains("*.taps") && message.contains("*.run.json"), "{message}");
    std::fs::write(folder.path().join("damaged.taps"), "x").unwrap();
    let (code, message) = failure(&["report", path]);
    assert_eq!((code, message.contains("damaged.taps")), (1, true), "{message}");
    assert!(!folder.path().join("report.html").exists());
    let (code, message) = failure(&["report", "no/such/folder"]);
    assert_eq!((code, message.contains("no/such/folder")), (2, true), "{message}");
}

#[test]
fn inspect_draws_the_layers_of_a_task() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("layers.svg");
    let args = ["inspect", "adapters/digits/rotated.taps", "--json", "--svg", out.to_str().unwrap()];
    let inspected = json(&[&args[..], &["--base", BASE]].concat());
    let text = std::fs::read_to_string(&out).unwrap();
    let document = parsed(&text);
    let labels = texts(document.root());
    assert!(
        labels.contains(&"rotated".to_owned())
            && labels.contains(&"taps · 4 of 25 layers changed · 77.3 kB".to_owned())
    );
    let changes = inspected["entries"].as_array().unwrap().iter().filter(|entry| {
        entry["tensor"].as_str().unwrap().ends_with(".weight")
            && entry["change"].is_number()
            && entry["shape"].as_array().unwrap().len() > 1
    });
    for change in changes {
        let percent = 100.0 * change["change"].as_f64().unwrap();
        assert!(
            labels.iter().any(|label| {
                label
                    .strip_suffix(" %")
                    .and_then(|share| share.parse::<f64>().ok())
                    .is_some_and(|share| (share - percent).abs() < 0.06)
            }),
            "{percent} in {labels:?}"
        );
    }
    assert_eq!(cells(document.root()), (21, 1));
    assert_eq!(failure(&args).0, 2, "--svg needs --base");
}

#[test]
fn a_hundred_tasks_of_three_hundred_layers_fit() {
    let folder = crowd();
    let page = report(folder.path(), &[]);
    let document = parsed(&page);
    let map = pictures(&document, "layers")[0];
    assert_eq!(cells(map).0, 100 * 300);
    assert!(map.attribute("width").unwrap().parse::<u32>().unwrap() < 2000);
    assert_eq!(pictures(&document, "curves").len(), 100);
}

#[test]
fn a_browser_shows_the_report() {
    let folder = digits();
    write_record(folder.path(), "rotated", &record("rotated", "taps", 18_600, 0.91));
    write_record(folder.path(), "head", &record("rotated", "head", 650, 0.71));
    report(folder.path(), &["--base", BASE]);
    let Some(picture) = screenshot(&folder.path().join("report.html"), "1400,2400") else {
        eprintln!("skipped: no chromium, chromium-browser or google-chrome on PATH");
        return;
    };
    assert_eq!(picture.dimensions(), (1400, 2400));
    let colors: HashSet<[u8; 3]> = picture.pixels().map(|pixel| pixel.0).collect();
    let dark = picture.pixels().filter(|pixel| pixel.0.iter().all(|&part| part < 0x60)).count();
    let white = picture.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
    assert!(colors.len() > 100, "{} colours", colors.len());
    assert!(dark > 3000, "{dark} dark pixels of text");
    assert!(white > 1_000_000, "{white} white pixels: the cards");
}
