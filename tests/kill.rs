//! `taps train --checkpoint` killed at any moment goes on to the same bytes, and a full disk costs nothing that was
//! there before.
#![cfg(all(feature = "cli", unix))]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rand::{Rng, SeedableRng};

const BASE: &str = "adapters/digits/base";
const DIGITS: &str = "adapters/digits/data/digits-images-idx3-ubyte";
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A training of a second or two, with a checkpoint after every step.
fn train(out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taps"));
    command.args(["train", "--base", BASE, "--data", DIGITS, "--task", "digits", "--json", "--threads", "1"]);
    command.args(["--epochs", "1", "--max-active-layers", "2", "--batch", "64"]).args(more);
    command.arg("--out").arg(out).arg("--checkpoint").arg(out.with_extension("checkpoint"));
    command.args(["--checkpoint-every", "0"]).current_dir(ROOT);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn finished(mut child: Child) -> bool {
    let status = child.wait().unwrap();
    assert!(status.success() || status.code().is_none(), "neither done nor killed: {status}");
    status.success()
}

/// Kills a training `kills` times, anew from nothing whenever one got through to its end.
fn survives(kills: usize) {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.taps");
    let started = Instant::now();
    assert!(finished(train(&whole, &[]).spawn().unwrap()));
    let takes = started.elapsed();
    let expected = std::fs::read(&whole).unwrap();
    assert!(!whole.with_extension("checkpoint").exists(), "nothing is left to go on with");

    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let out = folder.path().join("killed.taps");
    let (mut killed, mut done, mut resumed) = (0, 0, 0);
    while killed < kills {
        resumed += usize::from(out.with_extension("checkpoint").exists());
        let mut child = train(&out, &[]).spawn().unwrap();
        std::thread::sleep(takes.mul_f64(random.random_range(0.0..1.1)));
        child.kill().unwrap();
        if !finished(child) {
            killed += 1;
            if out.exists() {
                assert_eq!(std::fs::read(&out).unwrap(), expected, "after {killed} kills");
            }
            continue;
        }
        done += 1;
        assert_eq!(std::fs::read(&out).unwrap(), expected, "after {killed} kills");
        std::fs::remove_file(&out).unwrap();
    }
    while !out.exists() {
        resumed += usize::from(out.with_extension("checkpoint").exists());
        done += usize::from(finished(train(&out, &[]).spawn().unwrap()));
    }
    assert_eq!(std::fs::read(&out).unwrap(), expected);
    println!(
        "{killed} kills, {resumed} of the runs went on from a checkpoint, {done} got through: all to the same bytes"
    );
    assert!(resumed > 0);
}

#[test]
fn a_killed_training_goes_on_to_the_same_bytes() {
    survives(6);
}

/// `cargo test --test kill -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn a_hundred_kills() {
    survives(100);
}

#[test]
fn a_full_disk_leaves_the_earlier_adapter_and_what_is_needed_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.taps");
    std::fs::write(&out, b"earlier").unwrap();
    // The limit on file sizes, two blocks, stands for the disk.
    let limited = train(&out, &[]);
    let script = r#"trap "" XFSZ; ulimit -f 2; exec "$@""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(limited.get_program()).args(limited.get_args()).current_dir(ROOT);
    let output = shell.stdin(Stdio::null()).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("x.taps"), "{message}");
    assert!(message.contains("no checkpoint was written"), "{message}");
    assert_eq!(std::fs::read(&out).unwrap(), b"earlier");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["x.taps"], "no half-written file stays");
}
