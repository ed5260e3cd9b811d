//! Any bytes as a ranking of layers: refused, or each tapped layer of the network has a worth.
#![no_main]

mod folder;

use std::sync::OnceLock;

use folder::{folder, golden};
use libfuzzer_sys::fuzz_target;
use taps::runtime::Network;
use taps::train::Ranking;
use taps::{Base, Model};

fuzz_target!(|data: &[u8]| {
    static MODEL: OnceLock<Model> = OnceLock::new();
    let model = MODEL.get_or_init(|| Model::open(&Base::open(golden("bert")).unwrap()).unwrap());
    let path = folder().join("ranking.json");
    std::fs::write(&path, data).unwrap();
    let Ok(worth) = Ranking::read(&path).and_then(|ranking| ranking.worth(model)) else { return };
    assert_eq!(worth.len(), model.layout().tapped().count());
    assert!(worth.iter().all(|worth| worth.value.is_finite() && worth.value >= 0.0));
});
