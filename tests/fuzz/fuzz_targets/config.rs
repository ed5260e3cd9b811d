//! Any bytes as the configuration of a network or as a file beside its weights: refused, or the network computes something
//! finite of what it says that it reads.
#![no_main]

mod folder;
#[path = "../../common/networks.rs"]
mod networks;

use std::path::Path;

use folder::{folder, golden};
use libfuzzer_sys::fuzz_target;
use taps::base::Base;
use taps::kernels::Workspace;
use taps::models::Model;
use taps::graph::{Graph, Host};
use taps::runtime::{Network, Task};

/// What is read of the folder of a base, and what is there where the input is another file.
const FILES: [&str; 7] = [
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];

fuzz_target!(|data: &[u8]| {
    let [which, file, json @ ..] = data else { return };
    let name = networks::NETWORKS[usize::from(*which) % networks::NETWORKS.len()];
    let file = FILES[usize::from(*file) % FILES.len()];
    let here = folder().join("base");
    let _ = std::fs::remove_dir_all(&here);
    std::fs::create_dir_all(here.join("1_Pooling")).unwrap();
    std::fs::hard_link(golden(name).join("model.safetensors"), here.join("model.safetensors"))
        .or_else(|_| std::fs::copy(golden(name).join("model.safetensors"), here.join("model.safetensors")).map(drop))
        .unwrap();
    for each in FILES {
        let theirs = golden(name).join(each);
        if each == file {
            std::fs::write(here.join(each), json).unwrap();
        } else if theirs.is_file() {
            std::fs::copy(theirs, here.join(each)).unwrap();
        }
    }
    check(&here);
});

fn check(path: &Path) {
    let Ok(base) = Base::open(path) else { return };
    let Ok(model) = Model::open(&base) else { return };
    if let taps::models::InputSpec::Images(spec) = model.input() {
        assert_eq!(spec.problem(), None);
        if spec.channels * spec.height * spec.width > 3 * 64 * 64 {
            return;
        }
    }
    let input = networks::input(&model, &[3, 1]);
    let (task, workspace) = (Task::of_base(&model), Workspace::new(1));
    let _ = model.features(&mut Graph::eval(Host::new(&task, &workspace)), &input);
}
