//! Folders to report.

use std::path::Path;

use serde_json::{Value, json};
use taps::format::{Digest, Encoding, Role};

use super::common::adapter::{AdapterFile, Piece};

/// A folder with the three shipped adapters.
pub fn digits() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["rotated.taps", "inverted.taps", "strokes.taps"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/digits").join(name);
        std::fs::copy(from, folder.path().join(name)).unwrap();
    }
    folder
}

/// The record of a run that never was.
pub fn record(task: &str, method: &str, parameters: u64, validation: f64) -> Value {
    let tune: Vec<f64> =
        (0..400).map(|step| 2.0 * (-0.01 * step as f64).exp() + 0.1 * ((step * 7) % 5) as f64).collect();
    let epoch = |epoch: u64| {
        let (accuracy, loss) = (validation - 0.1 / (epoch + 1) as f64, 2.0 / (epoch + 1) as f64);
        json!({ "epoch": epoch, "step": 100 * epoch, "loss": loss, "validation_accuracy": accuracy,
                "validation_loss": loss, "active_layers": 4 })
    };
    json!({
        "task": task, "method": method, "parameters": parameters, "architecture": "bert", "examples": 900,
        "classes": 7, "bytes": 4 * parameters, "active_layers": ["a", "b"], "tapped_layers": 36,
        "validation_accuracy": validation, "head_alone_accuracy": validation - 0.2, "seconds": 12.5,
        "settings": { "max_active_layers": 4, "lambda": 0.1, "rate": 5e-4, "epochs": 4, "seed": 0, "select": "probe" },
        "curves": { "tune": tune, "epochs": (0..=4).map(epoch).collect::<Vec<_>>() },
    })
}

pub fn write_record(folder: &Path, file: &str, record: &Value) {
    std::fs::write(folder.join(format!("{file}.run.json")), record.to_string()).unwrap();
}

/// A folder of many tasks over a deep network, and as many runs.
pub fn crowd() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for task in 0..100usize {
        let mut tensors: Vec<Piece> = (0..300usize)
            .filter(|layer| (layer * 31 + task * 17) % 23 == 0 || *layer < 2)
            .map(|layer| Piece {
                name: format!("net.encoder.layer.{}.part{}.weight", layer / 6, layer % 6),
                role: Role::Delta,
                encoding: Encoding::F32,
                shape: vec![2, 2],
                base: Some(Digest::of(b"")),
                values: vec![0.01 * ((layer + task) % 40 + 1) as f32; 4],
            })
            .collect();
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let name = format!("task-{task:03}");
        let adapter = AdapterFile {
            task: name.clone(),
            architecture: "bert".to_owned(),
            base: Digest::of(b""),
            labels: Vec::new(),
            settings: Default::default(),
            tensors,
        };
        std::fs::write(folder.path().join(format!("{name}.taps")), adapter.bytes()).unwrap();
        let method = ["taps", "head", "full", "patch", "joint"][task % 5];
        let accuracy = 0.6 + 0.39 * ((task * 37) % 100) as f64 / 100.0;
        let mut run = record(&name, method, 500 * 3u64.pow((task % 5) as u32 * 2) + task as u64 * 90, accuracy);
        if task % 2 == 0 {
            run["test_accuracy"] = json!(accuracy - 0.01);
        }
        write_record(folder.path(), &name, &run);
    }
    folder
}
