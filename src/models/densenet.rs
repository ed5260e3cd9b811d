//! Densely connected networks (Huang et al. 2016): DenseNet-121 and its kin, and DenseNet-BC for small images.
//!
//! Names as torchvision, timm and gpleiss/efficient_densenet_pytorch write them. Normalization and activation come
//! before each convolution; a layer reads the features of all layers before it. Blocks, growth and widths are
//! read off the base; one without `features.norm0` begins with a 3×3 convolution at full resolution and has no
//! pooling before its blocks.

use std::sync::Arc;

use super::config::Config;
use super::images::{self, Pixels};
use super::keys::{IMAGES, Keys, TIMM, TRANSFORMERS};
use super::processor::{Defaults, IMAGENET};
use super::{Error, InputSpec};
use crate::base::Base;
use crate::graph::{Backend, Graph, Output, Var};
use crate::kernels::{Activation, Window};
use crate::runtime::{
    self, BatchNorm, ConvNorm, ImageSpec, Input, LayerId, LayerKind, Layout, LayoutBuilder, Network, Settings,
};

/// What the constructor of timm's `DenseNet` reads.
pub(super) const KEYS: Keys = Keys {
    read: &["batch_norm_eps", "num_channels"],
    fixed: &[
        ("aa_layer", &["null"]),
        ("act_layer", &["null", "relu"]),
        ("global_pool", &["null", "avg", "fast", "fastavg"]),
        ("norm_layer", &["null", "batchnorm2d", "frozenbatchnorm2d"]),
        ("stem_type", &["null", ""]),
    ],
    harmless: &[
        "aa_stem_only",
        "memory_efficient",
        "proj_drop_rate",
        // Sizes that are read off the tensors.
        "block_config",
        "bn_size",
        "growth_rate",
        "num_init_features",
    ],
};

/// A densely connected network.
pub struct DenseNet {
    layout: Arc<Layout>,
    stem: Stem,
    blocks: Vec<Dense>,
    /// What the last block gives.
    last: Pixels,
    norm: BatchNorm,
    eps: f32,
    images: ImageSpec,
}

/// What follows the stem.
const POOL: Window = Window { size: [3; 2], stride: 2, rows: [1; 2], cols: [1; 2] };

/// What a transition ends in.
const HALVE: Window = Window { size: [2; 2], stride: 2, rows: [0; 2], cols: [0; 2] };

enum Stem {
    /// 7×7 by two, normalization, pooling by two.
    Pooled(ConvNorm),
    /// 3×3.
    Plain(LayerId),
}

struct Dense {
    /// What it reads.
    grid: Pixels,
    layers: Vec<Layer>,
    transition: Option<Transition>,
}

/// Normalization and 1×1 convolution to a few channels, normalization and 3×3 convolution to the growth.
struct Layer {
    before: BatchNorm,
    squeeze: ConvNorm,
    grow: LayerId,
}

struct Transition {
    before: BatchNorm,
    conv: LayerId,
}

impl DenseNet {
    /// Finds the layers of a base. `depth` is that of the name, as 121; without one any is taken.
    ///
    /// # Errors
    /// If the base lacks a tensor or has it in another shape, or is of another depth.
    pub(super) fn open(base: &Base, config: &Config, depth: Option<usize>) -> Result<Self, Error> {
        let config = config.of_network(&[&TRANSFORMERS, &TIMM, &IMAGES, &KEYS])?;
        let mut layers = LayoutBuilder::new(base, "densenet");
        let channels = config.channels()?;
        let eps = config.eps("batch_norm_eps", 1e-5)?;
        let norm = |layers: &mut LayoutBuilder, name: &str, channels| {
            let layer = layers.batch_norm(name, channels)?;
            Ok::<_, runtime::Error>(BatchNorm { layer, eps, activation: Activation::Relu })
        };
        let conv = |layers: &mut LayoutBuilder, name: &str, [inputs, size]: [usize; 2], or| {
            let outputs = layers.width(name).unwrap_or(or);
            let layer = layers.layer(LayerKind::Linear, name, &[outputs, inputs, size, size], false)?;
            Ok::<_, runtime::Error>((layer, outputs))
        };
        let pooled = layers.shape("features.norm0.weight").is_some();
        let (first, mut inputs) = conv(&mut layers, "features.conv0", [channels, if pooled { 7 } else { 3 }], 64)?;
        let stem = match pooled {
            true => Stem::Pooled(ConvNorm {
                conv: first,
                window: Window::square(7, 2, 3),
                norm: norm(&mut layers, "features.norm0", inputs)?,
            }),
            false => Stem::Plain(first),
        };
        let size = [if pooled { 224 } else { 32 }; 2];
        let defaults = Defaults { size, normalization: IMAGENET, processor: "ViTImageProcessor" };
        let images = config.images(channels, &defaults)?;
        let mut grid = match &stem {
            Stem::Pooled(unit) => Pixels::of(&images).through(unit.window, &config)?.through(POOL, &config)?,
            Stem::Plain(_) => Pixels::of(&images),
        };
        let (mut blocks, mut convolutions) = (Vec::new(), 1);
        for number in 1.. {
            let name = |layer: usize, part: &str| format!("features.denseblock{number}.denselayer{layer}.{part}");
            if number > 1 && layers.width(&name(1, "conv1")).is_none() {
                break;
            }
            let mut dense = Vec::new();
            for layer in 1.. {
                // A block without a layer is an error that names the tensor it lacks.
                if layer > 1 && layers.width(&name(layer, "conv1")).is_none() {
                    break;
                }
                let before = norm(&mut layers, &name(layer, "norm1"), inputs)?;
                let (squeeze, width) = conv(&mut layers, &name(layer, "conv1"), [inputs, 1], 128)?;
                let middle = norm(&mut layers, &name(layer, "norm2"), width)?;
                let squeeze = ConvNorm { conv: squeeze, window: Window::square(1, 1, 0), norm: middle };
                let (grow, growth) = conv(&mut layers, &name(layer, "conv2"), [width, 3], 32)?;
                dense.push(Layer { before, squeeze, grow });
                inputs += growth;
                convolutions += 2;
            }
            let name = format!("features.transition{number}");
            let transition = match layers.width(&format!("{name}.conv")) {
                Some(_) => {
                    let before = norm(&mut layers, &format!("{name}.norm"), inputs)?;
                    let (layer, outputs) = conv(&mut layers, &format!("{name}.conv"), [inputs, 1], inputs / 2)?;
                    inputs = outputs;
                    convolutions += 1;
                    Some(Transition { before, conv: layer })
                }
                None => None,
            };
            let start = grid;
            if transition.is_some() {
                grid = grid.through(HALVE, &config)?;
            }
            blocks.push(Dense { grid: start, layers: dense, transition });
        }
        // torchvision's last normalization is called by its place, others' by its role.
        let last = format!("features.norm{}", blocks.len() + 1);
        let last = if layers.shape("features.norm_final.weight").is_some() { "features.norm_final" } else { &last };
        let last = norm(&mut layers, last, inputs)?;
        if let Some(depth) = depth
            && depth != convolutions + 1
        {
            return Err(config.mismatch(&format!("densenet{depth}"), &format!("{} layers", convolutions + 1)));
        }
        let layout = Arc::new(layers.head("classifier", inputs, config.labels()?)?);
        super::check_used(base, &layout, "densenet", super::is_counter)?;
        Ok(Self { layout, stem, blocks, last: grid, norm: last, eps, images })
    }

    /// What it reads.
    pub fn input(&self) -> InputSpec {
        InputSpec::Images(self.images.clone())
    }
}

impl Network for DenseNet {
    fn architecture(&self) -> &str {
        "densenet"
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn settings(&self) -> Settings {
        self.images.settings().with(Settings::NORM_EPS, self.eps)
    }

    fn stem<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        let (x, grid) = images::pixels(graph, &self.images, input)?;
        match &self.stem {
            Stem::Pooled(unit) => {
                let x = graph.conv_norm(&x, grid, unit, None)?;
                graph.max_pool(x, unit.window.output(grid), POOL)
            }
            Stem::Plain(conv) => graph.conv(&x, grid, *conv, Window::square(3, 1, 1)),
        }
    }

    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn block<B: Backend>(&self, graph: &mut Graph<'_, B>, index: usize, x: Var<B>, input: &Input) -> Output<B> {
        let Dense { grid, layers, transition } = &self.blocks[index];
        let (grid, mut h) = (grid.grid(input.len()), x);
        for layer in layers {
            let x = graph.batch_norm(&h, &layer.before, None)?;
            let x = graph.conv_norm(&x, grid, &layer.squeeze, None)?;
            let grown = graph.conv(&x, grid, layer.grow, Window::square(3, 1, 1))?;
            h = graph.concat(&[&h, &grown])?;
        }
        let Some(transition) = transition else { return Ok(h) };
        let x = graph.batch_norm(&h, &transition.before, None)?;
        let x = graph.conv(&x, grid, transition.conv, Window::square(1, 1, 0))?;
        graph.average_pool(x, grid, HALVE)
    }

    fn tail<B: Backend>(&self, graph: &mut Graph<'_, B>, x: Var<B>, input: &Input) -> Output<B> {
        let x = graph.batch_norm(&x, &self.norm, None)?;
        graph.mean_rows(x, &self.last.grid(input.len()).segments(), 0)
    }
}
