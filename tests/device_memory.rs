//! What is kept of a pass on a device for the way back. Candle's processor keeps it on the heap, where it is counted.
#![cfg(all(feature = "candle", feature = "train"))]

mod common;

use std::sync::Arc;

use common::folder;
use common::heap::{self, Counting};
use common::networks::input;
use taps::device::{self, DeviceBase, DeviceTask};
use taps::graph::Graph;
use taps::kernels::Workspace;
use taps::runtime::{Processor, Task};
use taps::{Base, Model, Network};

#[global_allocator]
static HEAP: Counting = Counting;

#[test]
fn recomputation_keeps_less() {
    let base = Base::open(folder("mobilenet_v2")).unwrap();
    let model = Model::open(&base).unwrap();
    let (layout, workspace) = (model.layout(), Workspace::new(1));
    let there = Arc::new(DeviceBase::upload(&base, layout, &device::open(Processor::Cpu).unwrap()).unwrap());
    let task = DeviceTask::upload(&Task::of_base(&model), layout, &there).unwrap();
    let input = input(&model, &[1; 32]);
    let wanted = vec![true; layout.len()];
    let kept = |recompute: bool| {
        let mut graph = Graph::new(task.backend(&workspace), &wanted).with_recomputation(recompute);
        let before = heap::live();
        let _features = model.features(&mut graph, &input).unwrap();
        heap::live() - before
    };
    kept(false);
    let (all, some) = (kept(false), kept(true));
    println!("{all} bytes are kept, and {some} with recomputation");
    assert!(2 * some < all, "{some} bytes of {all}");
}
