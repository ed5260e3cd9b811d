//! Any bytes as labelled texts and as IDX files: refused with a reason, or read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use taps::data::{Columns, read_idx_images, read_idx_labels, read_texts};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, bytes)) = data.split_first() else { return };
    let name = ["x.csv", "x.tsv", "x.jsonl", "x-idx3-ubyte", "x-idx1-ubyte"][usize::from(kind % 5)];
    let path = std::env::temp_dir().join(format!("taps-fuzz-{}-{name}", std::process::id()));
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    match kind % 5 {
        0..=2 => drop(read_texts(&path, &Columns::default())),
        3 => drop(read_idx_images(&path)),
        _ => drop(read_idx_labels(&path)),
    }
});
