//! How networks run, whatever they compute.

use taps::base::Base;
use taps::graph::{Graph, Host, LayerGrad};
use taps::kernels::{Workspace, cross_entropy};
use taps::models::Model;
use taps::runtime::{Input, Network, Task, backward};

use crate::common::{self, Golden, folder};
use crate::pytorch::{distance, images};

fn vit_input(golden: &Golden) -> Input {
    images(golden, "pixels")
}

#[test]
fn evaluation_equals_the_recorded_pass_to_the_bit() {
    let golden = Golden::open("vit/golden.safetensors");
    let base = Base::open(folder("vit")).unwrap();
    let model = Model::open(&base).unwrap();
    let workspace = Workspace::new(1);
    let task = Task::of_base(&model);
    let input = vit_input(&golden);
    let host = Host::new(&task, &workspace);
    let evaluated = model.logits(&mut Graph::eval(host), &input).unwrap();
    let wanted = vec![true; model.layout().len()];
    let recorded = model.logits(&mut Graph::new(host, &wanted), &input).unwrap();
    assert_eq!(evaluated.value()[..], recorded.value()[..]);
    assert!(distance(evaluated.value(), &golden.floats("logits")) < 1e-4);
}

#[test]
fn a_gradient_of_late_layers_stops_before_early_ones() {
    let golden = Golden::open("vit/golden.safetensors");
    let base = Base::open(folder("vit")).unwrap();
    let model = Model::open(&base).unwrap();
    let workspace = Workspace::new(1);
    let task = Task::of_base(&model);
    let late = model.layout().find("vit.encoder.layer.1.output.dense.weight").unwrap().0;
    let mut wanted = vec![false; model.layout().len()];
    wanted[late.index()] = true;
    let (mut graph, input) = (Graph::new(Host::new(&task, &workspace), &wanted), vit_input(&golden));
    let output = model.logits(&mut graph, &input).unwrap();
    assert_eq!(graph.len(), 5, "the layer, the residual sum, the class token, the last norm and the head");
    let (_, gradient) = cross_entropy(&workspace, output.value(), &golden.integers("labels"), 0.0);
    let mut got = Vec::new();
    let mut sink = |id, gradient: LayerGrad| {
        got.push((id, gradient.weight));
        Ok(())
    };
    backward(&model, &input, graph, &output, gradient, &mut sink).unwrap();
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
    assert!(error(Some(r#"{"model_type":"gpt2"}"#)).contains("no architecture gpt2; there are bert"));
    // What is not stated is as in the reference.
    assert!(
        error(Some(r#"{"model_type":"bert"}"#)).contains("[100, 32]"),
        "{}",
        error(Some(r#"{"model_type":"bert"}"#))
    );
}
