//! Any bytes as the files of a LoRA: refused, or made into an adapter that the base takes.
#![no_main]

mod folder;

use std::sync::OnceLock;

use folder::{folder, golden};
use libfuzzer_sys::fuzz_target;
use taps::convert::{Lora, import_lora};
use taps::runtime::{Network, Settings, Task};
use taps::{Adapter, Base, Model};

fuzz_target!(|data: &[u8]| {
    static OPEN: OnceLock<(Base, Model, Vec<u8>, Vec<u8>)> = OnceLock::new();
    let (base, model, config, weights) = OPEN.get_or_init(|| {
        let base = Base::open(golden("bert")).unwrap();
        let model = Model::open(&base).unwrap();
        let read = |name: &str| std::fs::read(golden("lora").join(name)).unwrap();
        (base, model, read("adapter_config.json"), read("adapter_model.safetensors"))
    });
    let Some((&which, bytes)) = data.split_first() else { return };
    let [config, weights] = match which % 2 {
        0 => [bytes, weights],
        _ => [config, bytes],
    };
    std::fs::write(folder().join("adapter_config.json"), config).unwrap();
    std::fs::write(folder().join("adapter_model.safetensors"), weights).unwrap();
    let settings = Settings::default();
    let lora = Lora { folder: folder(), task: "fuzzed", labels: &[], settings: &settings };
    let Ok(adapter) = import_lora(base, model, &lora) else { return };
    let adapter = Adapter::parse(&adapter).unwrap();
    let task = Task::build(model, &adapter, "fuzzed").unwrap();
    assert!(task.own_layers().all(|layer| layer.index() < model.layout().len()));
});
