//! A task's weights as candle's tensors.
#![cfg(feature = "candle")]

use candle_core::{Device, IndexOp};
use taps::runtime::{Part, Weights};
use taps::{Base, Model, Network, Runtime};

#[test]
fn candle_sees_what_the_task_sees() {
    let base = Base::open("adapters/digits/base").unwrap();
    let model = Model::open(&base).unwrap();
    let runtime = Runtime::new(model);
    let task = runtime.load("adapters/digits/strokes.taps").unwrap();
    let tensors = task.candle_tensors(&Device::Cpu).unwrap();
    let mut own = 0;
    for (id, layer) in runtime.network().layout().layers() {
        for part in [Part::Weight, Part::Bias] {
            let Some(param) = layer.param(part) else { continue };
            let expected = task.param(id, part).unwrap().floats(&Default::default()).to_vec();
            let found = &tensors[&param.name];
            assert_eq!(found.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected, "{}", param.name);
            let base = runtime.base_task().param(id, part).unwrap().floats(&Default::default()).to_vec();
            own += usize::from(base != expected);
        }
    }
    assert!(own >= 2, "the head at least is the task's own");
    assert_eq!(tensors["classifier.weight"].dims(), [3, 64]);
    assert_eq!(tensors["classifier.weight"].i(0).unwrap().dims(), [64]);
    assert!(task.candle_tensor("no.such.tensor", &Device::Cpu).unwrap().is_none());
}
