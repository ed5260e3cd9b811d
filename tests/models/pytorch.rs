//! Logits and gradients of the networks against PyTorch's, from the goldens that the scripts in
//! `tests/golden` made.

use std::path::PathBuf;

use taps::base::Base;
use taps::graph::{Graph, Host, LayerGrad, Moments};
use taps::kernels::{Segments, Tensor, Workspace, cross_entropy};
use taps::models::{Model, Options, Pooling};
use taps::runtime::{Images, Input, LayerId, Network, Part, Task, Tokens, backward};
use taps::train::Adapted;

use crate::common::{Golden, folder};

fn bert_input(golden: &Golden) -> Input {
    let ids = golden.integers("ids");
    let lengths = golden.integers("lengths");
    let padded = ids.len() / lengths.len();
    let packed = |(row, &length): (usize, &usize)| ids[row * padded..][..length].to_vec();
    let ids = lengths.iter().enumerate().flat_map(packed).map(|id| id as u32).collect();
    Input::Tokens(Tokens { ids, segments: Segments::from_lengths(lengths) })
}

/// The images of a golden.
pub fn images(golden: &Golden, name: &str) -> Input {
    let shape = golden.shape(name);
    let [batch, channels, height, width] = shape[..] else { panic!("{name} is {shape:?}") };
    Input::Images(Images { pixels: golden.floats(name), batch, channels, height, width })
}

/// What one pass over a network with all layers trained gave.
struct Pass {
    loss: f32,
    logits: Tensor,
    gradients: Vec<(LayerId, LayerGrad)>,
    moments: Vec<Moments>,
    adapted: Adapted,
}

fn run(golden: &Golden, base: &Base, model: &Model, input: &Input, batch_statistics: bool) -> Pass {
    let workspace = Workspace::new(2);
    let layout = model.layout();
    let mut adapted = Adapted::new(base, layout);
    for (id, layer) in layout.layers() {
        if id == layout.head() {
            let value = |part: &str| golden.floats_or(&format!("{}.{part}", layer.name), base);
            adapted.set_head(value("weight"), value("bias"));
        } else {
            adapted.own(id, None);
            adapted.own_statistics(id);
        }
    }
    let wanted = adapted.wanted().to_vec();
    let graph = Graph::new(Host::new(&adapted, &workspace), &wanted);
    let mut graph = graph.with_batch_statistics(batch_statistics);
    let output = model.logits(&mut graph, input).unwrap();
    let (loss, gradient) = cross_entropy(&workspace, output.value(), &golden.integers("labels"), 0.0);
    let moments = graph.take_moments();
    // A layer that is used twice has two.
    let mut gradients: Vec<(LayerId, LayerGrad)> = Vec::new();
    let mut sink = |id, gradient: LayerGrad| {
        match gradients.iter_mut().find(|(of, _)| *of == id) {
            Some((_, sum)) => sum.add(&gradient),
            None => gradients.push((id, gradient)),
        }
        Ok(())
    };
    backward(model, input, graph, &output, gradient, &mut sink).unwrap();
    Pass { loss, logits: workspace.copy(output.value()), gradients, moments, adapted }
}

/// Largest difference, relative to the largest expected value.
pub fn distance(found: &[f32], expected: &[f32]) -> f32 {
    distance_above(found, expected, 1e-3)
}

/// As [`distance`], or relative to `floor` where no expected value is larger.
fn distance_above(found: &[f32], expected: &[f32], floor: f32) -> f32 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(floor, |size, value| size.max(value.abs()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
}

fn check(name: &str, input: fn(&Golden) -> Input) {
    let base = Base::open(folder(name)).unwrap();
    let model = Model::open(&base).unwrap();
    let passes: &[_] = if model.layout().has_statistics() { &[("", false), ("train.", true)] } else { &[("", false)] };
    check_passes(name, &base, &model, input, passes);
}

/// Passes of a model against those of these names in its golden, in training by the statistics of the batch.
fn check_passes(name: &str, base: &Base, model: &Model, input: fn(&Golden) -> Input, passes: &[(&str, bool)]) {
    let golden = Golden::open(&format!("{name}/golden.safetensors"));
    for &(prefix, batch_statistics) in passes {
        let mut pass = run(&golden, base, model, &input(&golden), batch_statistics);
        let expected = |tensor: &str| golden.floats(&format!("{prefix}{tensor}"));
        assert!((pass.loss - expected("loss")[0]).abs() < 1e-4 * pass.loss.abs(), "{name}: {prefix}loss");
        assert!(distance(&pass.logits, &expected("logits")) < 1e-4, "{name}: {prefix}logits");
        assert_eq!(pass.gradients.len(), model.layout().len());
        // A bias before a normalization has no gradient but for rounding.
        let largest =
            pass.gradients.iter().flat_map(|(_, gradient)| &gradient.weight[..]).fold(0.0, |a: f32, b| a.max(b.abs()));
        for (id, gradient) in &pass.gradients {
            for part in [Part::Weight, Part::Bias] {
                let Some(param) = model.layout().layer(*id).param(part) else { continue };
                let found = match part {
                    Part::Weight => &gradient.weight,
                    _ => gradient.bias.as_ref().unwrap(),
                };
                let expected = expected(&format!("grad.{}", param.name));
                let error = distance_above(found, &expected, 1e-3 * largest);
                assert!(error < 1e-3, "{name}: {prefix}gradient of {} is off by {error}", param.name);
            }
        }
        assert_eq!(pass.moments.is_empty(), !batch_statistics);
        for moments in pass.moments {
            pass.adapted.follow(&moments, 0.1);
            for part in [Part::Mean, Part::Variance] {
                let param = model.layout().layer(moments.layer).param(part).unwrap();
                let found = pass.adapted.delta(moments.layer, part).unwrap();
                let error = distance(found, &expected(&format!("stat.{}", param.name)));
                assert!(error < 1e-4, "{name}: {} is off by {error}", param.name);
            }
        }
    }
}

#[test]
fn bert_equals_pytorch() {
    check("bert", bert_input);
}

#[test]
fn a_classifier_over_the_pooler_equals_transformers() {
    check("bert_classifier", bert_input);
    let golden = Golden::open("bert_classifier/golden.safetensors");
    let found = logits(&Base::open(folder("bert_classifier")).unwrap(), &Options::default(), &bert_input(&golden));
    assert!(distance(&found, &golden.floats("logits")) < 1e-4, "with the base's own head");
}

#[test]
fn poolings_equal_those_of_sentence_transformers() {
    let base = Base::open(folder("sentences")).unwrap();
    for (prefix, pooling) in [("", None), ("cls.", Some(Pooling::Cls)), ("mean.", Some(Pooling::Mean))] {
        let model = Model::open_with(&base, &Options { pooling, ..Options::default() }).unwrap();
        check_passes("sentences", &base, &model, bert_input, &[(prefix, false)]);
    }
}

/// The scores are the mean of two heads', which tasks have as one.
#[test]
fn deit_with_two_heads_equals_transformers_and_timm() {
    for name in ["deit_distilled", "deit_teacher"] {
        let golden = Golden::open(&format!("{name}/golden.safetensors"));
        let found = logits(&Base::open(folder(name)).unwrap(), &Options::default(), &images(&golden, "pixels"));
        let error = distance(&found, &golden.floats("logits"));
        assert!(error < 1e-4, "{name}: logits are off by {error}");
    }
}

macro_rules! of_images {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            check($name, |golden| images(golden, "pixels"));
        })*
    };
}

of_images! {
    vit_equals_pytorch: "vit",
    deit_with_a_distillation_token_equals_pytorch: "deit",
    deit_with_one_head_over_both_tokens_equals_timm: "deit_distilled",
    vit_with_timm_names_equals_timm: "vit_timm",
    vit_with_mean_pooling_equals_timm: "vit_timm_avg",
    resnet_of_basic_blocks_equals_timm: "resnet_basic",
    resnet_of_bottlenecks_equals_timm: "resnet_bottleneck",
    resnet_for_small_images_equals_pytorch: "resnet_cifar",
    densenet_equals_torchvision: "densenet",
    densenet_for_small_images_equals_pytorch: "densenet_bc",
    resnet_with_transformers_names_equals_transformers: "resnet_transformers",
    resnet_that_halves_where_it_may_equals_transformers: "resnet_downsampled",
    mobilenet_with_timm_names_equals_timm: "mobilenet_timm",
    mobilenet_equals_torchvision: "mobilenet_v2",
    mobilenet_with_same_padding_equals_pytorch: "mobilenet_v2_same",
}

fn logits(base: &Base, options: &Options, input: &Input) -> Tensor {
    let model = Model::open_with(base, options).unwrap();
    let task = Task::of_base(&model);
    let workspace = Workspace::new(2);
    model.logits(&mut Graph::eval(Host::new(&task, &workspace)), input).unwrap().into_value(&workspace)
}

#[test]
fn positions_are_interpolated_as_transformers_and_timm_do() {
    for (name, at) in [("vit", "vit_resized"), ("vit_timm", "vit_timm_resized")] {
        let golden = Golden::open(&format!("{at}/golden.safetensors"));
        let base = Base::open(folder(name)).unwrap();
        for prefix in ["", "small."] {
            let shape = golden.shape(&format!("{prefix}pixels"));
            let options = Options { image_size: Some([shape[2], shape[3]]), ..Options::default() };
            let found = logits(&base, &options, &images(&golden, &format!("{prefix}pixels")));
            let error = distance(&found, &golden.floats(&format!("{prefix}logits")));
            assert!(error < 1e-4, "{at}: {prefix}logits are off by {error}");
        }
    }
}

/// Published checkpoints, where they lie beside the repository.
#[test]
fn published_checkpoints_equal_pytorch() {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/models");
    for (name, input, size) in
        [("cifar10-resnet20", "input", 32), ("cifar10-resnet56", "input", 32), ("mobilenet_v2", "input", 96)]
    {
        let folder = models.join(name);
        if !folder.is_dir() {
            println!("skipped: there is no {}", folder.display());
            continue;
        }
        let golden = Golden::at(folder.join("golden.safetensors"));
        let options = Options { image_size: Some([size; 2]), ..Options::default() };
        let found = logits(&Base::open(&folder).unwrap(), &options, &images(&golden, input));
        let error = distance(&found, &golden.floats("logits"));
        assert!(error < 1e-4, "{name}: logits are off by {error}");
    }
}
