//! Activations computed again give the gradients that kept ones do, in less memory.

use taps::base::Base;
use taps::graph::{Graph, Host, LayerGrad};
use taps::kernels::{Workspace, cross_entropy};
use taps::models::Model;
use taps::runtime::{Input, LayerId, LayerKind, Network, backward};
use taps::train::Adapted;

use crate::common::folder;
use crate::common::networks::{NETWORKS, input};
use crate::pytorch::distance;

const LENGTHS: [usize; 4] = [5, 1, 9, 7];

struct Learned {
    gradients: Vec<(LayerId, LayerGrad)>,
    moments: Vec<Vec<f32>>,
    peak: usize,
}

fn learn(model: &Model, base: &Base, input: &Input, wanted: &[bool], recompute: bool, statistics: bool) -> Learned {
    let (mut task, workspace) = (Adapted::new(base, model.layout()), Workspace::new(1));
    let weights = (0..3 * model.layout().features()).map(|number| (number % 7) as f32 / 7.0 - 0.4).collect();
    task.set_head(weights, vec![0.1, 0.0, -0.1]);
    let graph = Graph::new(Host::new(&task, &workspace), wanted);
    let mut graph = graph.with_recomputation(recompute).with_batch_statistics(statistics);
    let logits = model.logits(&mut graph, input).unwrap();
    let labels: Vec<usize> = (0..input.len()).map(|number| number % 3).collect();
    let (_, gradient) = cross_entropy(&workspace, logits.value(), &labels, 0.0);
    let moments = graph.take_moments().into_iter().map(|moments| moments.mean.to_vec()).collect();
    let mut gradients = Vec::new();
    let mut sink = |id, gradient| {
        gradients.push((id, gradient));
        Ok(())
    };
    backward(model, input, graph, &logits, gradient, &mut sink).unwrap();
    Learned { gradients, moments, peak: workspace.peak_bytes() }
}

#[test]
fn what_is_computed_again_has_the_same_gradients() {
    for name in NETWORKS {
        let base = Base::open(folder(name)).unwrap();
        let model = Model::open(&base).unwrap();
        let input = input(&model, &LENGTHS);
        let count = model.layout().len();
        let late: Vec<bool> = (0..count).map(|layer| layer >= 2 * count / 3).collect();
        for wanted in [vec![true; count], late] {
            for statistics in [false, true] {
                let kept = learn(&model, &base, &input, &wanted, false, statistics);
                let again = learn(&model, &base, &input, &wanted, true, statistics);
                let ids = |learned: &Learned| learned.gradients.iter().map(|(id, _)| *id).collect::<Vec<_>>();
                assert_eq!(ids(&kept), ids(&again), "{name}");
                assert!(kept.gradients.len() > wanted.iter().filter(|wanted| **wanted).count() / 2, "{name}");
                for ((id, one), (_, other)) in kept.gradients.iter().zip(&again.gradients) {
                    let off = distance(&other.weight, &one.weight);
                    assert!(off < 1e-5, "{name}: {} is off by {off}", model.layout().layer(*id).name);
                    assert_eq!(one.bias.is_some(), other.bias.is_some());
                    if let (Some(one), Some(other)) = (&one.bias, &other.bias) {
                        assert!(distance(other, one) < 1e-5, "{name}: {}", model.layout().layer(*id).name);
                    }
                }
                assert!(kept.moments == again.moments, "{name}: statistics of batches differ or came twice");
            }
        }
    }
}

#[test]
fn what_is_computed_again_is_not_kept() {
    for name in ["bert", "vit", "resnet_cifar", "mobilenet_v2"] {
        let base = Base::open(folder(name)).unwrap();
        let model = Model::open(&base).unwrap();
        let input = input(&model, &LENGTHS);
        // The scales of normalizations, whose gradients are small.
        let wanted: Vec<bool> = model.layout().layers().map(|(_, layer)| layer.kind == LayerKind::Norm).collect();
        let [kept, again] = [false, true].map(|again| learn(&model, &base, &input, &wanted, again, false).peak);
        println!("{name}: {kept} bytes kept, {again} computed again");
        assert!(again < kept, "{name}: {again} bytes, and {kept} where all is kept");
    }
}
