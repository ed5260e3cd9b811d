//! Any bytes as a base file: refused, or every tensor is within it.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use taps::base::Base;
use taps::models::Model;

fuzz_target!(|data: &[u8]| {
    let Ok(base) = Base::from_bytes(Path::new("fuzzed"), data, None) else { return };
    for tensor in base.tensors() {
        assert_eq!(tensor.elements() * tensor.dtype.size(), tensor.bytes.len());
        if tensor.dtype.is_weight() && tensor.elements() < 1 << 16 {
            let _ = tensor.to_vec();
        }
    }
    let _ = base.fingerprint();
    let _ = Model::open(&base);
});
