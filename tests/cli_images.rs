//! The command with a base that reads images, and with one that says nothing of itself.
#![cfg(feature = "cli")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const BASE: &str = "tests/golden/mobilenet_v2";

fn taps(args: &[&str]) -> Output {
    let root = env!("CARGO_MANIFEST_DIR");
    Command::new(env!("CARGO_BIN_EXE_taps")).args(args).current_dir(root).stdin(Stdio::null()).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = taps(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object on stdout")
}

fn failure(args: &[&str]) -> (i32, String) {
    let output = taps(args);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Twelve pictures a class: bright at the top, or at the bottom.
fn pictures(folder: &Path, names: &[&str]) {
    for (class, name) in names.iter().enumerate() {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        for number in 0..12_u32 {
            let picture = image::RgbImage::from_fn(40, 40, |x, y| {
                let bright = (y < 20) == (class % 2 == 0);
                let noise = (x * 7 + y * 13 + number * 31) % 40;
                image::Rgb([if bright { 200 + noise as u8 } else { noise as u8 }; 3])
            });
            picture.save(folder.join(name).join(format!("{number}.png"))).unwrap();
        }
    }
}

struct Paths {
    folder: tempfile::TempDir,
}

impl Paths {
    fn new(classes: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        pictures(&folder.path().join("data"), classes);
        Self { folder }
    }

    fn of(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

#[test]
fn every_method_trains_and_evaluates_a_convolutional_network() {
    let paths = Paths::new(&["top", "bottom"]);
    let (data, out) = (paths.of("data"), paths.of("task.taps"));
    let methods: [(&[&str], &str); 8] = [
        (&["--method", "head"], "head"),
        (&["--method", "patch"], "scale-bias"),
        (&["--method", "patch", "--patch", "depthwise"], "depthwise"),
        (&["--method", "last-k", "--max-active-layers", "2"], "last-k"),
        (&["--method", "random-k", "--max-active-layers", "2"], "random-k"),
        (&["--max-active-layers", "2", "--norms", "statistics"], "taps"),
        (&["--lambda", "0.1", "--flip", "--crop", "2", "--cache-mb", "0"], "taps"),
        (&["--method", "full"], "full"),
    ];
    for (method, name) in methods {
        let mut args = vec!["train", "--json", "--base", BASE, "--data", &data, "--validation-data", &data];
        args.extend(["--task", "halves", "--out", &out, "--threads", "1", "--epochs", "2", "--rate", "3e-3"]);
        args.extend(method);
        let trained = json(&args);
        let inspected = json(&["inspect", "--json", "--base", BASE, &out]);
        assert_eq!(inspected["method"], name);
        let active = trained["active_layers"].as_array().unwrap().len();
        let expected = match name {
            "head" | "scale-bias" => 0..=0,
            "depthwise" => 17..=17,
            "last-k" | "random-k" => 2..=2,
            "full" => 52..=52,
            _ => 0..=52,
        };
        assert!(trained["epoch"] == 0 || expected.contains(&active), "{name}: {active} active layers");
        let scored = json(&["eval", "--json", "--base", BASE, "--adapter", &out, "--data", &data]);
        assert_eq!(scored["examples"], 24);
        assert!((scored["accuracy"].as_f64().unwrap() - trained["validation_accuracy"].as_f64().unwrap()).abs() < 1e-9);
    }
}

#[test]
fn an_earlier_set_is_learned_along_with_and_may_have_other_classes() {
    let paths = Paths::new(&["top", "bottom"]);
    pictures(&paths.folder.path().join("earlier"), &["top", "other"]);
    let (data, earlier, out) = (paths.of("data"), paths.of("earlier"), paths.of("task.taps"));
    let args = ["train", "--json", "--base", BASE, "--data", &data, "--task", "x", "--out", &out, "--threads", "1"];
    let more = ["--method", "head", "--replay", &earlier, "--replay-share", "0.25"];
    assert_eq!(json(&[&args[..], &more].concat())["replayed"], 6);
    let inspected = json(&["inspect", "--json", "--base", BASE, &out]);
    assert_eq!(inspected["labels"], serde_json::json!(["bottom", "other", "top"]));
    let share = failure(&[&args[..], &["--replay-share", "0.25"]].concat());
    assert!(share.0 == 2 && share.1.contains("--replay"), "{share:?}");
}

#[test]
fn a_last_layer_must_fit_its_bytes() {
    let paths = Paths::new(&["top", "bottom"]);
    let (data, out) = (paths.of("data"), paths.of("task.taps"));
    let mut args = vec!["train", "--json", "--base", BASE, "--data", &data, "--validation", "0", "--task", "halves"];
    args.extend(["--out", &out, "--threads", "1", "--epochs", "1"]);
    args.extend(["--method", "last-k", "--max-layer-bytes", "20000"]);
    json(&args);
    let inspected = json(&["inspect", "--json", "--base", BASE, &out]);
    let entries = inspected["entries"].as_array().unwrap();
    let shape = |entry: &Value| entry["shape"].as_array().unwrap().len();
    let layers: Vec<u64> =
        entries.iter().filter(|entry| shape(entry) == 4).map(|entry| entry["bytes"].as_u64().unwrap()).collect();
    let sum: u64 = layers.iter().sum();
    assert!(sum <= 20_000 && sum > 10_000, "{layers:?}");
}

/// Domain adaptation: one base, a patch without a head for each resolution.
#[test]
fn one_base_serves_a_patch_for_each_resolution() {
    let paths = Paths::new(&["0", "1", "2", "3", "4"]);
    let data = paths.of("data");
    for size in ["32", "64"] {
        let out = paths.of(&format!("{size}.taps"));
        let mut args = vec!["train", "--json", "--base", BASE, "--image-size", size, "--data", &data];
        args.extend(["--task", "size", "--out", &out, "--threads", "1", "--epochs", "1", "--validation", "0"]);
        args.extend(["--method", "patch", "--no-head", "--rate", "3e-3"]);
        json(&args);
        let inspected = json(&["inspect", "--json", &out]);
        assert_eq!(inspected["labels"].as_array().unwrap().len(), 0, "the classes are the base's");
        let eval = json(&["eval", "--json", "--base", BASE, "--image-size", size, "--adapter", &out, "--data", &data]);
        assert_eq!(eval["examples"], 60);
    }
}

#[test]
fn images_that_cannot_be_read_are_counted_and_too_many_are_an_error() {
    let paths = Paths::new(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let (data, out) = (paths.of("data"), paths.of("task.taps"));
    let mut args = vec!["train", "--json", "--base", BASE, "--data", &data, "--task", "t", "--out", &out];
    args.extend(["--method", "head", "--validation", "0", "--threads", "1"]);
    std::fs::write(Path::new(&data).join("3/broken.jpg"), "no image").unwrap();
    let trained = json(&args);
    assert_eq!(trained["skipped"], 1);
    std::fs::write(Path::new(&data).join("4/broken.jpg"), "no image").unwrap();
    let (code, message) = failure(&args);
    assert!(code == 1 && message.contains("broken.jpg"), "{message}");
}

#[test]
fn a_file_without_configuration_is_opened_by_name() {
    let paths = Paths::new(&["top", "bottom"]);
    let (data, file, out) = (paths.of("data"), paths.of("weights.safetensors"), paths.of("task.taps"));
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(BASE).join("model.safetensors"), &file).unwrap();
    let train = |more: &[&str]| -> Vec<String> {
        let mut args = vec!["train", "--json", "--base", &file, "--data", &data, "--task", "t", "--out", &out];
        args.extend(["--method", "head", "--validation", "0", "--threads", "1"]);
        args.extend(more);
        args.into_iter().map(str::to_owned).collect()
    };
    let run = |args: Vec<String>| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        failure(&args)
    };
    let (code, message) = run(train(&[]));
    assert!(code == 1 && message.contains("--arch"), "{message}");
    let (code, message) = run(train(&["--arch", "lenet"]));
    assert!(code == 1 && message.contains("no architecture lenet; there are bert, vit"), "{message}");
    let (code, message) = run(train(&["--arch", "resnet18"]));
    assert!(code == 1 && message.contains("needs a tensor conv1.weight"), "{message}");
    let (code, message) = run(train(&["--arch", "mobilenet_v2", "--image-size", "0"]));
    assert!(code == 2 && message.contains("a size in pixels"), "{message}");
    let (code, message) = run(train(&["--arch", "mobilenet_v2", "--image-size", "48"]));
    assert_eq!(code, 0, "{message}");
    assert!(!message.contains("num_batches_tracked"), "{message}");
}

#[test]
fn a_base_with_a_tensor_that_no_layer_reads_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let deit = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/resnet_basic");
    let base = taps::Base::open(&deit).unwrap();
    let mut tensors: Vec<(String, safetensors::tensor::TensorView)> = base
        .tensors()
        .filter(|tensor| tensor.dtype == taps::base::Dtype::F32)
        .map(|tensor| {
            let view =
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, tensor.shape.to_vec(), tensor.bytes);
            (tensor.name.to_owned(), view.unwrap())
        })
        .collect();
    let more = [0; 8];
    tensors.push((
        "aux.weight".to_owned(),
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2], &more).unwrap(),
    ));
    std::fs::write(folder.path().join("model.safetensors"), safetensors::serialize(tensors, None).unwrap()).unwrap();
    std::fs::copy(deit.join("config.json"), folder.path().join("config.json")).unwrap();
    let data = folder.path().join("data");
    pictures(&data, &["0", "1", "2", "3", "4"]);
    let (base, data) = (folder.path().to_str().unwrap(), data.to_str().unwrap());
    let output = taps(&["eval", "--base", base, "--data", data]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("the first is aux.weight"), "{message}");
}
