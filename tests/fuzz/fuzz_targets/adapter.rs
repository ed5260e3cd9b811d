//! Any bytes as an adapter, with a checksum that holds: refused, or read to the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use taps::format::{Adapter, Digest, PublicKey};

fuzz_target!(|data: &[u8]| {
    let mut file = data.to_vec();
    let _ = Adapter::parse(&file);
    let trailer = if data.get(10).is_some_and(|flags| flags & 1 == 1) { 128 } else { 32 };
    if let Some(end) = file.len().checked_sub(trailer).filter(|&end| end >= 24) {
        let total = (file.len() as u64).to_le_bytes();
        file[16..24].copy_from_slice(&total);
        let digest = Digest::of(&file[..end]);
        file[end..end + 32].copy_from_slice(digest.as_bytes());
    }
    let Ok(adapter) = Adapter::parse(&file) else { return };
    assert!(adapter.verify(&[PublicKey::from_bytes([1; 32])]).is_err());
    for entry in adapter.entries() {
        if entry.elements() <= 1 << 16 {
            let mut values = vec![0.0; entry.elements()];
            if entry.decode_into(&mut values).is_ok() {
                assert!(values.iter().all(|value| value.is_finite()));
            }
        }
    }
    adapter.labels().for_each(drop);
});
