//! Gradients of whole networks by finite differences: the loss along each tensor's gradient.

use taps::base::Base;
use taps::graph::{Graph, Host, LayerGrad};
use taps::kernels::{Workspace, cross_entropy, squared_norm};
use taps::models::Model;
use taps::runtime::{Input, LayerId, Layout, Network, Part, Task, WeightRef, Weights, backward};

use crate::common::{Golden, folder};
use crate::pytorch::images;

/// A task of which one tensor is another.
struct Moved<'a> {
    task: &'a Task,
    layer: LayerId,
    part: Part,
    values: Vec<f32>,
}

impl Weights for Moved<'_> {
    fn param(&self, layer: LayerId, part: Part) -> Option<WeightRef<'_>> {
        match (layer, part) == (self.layer, self.part) {
            true => Some(WeightRef::Merged(&self.values)),
            false => self.task.param(layer, part),
        }
    }

    fn layout(&self) -> &Layout {
        self.task.layout()
    }

    fn name(&self) -> &str {
        "moved"
    }
}

fn check(name: &str) {
    let golden = Golden::open(&format!("{name}/golden.safetensors"));
    let base = Base::open(folder(name)).unwrap();
    let model = Model::open(&base).unwrap();
    let task = Task::of_base(&model);
    let (workspace, input, labels) = (Workspace::new(1), images(&golden, "pixels"), golden.integers("labels"));
    let wanted = vec![true; model.layout().len()];
    let mut graph = Graph::new(Host::new(&task, &workspace), &wanted);
    let output = model.logits(&mut graph, &input).unwrap();
    let (_, gradient) = cross_entropy(&workspace, output.value(), &labels, 0.0);
    let mut gradients = Vec::new();
    let mut sink = |id, gradient: LayerGrad| {
        gradients.push((id, Part::Weight, gradient.weight.to_vec()));
        gradients.extend(gradient.bias.map(|bias| (id, Part::Bias, bias.to_vec())));
        Ok(())
    };
    backward(&model, &input, graph, &output, gradient, &mut sink).unwrap();
    let mut errors = Vec::new();
    for (layer, part, gradient) in gradients {
        let values = task.param(layer, part).unwrap().floats(&workspace).to_vec();
        let norm = squared_norm(&gradient).sqrt();
        // A step that changes the loss by about 0.001, and the tensor by little.
        let step = (1e-3 / norm).min(2e-3 * squared_norm(&values).sqrt().max(0.1));
        if step * norm < 1e-4 {
            continue;
        }
        let loss = |by: f32| {
            let values = values.iter().zip(&gradient).map(|(value, slope)| value + by / norm * slope).collect();
            let moved = Moved { task: &task, layer, part, values };
            loss(&model, &moved, &workspace, &input, &labels)
        };
        let slope = (loss(step) - loss(-step)) / (2.0 * f64::from(step));
        errors.push((slope - f64::from(norm)).abs() / f64::from(norm));
    }
    assert!(errors.len() >= model.layout().len() / 2, "{name}: {} tensors had a slope to check", errors.len());
    errors.sort_by(f64::total_cmp);
    // In networks this small an activation that crosses its kink within a step shifts some slopes by percents.
    let share = |of: f64| errors[(of * (errors.len() - 1) as f64) as usize];
    let found = [share(0.5), share(0.8), share(1.0)];
    assert!(found[0] < 0.01 && found[1] < 0.03 && found[2] < 0.25, "{name}: slopes are off by {found:?}");
}

fn loss(model: &Model, weights: &impl Weights, workspace: &Workspace, input: &Input, labels: &[usize]) -> f64 {
    let logits = model.logits(&mut Graph::eval(Host::new(weights, workspace)), input).unwrap();
    let logits = logits.value();
    // In f64, since the difference of two losses is small.
    let row = |(row, &label): (&[f32], &usize)| {
        let highest = row.iter().fold(f32::MIN, |a, &b| a.max(b));
        let sum: f64 = row.iter().map(|&value| f64::from(value - highest).exp()).sum();
        sum.ln() - f64::from(row[label] - highest)
    };
    logits.chunks_exact(logits.cols()).zip(labels).map(row).sum::<f64>() / labels.len() as f64
}

macro_rules! slopes {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*
    };
}

slopes! {
    vit,
    deit,
    vit_timm,
    vit_timm_avg,
    resnet_basic,
    resnet_bottleneck,
    resnet_cifar,
    densenet,
    densenet_bc,
    mobilenet_v2,
    mobilenet_v2_same,
}
