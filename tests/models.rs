//! Logits and gradients of the networks against PyTorch's, from the goldens that the scripts in
//! `tests/golden` made.
#![cfg(feature = "train")]

mod common;

use common::{Golden, folder};
use taps::base::Base;
use taps::kernels::{Segments, Tensor, Workspace, cross_entropy};
use taps::models::Model;
use taps::runtime::{Eval, Images, Input, LayerId, Network, Part, Task, Tokens};
use taps::train::{Adapted, LayerGrad, Tape};

fn bert_input(golden: &Golden) -> Input {
    let ids = golden.integers("ids");
    let lengths = golden.integers("lengths");
    let padded = ids.len() / lengths.len();
    let packed = |(row, &length): (usize, &usize)| ids[row * padded..][..length].to_vec();
    let ids = lengths.iter().enumerate().flat_map(packed).map(|id| id as u32).collect();
    Input::Tokens(Tokens { ids, segments: Segments::from_lengths(lengths) })
}

fn vit_input(golden: &Golden) -> Input {
    let pixels = golden.floats("pixels");
    Input::Images(Images { batch: pixels.len() / 64, pixels, channels: 1, height: 8, width: 8 })
}

/// Logits and the gradients of every layer of a network, all of whose layers are trained.
fn run(golden: &Golden, base: &Base, model: &Model, input: &Input, head: &str) -> (Tensor, Vec<(LayerId, LayerGrad)>) {
    let workspace = Workspace::new(2);
    let layout = model.layout();
    let mut adapted = Adapted::new(base, layout);
    for (id, _) in layout.layers() {
        if id == layout.head() {
            let value = |part: &str| golden.floats_or(&format!("{head}.{part}"), base);
            adapted.set_head(value("weight"), value("bias"));
        } else {
            adapted.own(id, None);
        }
    }
    let wanted = adapted.wanted().to_vec();
    let mut tape = Tape::new(&adapted, &wanted, &workspace);
    let output = model.logits(&mut tape, input).unwrap();
    let labels = golden.integers("labels");
    let (loss, gradient) = cross_entropy(&workspace, output.values(), &labels, 0.0);
    assert!((loss - golden.floats("loss")[0]).abs() < 1e-4 * loss.abs());
    let mut gradients = Vec::new();
    tape.backward(&output, gradient, &mut |id, gradient| gradients.push((id, gradient))).unwrap();
    (workspace.copy(output.values()), gradients)
}

/// Largest difference, relative to the largest expected value.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(1e-3f32, |size, value| size.max(value.abs()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
}

fn check(name: &str, input: fn(&Golden) -> Input) {
    let golden = Golden::open(&format!("{name}/golden.safetensors"));
    let base = Base::open(folder(name)).unwrap();
    let model = Model::open(&base).unwrap();
    let (logits, gradients) = run(&golden, &base, &model, &input(&golden), "classifier");
    assert!(distance(&logits, &golden.floats("logits")) < 1e-4, "{name}: logits");
    assert_eq!(gradients.len(), model.layout().len());
    for (id, gradient) in &gradients {
        for part in [Part::Weight, Part::Bias] {
            let Some(param) = model.layout().layer(*id).param(part) else { continue };
            let found = match part {
                Part::Weight => &gradient.weight,
                Part::Bias => gradient.bias.as_ref().unwrap(),
            };
            let error = distance(found, &golden.floats(&format!("grad.{}", param.name)));
            assert!(error < 2e-4, "{name}: gradient of {} is off by {error}", param.name);
        }
    }
}

#[test]
fn bert_equals_pytorch() {
    check("bert", bert_input);
}

#[test]
fn vit_equals_pytorch() {
    check("vit", vit_input);
}

#[test]
fn evaluation_equals_the_recorded_pass_to_the_bit() {
    let golden = Golden::open("vit/golden.safetensors");
    let base = Base::open(folder("vit")).unwrap();
    let model = Model::open(&base).unwrap();
    let workspace = Workspace::new(1);
    let task = Task::of_base(&base, &model);
    let input = vit_input(&golden);
    let evaluated = model.logits(&mut Eval::new(&task, &workspace), &input).unwrap();
    let wanted = vec![true; model.layout().len()];
    let recorded = model.logits(&mut Tape::new(&task, &wanted, &workspace), &input).unwrap();
    assert_eq!(evaluated[..], recorded.values()[..]);
    assert!(distance(&evaluated, &golden.floats("logits")) < 1e-4);
}

#[test]
fn a_gradient_of_late_layers_stops_before_early_ones() {
    let golden = Golden::open("vit/golden.safetensors");
    let base = Base::open(folder("vit")).unwrap();
    let model = Model::open(&base).unwrap();
    let workspace = Workspace::new(1);
    let task = Task::of_base(&base, &model);
    let late = model.layout().find("vit.encoder.layer.1.output.dense.weight").unwrap().0;
    let mut wanted = vec![false; model.layout().len()];
    wanted[late.index()] = true;
    let mut tape = Tape::new(&task, &wanted, &workspace);
    let output = model.logits(&mut tape, &vit_input(&golden)).unwrap();
    assert_eq!(tape.len(), 5, "the layer, the residual sum, the class token, the last norm and the head");
    let (_, gradient) = cross_entropy(&workspace, output.values(), &golden.integers("labels"), 0.0);
    let mut got = Vec::new();
    tape.backward(&output, gradient, &mut |id, gradient| got.push((id, gradient.weight))).unwrap();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].0, late);
    let expected = golden.floats("grad.vit.encoder.layer.1.output.dense.weight");
    assert!(distance(&got[0].1, &expected) < 2e-4);
}

#[test]
fn a_configuration_that_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(common::folder("bert").join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let error = |config: Option<&str>| {
        if let Some(config) = config {
            std::fs::write(folder.path().join("config.json"), config).unwrap();
        }
        Model::open(&Base::open(folder.path()).unwrap()).err().unwrap().to_string()
    };
    assert!(error(None).contains("no config.json"));
    assert!(error(Some(r#"{"model_type":"gpt2"}"#)).contains("model_type"));
    assert!(error(Some(r#"{"model_type":"bert"}"#)).contains("hidden_size: missing"));
}
