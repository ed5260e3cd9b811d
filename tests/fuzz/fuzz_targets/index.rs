//! Any bytes as the index of shards beside two of them: refused, or each tensor is in the shard that is listed.
#![no_main]

mod folder;

use std::sync::Once;

use folder::folder;
use libfuzzer_sys::fuzz_target;
use taps::base::Base;

/// A file with one tensor of two numbers.
fn shard(name: &str) -> Vec<u8> {
    let header = format!("{{\"{name}\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}}}");
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat()
}

fuzz_target!(|data: &[u8]| {
    static SHARDS: Once = Once::new();
    SHARDS.call_once(|| {
        std::fs::write(folder().join("a.safetensors"), shard("one")).unwrap();
        std::fs::write(folder().join("b.safetensors"), shard("two")).unwrap();
    });
    std::fs::write(folder().join("model.safetensors.index.json"), data).unwrap();
    let Ok(base) = Base::open(folder()) else { return };
    let names: Vec<&str> = base.tensors().map(|tensor| tensor.name).collect();
    assert!(["one", "two"].iter().filter(|&name| names.contains(name)).count() == names.len());
    assert_eq!(base.bytes(), 8 * names.len());
});
