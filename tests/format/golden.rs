//! The files in `tests/golden/format`, in the writer, the reader, `read.py` and the specification.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use taps::format::Adapter;

use crate::json;
use crate::model::{encodings, extremes, minimal, settings, small};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format").join(name)
}

/// The file `encodings`, signed with a secret key of 32 sevens.
#[cfg(feature = "sign")]
fn signed() -> Option<(&'static str, Vec<u8>)> {
    let plain = encodings().encode();
    let mut file = vec![0; plain.len() + 96];
    taps::format::SecretKey::from_bytes(&[7; 32]).sign(&plain, &mut file).unwrap();
    Some(("signed", file))
}

#[cfg(not(feature = "sign"))]
fn signed() -> Option<(&'static str, Vec<u8>)> {
    None
}

#[test]
fn golden_files_hold() {
    let files = [
        ("minimal", minimal()),
        ("encodings", encodings()),
        ("extremes", extremes()),
        ("small", small()),
        ("settings", settings()),
    ];
    let files = files.map(|(name, model)| (name, model.encode()));
    for (name, written) in files.into_iter().chain(signed()) {
        let said = json::of(&Adapter::parse(&written).unwrap());
        let (file, reading) = (golden(&format!("{name}.taps")), golden(&format!("{name}.json")));
        if env::var_os("TAPS_BLESS").is_some() {
            fs::write(&file, &written).unwrap();
            fs::write(&reading, &said).unwrap();
        }
        assert!(fs::read(&file).unwrap() == written, "{name}: the writer's bytes have changed");
        let expected = fs::read_to_string(&reading).unwrap().replace("\r\n", "\n");
        assert_eq!(said, expected, "{name}: the reader says otherwise");
        match Command::new("python3").arg(golden("read.py")).arg(&file).output() {
            Ok(run) => {
                let complaint = String::from_utf8_lossy(&run.stderr);
                assert!(run.status.success(), "{name}: read.py says {complaint}");
                assert_eq!(String::from_utf8(run.stdout).unwrap(), expected, "{name}: read.py");
            }
            Err(error) => eprintln!("{name}: read.py was not asked: {error}"),
        }
    }
}

#[test]
fn the_specification_shows_the_smallest_file() {
    let file = minimal().encode();
    let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = file.chunks(16).map(line).collect();
    let spec = include_str!("../../src/format/SPEC.md").replace("\r\n", "\n");
    assert!(spec.contains(&format!("```text\n{}\n```", lines.join("\n"))), "{}", lines.join("\n"));
}
