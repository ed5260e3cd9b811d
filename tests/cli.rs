//! The command as a person or a script meets it.
#![cfg(feature = "cli")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const BASE: &str = "adapters/digits/base";
const DIGITS: &str = "adapters/digits/data/digits-images-idx3-ubyte";

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
    assert!(output.stdout.is_empty(), "{args:?} printed {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn train<'a>(out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "--base", BASE, "--data", DIGITS, "--task", "digits", "--out", out.to_str().unwrap()];
    args.extend(["--json", "--threads", "1", "--epochs", "1", "--max-active-layers", "2"]);
    args.extend(more);
    args
}

#[test]
fn the_demo_serves_three_tasks_and_reloads_them() {
    let folder = tempfile::tempdir().unwrap();
    let report = json(&["demo", "--json", "--out", folder.path().to_str().unwrap()]);
    let tasks = report["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 3);
    let mut tuned = 0;
    for task in tasks {
        let (name, accuracy) = (task["task"].as_str().unwrap(), task["accuracy"].as_f64().unwrap());
        let base = task["base_accuracy"].as_f64().unwrap_or(0.34);
        assert!(accuracy > 0.75 && accuracy > base + 0.3, "{name}: {accuracy} after {base}");
        let active = task["active_layers"].as_array().unwrap().len();
        assert!(active <= 4, "{name}: {active} active layers");
        tuned += usize::from(active > 0);
        let file = folder.path().join(format!("{name}.taps"));
        assert_eq!(std::fs::metadata(&file).unwrap().len(), task["bytes"].as_u64().unwrap());
        assert!(json(&["verify", file.to_str().unwrap(), "--base", BASE, "--json"])["ok"].as_bool().unwrap());
    }
    // On thirty examples to validate by, the head alone may be as good for one of them.
    assert!(tuned >= 2, "{report}");
    assert_eq!(report["predictions_compared"], 1800);
}

#[test]
fn shipped_adapters_belong_to_the_shipped_base() {
    for name in ["rotated", "inverted", "strokes"] {
        let file = format!("adapters/digits/{name}.taps");
        assert!(json(&["verify", &file, "--base", BASE, "--json"])["ok"].as_bool().unwrap());
        let card =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file.replace(".taps", ".md"))).unwrap();
        let inspected = json(&["inspect", &file, "--json"]);
        assert!(card.contains(&format!("- bytes: {}\n", inspected["bytes"])), "{card}");
        assert!(card.contains(&format!("- active layers: {} of", inspected["active_layers"])), "{card}");
    }
}

#[test]
fn train_then_eval_inspect_and_predict() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("digits.taps");
    let adapter = out.to_str().unwrap();
    let trained = json(&train(&out, &["--encoding", "int8"]));
    let eval = json(&["eval", "--base", BASE, "--adapter", adapter, "--data", DIGITS, "--json"]);
    let accuracy = eval["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9 && accuracy <= 1.0);
    assert!((eval["correct"].as_f64().unwrap() / 1797.0 - accuracy).abs() < 1e-9);
    let inspected = json(&["inspect", adapter, "--base", BASE, "--json"]);
    let active = trained["active_layers"].as_array().unwrap();
    assert_eq!(inspected["active_layers"], active.len());
    assert!(active.len() <= 2);
    let int8 = inspected["entries"].as_array().unwrap().iter().filter(|entry| entry["encoding"] == "int8").count();
    assert_eq!(int8, active.len());
    let text = String::from_utf8(taps(&["inspect", adapter, "--base", BASE]).stdout).unwrap();
    let picture = text.lines().find(|line| line.starts_with("layers")).unwrap();
    assert_eq!(picture.matches('■').count(), active.len());
    assert_eq!(picture.matches(['■', '·']).count(), 25);

    let image = folder.path().join("dark.png");
    image::GrayImage::new(8, 8).save(&image).unwrap();
    let predicted = json(&["predict", "--base", BASE, "--adapter", adapter, "--json", image.to_str().unwrap()]);
    assert_eq!(predicted["predictions"][0]["task"], "digits");
    assert!(predicted["predictions"][0]["probability"].as_f64().unwrap() > 0.1);
}

#[test]
fn a_ranking_serves_later_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (ranking, out) = (folder.path().join("ranking.json"), folder.path().join("x.taps"));
    let ranking = ranking.to_str().unwrap();
    let ranked = json(&[
        "rank",
        "--base",
        BASE,
        "--data",
        DIGITS,
        "--out",
        ranking,
        "--batches",
        "3",
        "--threads",
        "1",
        "--json",
    ]);
    let names: Vec<&str> =
        ranked["layers"].as_array().unwrap().iter().map(|layer| layer["name"].as_str().unwrap()).collect();
    assert!(names.len() > 2, "{names:?}");
    let trained = json(&train(&out, &["--ranking", ranking, "--validation", "0"]));
    let mut active: Vec<&str> =
        trained["active_layers"].as_array().unwrap().iter().map(|layer| layer.as_str().unwrap()).collect();
    active.sort_unstable();
    let mut first = names[..2].to_vec();
    first.sort_unstable();
    assert_eq!(active, first);
    // The demo's base comes without one.
    let (code, message) = failure(&train(&out, &["--select", "ranked"]));
    assert!(code == 2 && message.contains("ranking.json") && message.contains("taps rank"), "{message}");
}

#[test]
fn without_a_word_on_layers_there_is_a_cap() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.taps");
    let active = |more: &[&str]| {
        let mut args =
            vec!["train", "--base", BASE, "--data", DIGITS, "--task", "digits", "--out", out.to_str().unwrap()];
        args.extend(["--json", "--threads", "1", "--epochs", "1", "--validation", "0"]);
        args.extend(more);
        json(&args)["active_layers"].as_array().unwrap().len()
    };
    assert_eq!(active(&[]), 8);
    assert_eq!(active(&["--max-active-layers", "all", "--lambda", "0"]), 25);
    assert!(active(&["--max-layer-bytes", "20k"]) < 8);
}

#[test]
fn budgets_are_kept_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.taps");
    let limits = ["--max-adapter-bytes", "40k", "--max-memory", "8M", "--max-steps", "9", "--max-time", "10m"];
    let trained = json(&train(&out, &limits));
    let plan = &trained["plan"];
    assert!(trained["bytes"].as_u64().unwrap() <= 40_000 && plan["adapter"].as_u64().unwrap() <= 40_000, "{trained}");
    assert!(plan["measured_memory"].as_u64().unwrap() <= plan["memory"].as_u64().unwrap(), "{plan}");
    assert!(plan["memory"].as_u64().unwrap() <= 8_000_000 && plan["steps"] == 9, "{plan}");
    assert!(plan["seconds"].as_f64().unwrap() > 0.0, "{plan}");
    for (flag, value, said) in [("--max-memory", "1k", "for memory"), ("--max-time", "0.000001", "for time")] {
        let (code, message) = failure(&train(&out, &[flag, value]));
        assert!(code == 1 && message.contains(said) && message.contains("cannot be met"), "{message}");
    }
}

#[test]
fn one_thread_and_one_seed_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["a.taps", "b.taps", "c.taps"].map(|name| folder.path().join(name));
    for (file, seed) in files.iter().zip(["1", "1", "2"]) {
        json(&train(file, &["--seed", seed]));
    }
    let bytes = files.map(|file| std::fs::read(file).unwrap());
    assert_eq!(bytes[0], bytes[1]);
    assert_ne!(bytes[0], bytes[2]);
}

#[test]
fn wrong_use_is_2_and_failure_is_1() {
    assert_eq!(failure(&["train"]).0, 2);
    assert_eq!(failure(&["predict", "--base", BASE, "--nonsense"]).0, 2);
    let folder = tempfile::tempdir().unwrap();
    let (code, message) = failure(&train(&folder.path().join("none/x.taps"), &[]));
    assert_eq!((code, message.contains("there is no folder")), (2, true), "{message}");
    let (code, message) = failure(&train(&folder.path().join("x.taps"), &["--rate", "0"]));
    assert_eq!((code, message.contains("learning rate is 0")), (2, true), "{message}");
    let (code, message) = failure(&["eval", "--base", "no/such/base", "--data", DIGITS]);
    assert_eq!((code, message.contains("no/such/base")), (1, true), "{message}");
    let out = folder.path().join("y.taps");
    for (flags, said) in [
        (&["--layers", "nope", "--method", "head"][..], "--layers"),
        (&["--max-tokens", "4"], "--max-tokens"),
        (&["--mixup", "1.5"], "mixup"),
    ] {
        let (code, message) = failure(&train(&out, flags));
        assert!(code == 2 && message.contains(said) && !out.exists(), "{flags:?}: {code}: {message}");
    }
    for (size, said) in [("16384", "patches"), ("99999999999", "pixels"), ("0", "pixels")] {
        let (code, message) = failure(&["eval", "--base", BASE, "--image-size", size, "--data", DIGITS]);
        assert!((1..=2).contains(&code) && message.contains(said), "{size}: {code}: {message}");
    }
    let (code, message) = failure(&["demo", "--assets", "no/such/folder"]);
    assert_eq!((code, message.contains("no/such/folder")), (2, true), "{message}");
}

#[test]
fn a_damaged_adapter_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged.taps");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut bytes = std::fs::read(root.join("adapters/digits/rotated.taps")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, &bytes).unwrap();
    for command in [vec!["verify"], vec!["inspect"], vec!["eval", "--base", BASE, "--data", DIGITS, "--adapter"]] {
        let args: Vec<&str> = command.into_iter().chain([damaged.to_str().unwrap()]).collect();
        let (code, message) = failure(&args);
        assert_eq!(code, 1);
        assert!(message.contains("damaged.taps") && message.contains("checksum"), "{message}");
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_a_whole_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("digits.taps");
    let child = Command::new(env!("CARGO_BIN_EXE_taps"))
        .args(["train", "--base", BASE, "--data", DIGITS, "--task", "digits", "--out", out.to_str().unwrap()])
        .args(["--json", "--epochs", "100000"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["stopped"], true);
    assert!(json(&["verify", out.to_str().unwrap(), "--base", BASE, "--json"])["ok"].as_bool().unwrap());
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn a_device_that_was_not_built_is_named_and_auto_does_without() {
    let (base, adapter) = ("adapters/digits/base", "adapters/digits/inverted.taps");
    let data = "adapters/digits/data";
    let eval = ["eval", "--json", "--base", base, "--adapter", adapter, "--data", data];
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.taps");
    let train = ["train", "--json", "--base", base, "--data", data, "--task", "x", "--out", out.to_str().unwrap()];
    for command in [&eval[..], &train] {
        for device in ["cuda", "metal"] {
            let (code, message) = failure(&[command, &["--device", device]].concat());
            let wanted = [format!("no device {device}"), format!("--features {device}")];
            assert!(code == 1 && wanted.iter().all(|part| message.contains(part)), "{code}: {message}");
        }
        let (code, message) = failure(&[command, &["--arithmetic", "bf16"]].concat());
        assert!(code == 2 && message.contains("arithmetic") && message.contains("f32"), "{code}: {message}");
    }
    assert!(!out.exists());
    let score = |device| json(&[&eval[..], &["--device", device]].concat())["correct"].clone();
    assert_eq!(score("auto"), score("cpu"));
}
