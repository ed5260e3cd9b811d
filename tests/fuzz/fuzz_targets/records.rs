//! Any bytes as the record of a run beside its adapter: the report is drawn, with it or without it.
#![no_main]

mod folder;

use std::sync::Once;

use folder::{folder, golden};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static ADAPTER: Once = Once::new();
    ADAPTER.call_once(|| {
        std::fs::copy(golden("format/small.taps"), folder().join("small.taps")).unwrap();
    });
    std::fs::write(folder().join("small.run.json"), data).unwrap();
    let args = ["taps", "report"].map(Into::into).into_iter().chain([folder().into()]);
    taps::cli::run(args).unwrap();
    let page = std::fs::read_to_string(folder().join("report.html")).unwrap();
    assert!(page.ends_with("</html>\n") && !page.contains("NaN"));
});
