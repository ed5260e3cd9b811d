//! The goldens' networks, and something for each to read.

use taps::kernels::Segments;
use taps::models::{InputSpec, Model};
use taps::runtime::{ImageSpec, Images, Input, Tokens};

/// Folders of `tests/golden` with a base and its configuration.
pub const NETWORKS: [&str; 18] = [
    "bert",
    "bert_classifier",
    "sentences",
    "vit",
    "vit_timm",
    "vit_timm_avg",
    "deit",
    "deit_distilled",
    "resnet_basic",
    "resnet_bottleneck",
    "resnet_transformers",
    "resnet_downsampled",
    "resnet_cifar",
    "densenet",
    "densenet_bc",
    "mobilenet_v2",
    "mobilenet_v2_same",
    "mobilenet_timm",
];

/// Sequences of these lengths, or as many images.
pub fn input(model: &Model, lengths: &[usize]) -> Input {
    let value = |number: usize| ((number * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0;
    match model.input() {
        InputSpec::Tokens(_) => {
            let segments = Segments::from_lengths(lengths.iter().copied());
            Input::Tokens(Tokens { ids: (0..segments.rows() as u32).map(|id| id % 20).collect(), segments })
        }
        InputSpec::Images(ImageSpec { channels, height, width, .. }) => {
            let pixels = (0..lengths.len() * channels * height * width).map(value).collect();
            Input::Images(Images { pixels, batch: lengths.len(), channels, height, width })
        }
    }
}
