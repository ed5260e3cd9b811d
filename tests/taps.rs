//! TAPS step by step against its statement in PyTorch, from the golden that
//! `tests/golden/taps/make_taps.py` made.
#![cfg(feature = "train")]

mod common;

use std::sync::Arc;

use common::{Golden, folder};
use taps::base::Base;
use taps::graph::{Backend, Graph, Host, Output, Var};
use taps::kernels::{Precision, Tensor, Workspace, cross_entropy};
use taps::runtime::{Images, Input, LayerId, LayerKind, Layout, LayoutBuilder, Network, Part, backward};
use taps::train::{Adapted, Gate, Optimizer, Step};

const LAYERS: [&str; 3] = ["fc0", "fc1", "fc2"];
const BATCH: usize = 8;

/// Three linear layers with GELU between them, and a head.
struct Small {
    layout: Arc<Layout>,
    layers: [LayerId; 3],
}

impl Small {
    fn open(base: &Base) -> Self {
        let mut layers = LayoutBuilder::new(base, "small");
        let ids = LAYERS.map(|name| {
            let inputs = if name == "fc0" { 12 } else { 16 };
            layers.layer(LayerKind::Linear, &format!("base.{name}"), &[16, inputs], true).unwrap()
        });
        let layout = layers.head("initial.head", 16, Vec::new()).unwrap();
        Self { layout: Arc::new(layout), layers: ids }
    }
}

impl Network for Small {
    fn architecture(&self) -> &str {
        "small"
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn stem<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        let Input::Images(images) = input else { unreachable!() };
        graph.input(Tensor::from_vec(images.pixels.clone(), images.batch, 12))
    }

    fn blocks(&self) -> usize {
        self.layers.len()
    }

    fn block<B: Backend>(&self, graph: &mut Graph<'_, B>, index: usize, x: Var<B>, _: &Input) -> Output<B> {
        let y = graph.linear(&x, self.layers[index])?;
        graph.gelu(y)
    }

    fn tail<B: Backend>(&self, _: &mut Graph<'_, B>, x: Var<B>, _: &Input) -> Output<B> {
        Ok(x)
    }
}

struct Run {
    name: &'static str,
    steps: usize,
    step: Step,
    cap: Option<usize>,
}

fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < 1e-5, "{what} [{index}]: {found}, not {expected}");
    }
}

fn follow(run: &Run) {
    let golden = Golden::open("taps/taps.safetensors");
    let base = Base::open(folder("taps/taps.safetensors")).unwrap();
    let network = Small::open(&base);
    let workspace = Workspace::new(1);
    let mut adapted = Adapted::new(&base, &network.layout);
    adapted.set_head(golden.floats("initial.head.weight"), golden.floats("initial.head.bias"));
    network.layers.iter().for_each(|&id| adapted.own(id, Some(Gate::new(0.15, 0.1))));
    let (inputs, labels) = (golden.floats("inputs"), golden.integers("labels"));
    let of = |what: &str| golden.floats(&format!("{}.{what}", run.name));
    let (losses, penalties, scores, gates) = (of("loss"), of("penalty"), of("scores"), of("gates"));
    let mut closed = 0;
    for step in 0..run.steps {
        let what = |part: &str| format!("{} step {step}: {part}", run.name);
        let pixels = inputs[step * BATCH * 12..][..BATCH * 12].to_vec();
        let input = Input::Images(Images { pixels, batch: BATCH, channels: 1, height: 1, width: 12 });
        assert_near(&[adapted.penalty(run.step.lambda)], &penalties[step..][..1], &what("penalty"));
        let wanted = adapted.wanted().to_vec();
        let mut graph = Graph::new(Host::new(&adapted, &workspace), &wanted);
        let logits = network.logits(&mut graph, &input).unwrap();
        let (loss, gradient) = cross_entropy(&workspace, logits.value(), &labels[step * BATCH..][..BATCH], 0.0);
        assert_near(&[loss], &losses[step..][..1], &what("loss"));
        let mut gradients = Vec::new();
        let mut sink = |id, gradient| {
            gradients.push((id, gradient));
            Ok(())
        };
        backward(&network, &input, graph, &logits, gradient, &mut sink).unwrap();
        gradients.into_iter().for_each(|(id, gradient)| adapted.accumulate(id, gradient));
        assert!(adapted.update(&workspace, Step { number: step as u32 + 1, ..run.step }));
        if let Some(cap) = run.cap {
            adapted.cap(cap);
        }
        let found: Vec<&Gate> = adapted.gated().map(|(_, gate)| gate).collect();
        assert_near(
            &found.iter().map(|gate| gate.score()).collect::<Vec<_>>(),
            &scores[step * 3..][..3],
            &what("scores"),
        );
        let open: Vec<f32> = found.iter().map(|gate| f32::from(u8::from(gate.is_open()))).collect();
        assert_eq!(open, gates[step * 3..][..3], "{}", what("gates"));
        closed += open.iter().filter(|&&open| open == 0.0).count();
        for (name, id) in LAYERS.iter().zip(network.layers) {
            for (part, suffix) in [(Part::Weight, "weight"), (Part::Bias, "bias")] {
                let delta = adapted.delta(id, part).unwrap();
                let expected = of(&format!("delta.{name}.{suffix}"));
                assert_near(
                    delta,
                    &expected[step * delta.len()..][..delta.len()],
                    &what(&format!("delta {name}.{suffix}")),
                );
            }
        }
    }
    assert!(closed > 0, "the golden shows closed gates");
    let head = network.layout.head();
    assert_near(adapted.delta(head, Part::Weight).unwrap(), &of("head.weight"), "head");
    assert_near(adapted.delta(head, Part::Bias).unwrap(), &of("head.bias"), "head bias");
}

const SGD: Step = Step {
    optimizer: Optimizer::Sgd { momentum: 0.9 },
    states: Precision::F32,
    rate: 0.2,
    head_rate: 0.2,
    score_rate: 0.1,
    decay: 0.0,
    lambda: 0.5,
    by_bytes: false,
    clip: None,
    number: 0,
};

#[test]
fn momentum_equals_pytorch() {
    follow(&Run { name: "sgd", steps: 12, step: SGD, cap: None });
}

#[test]
fn adamw_equals_pytorch() {
    let step = Step {
        optimizer: Optimizer::AdamW,
        states: Precision::F32,
        rate: 0.02,
        head_rate: 0.02,
        score_rate: 0.02,
        decay: 0.01,
        lambda: 1.0,
        by_bytes: false,
        clip: None,
        number: 0,
    };
    follow(&Run { name: "adamw", steps: 12, step, cap: None });
}

#[test]
fn the_cap_equals_pytorch() {
    follow(&Run { name: "cap", steps: 8, step: Step { lambda: 0.1, ..SGD }, cap: Some(2) });
}
