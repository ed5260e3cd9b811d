//! Makes a table of the base's tensors, so that the firmware reads them in flash where they lie in the file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const BASE: &str = "../../adapters/digits/base/model.safetensors";

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let path = root.join(BASE);
    let file = fs::read(&path).expect("the demo's base");
    let header = u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize;
    let tensors: serde_json::Value = serde_json::from_slice(&file[8..8 + header]).expect("a safetensors header");
    let mut table = String::from("[\n");
    for (name, tensor) in tensors.as_object().expect("an object").iter().filter(|(name, _)| *name != "__metadata__") {
        assert_eq!(tensor["dtype"], "F32", "{name}");
        let offset = |at: usize| tensor["data_offsets"][at].as_u64().expect("an offset") as usize + 8 + header;
        writeln!(table, "    ({name:?}, {}, {}),", offset(0), offset(1)).expect("text");
    }
    table.push(']');
    fs::write(out.join("tensors.rs"), table).expect("the table");
    fs::write(out.join("base.rs"), format!("include_bytes!({:?})", path.display())).expect("the path");
    fs::copy(root.join("memory.x"), out.join("memory.x")).expect("the memory map");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg=-Tlink.x");
    println!("cargo:rustc-link-arg=-Map={}", out.join("firmware.map").display());
    for path in [Path::new("memory.x"), Path::new(BASE)] {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}
