//! Residual networks for photographs (He et al. 2015): ResNet-18, 34, 50, 101, 152 and others of their form.
//!
//! Names as torchvision and timm write them, or as transformers' `ResNetForImageClassification`. Blocks of two 3×3
//! convolutions, or of three with the middle one 3×3 and strided; which, how many and how wide is read off the
//! base. Activations are `[images * height * width, channels]`.

use std::sync::Arc;

use super::config::Config;
use super::images::{self, Pixels};
use super::keys::{IMAGES, Keys, TIMM, TRANSFORMERS};
use super::processor::{Defaults, IMAGENET};
use super::{Error, InputSpec};
use crate::base::Base;
use crate::graph::{Backend, Graph, Output, Var};
use crate::kernels::{Activation, Window};
use crate::runtime::{BatchNorm, ConvNorm, ImageSpec, Input, LayerKind, Layout, LayoutBuilder, Network, Settings};

/// What `ResNetConfig` reads, and the constructor of timm's `ResNet`.
pub(super) const KEYS: Keys = Keys {
    read: &["batch_norm_eps", "depths", "downsample_in_bottleneck", "downsample_in_first_stage", "num_channels"],
    fixed: &[
        ("aa_layer", &["null"]),
        ("act_layer", &["null", "relu"]),
        ("avg_down", &["false"]),
        ("block_args", &["null", "{}"]),
        ("cardinality", &["1"]),
        ("down_kernel_size", &["1"]),
        ("global_pool", &["null", "avg", "fast", "fastavg"]),
        ("hidden_act", &["relu"]),
        ("norm_layer", &["null", "batchnorm2d", "frozenbatchnorm2d"]),
        ("output_stride", &["32"]),
        ("replace_stem_pool", &["false"]),
        ("stem_type", &["null", ""]),
    ],
    harmless: &[
        "drop_block_rate",
        "out_features",
        "out_indices",
        "stage_names",
        "zero_init_last",
        // Sizes that are read off the tensors.
        "base_width",
        "block",
        "block_reduce_first",
        "channels",
        "embedding_size",
        "hidden_sizes",
        "layer_type",
        "layers",
        "stem_width",
    ],
};

/// A residual network for photographs.
pub struct ResNet {
    layout: Arc<Layout>,
    stem: ConvNorm,
    blocks: Vec<Block>,
    /// What the last block gives.
    last: Pixels,
    eps: f32,
    images: ImageSpec,
    class: Option<&'static str>,
}

/// What follows the stem.
const POOL: Window = Window { size: [3; 2], stride: 2, rows: [1; 2], cols: [1; 2] };

struct Block {
    /// What it reads.
    grid: Pixels,
    /// Its convolutions in order; the shortcut is added to the last.
    units: Vec<ConvNorm>,
    shortcut: Option<ConvNorm>,
}

/// How tensors are called.
#[derive(Clone, Copy)]
enum Names {
    Torch,
    /// With a prefix where the checkpoint is of a classifier.
    HuggingFace(&'static str),
}

impl Names {
    fn of(layers: &LayoutBuilder) -> Self {
        let stem = |prefix: &str| format!("{prefix}embedder.embedder.convolution.weight");
        let found = ["resnet.", ""].into_iter().find(|prefix| layers.shape(&stem(prefix)).is_some());
        found.map_or(Names::Torch, Names::HuggingFace)
    }

    fn stem(self) -> [String; 2] {
        match self {
            Names::Torch => ["conv1", "bn1"].map(str::to_owned),
            Names::HuggingFace(prefix) => {
                ["convolution", "normalization"].map(|part| format!("{prefix}embedder.embedder.{part}"))
            }
        }
    }

    fn block(self, stage: usize, block: usize) -> String {
        match self {
            Names::Torch => format!("layer{}.{block}", stage + 1),
            Names::HuggingFace(prefix) => format!("{prefix}encoder.stages.{stage}.layers.{block}"),
        }
    }

    fn unit(self, block: &str, unit: usize) -> [String; 2] {
        match self {
            Names::Torch => [format!("{block}.conv{}", unit + 1), format!("{block}.bn{}", unit + 1)],
            Names::HuggingFace(_) => {
                [format!("{block}.layer.{unit}.convolution"), format!("{block}.layer.{unit}.normalization")]
            }
        }
    }

    fn shortcut(self, block: &str) -> [String; 2] {
        match self {
            Names::Torch => [format!("{block}.downsample.0"), format!("{block}.downsample.1")],
            Names::HuggingFace(_) => ["convolution", "normalization"].map(|part| format!("{block}.shortcut.{part}")),
        }
    }

    fn head(self) -> &'static str {
        match self {
            Names::Torch => "fc",
            Names::HuggingFace(_) => "classifier.1",
        }
    }
}

impl ResNet {
    /// Finds the layers of a base. `depth` is that of the name, as 50; without one any is taken.
    ///
    /// # Errors
    /// If the base lacks a tensor or has it in another shape, or is of another depth.
    pub(super) fn open(base: &Base, config: &Config, depth: Option<usize>) -> Result<Self, Error> {
        let config = config.of_network(&[&TRANSFORMERS, &TIMM, &IMAGES, &KEYS])?;
        let mut layers = LayoutBuilder::new(base, "resnet");
        let names = Names::of(&layers);
        let channels = config.channels()?;
        // transformers' class has no such key, and always this.
        let eps = if matches!(names, Names::HuggingFace(_)) { 1e-5 } else { config.eps("batch_norm_eps", 1e-5)? };
        let norm = |layer, activation| BatchNorm { layer, eps, activation };
        let [conv, bn] = names.stem();
        let width = layers.width(&conv).unwrap_or(64);
        let stem = ConvNorm {
            conv: layers.layer(LayerKind::Linear, &conv, &[width, channels, 7, 7], false)?,
            window: Window::square(7, 2, 3),
            norm: norm(layers.batch_norm(&bn, width)?, Activation::Relu),
        };
        let strides_first_stage = config.flag("downsample_in_first_stage")?;
        // As in the paper; later ones stride in the middle.
        let strides_first_unit = config.flag("downsample_in_bottleneck")?;
        let defaults = Defaults { size: [224; 2], normalization: IMAGENET, processor: "ConvNextImageProcessor" };
        let images = config.images(channels, &defaults)?;
        let mut grid = Pixels::of(&images).through(stem.window, &config)?.through(POOL, &config)?;
        let (mut blocks, mut inputs, mut convolutions) = (Vec::new(), width, 2);
        let mut depths: Vec<usize> = Vec::new();
        for stage in 0.. {
            // torchvision's and timm's have four, of transformers' there may be any number.
            let is_there = layers.width(&names.unit(&names.block(stage, 0), 0)[0]).is_some();
            if !is_there && (stage >= 4 || (stage > 0 && matches!(names, Names::HuggingFace(_)))) {
                break;
            }
            depths.push(0);
            for number in 0.. {
                let name = names.block(stage, number);
                let count = (0..3).filter(|&unit| layers.width(&names.unit(&name, unit)[0]).is_some()).count();
                // A stage without a block is an error that names the tensor it lacks.
                if count == 0 && number > 0 {
                    break;
                }
                let count = count.max(2);
                let stride = if (stage > 0 || strides_first_stage) && number == 0 { 2 } else { 1 };
                let (mut units, mut channels, start) = (Vec::new(), inputs, grid);
                for unit in 0..count {
                    let [conv, bn] = names.unit(&name, unit);
                    let outputs = layers.width(&conv).unwrap_or(channels);
                    let size = if count == 2 || unit == 1 { 3 } else { 1 };
                    let strided = unit == if strides_first_unit { 0 } else { count - 2 };
                    let window = Window::square(size, if strided { stride } else { 1 }, size / 2);
                    grid = grid.through(window, &config)?;
                    units.push(ConvNorm {
                        conv: layers.layer(LayerKind::Linear, &conv, &[outputs, channels, size, size], false)?,
                        window,
                        norm: norm(layers.batch_norm(&bn, outputs)?, Activation::Relu),
                    });
                    channels = outputs;
                }
                let [conv, bn] = names.shortcut(&name);
                let shortcut = if layers.width(&conv).is_some() || channels != inputs || stride != 1 {
                    Some(ConvNorm {
                        conv: layers.layer(LayerKind::Linear, &conv, &[channels, inputs, 1, 1], false)?,
                        window: Window::square(1, stride, 0),
                        norm: norm(layers.batch_norm(&bn, channels)?, Activation::None),
                    })
                } else {
                    None
                };
                convolutions += count;
                depths[stage] += 1;
                inputs = channels;
                blocks.push(Block { grid: start, units, shortcut });
            }
        }
        if let Some(depth) = depth
            && depth != convolutions
        {
            return Err(config.mismatch(&format!("resnet{depth}"), &format!("{convolutions} layers")));
        }
        if config.sizes("depths")?.is_some_and(|stated| stated != depths) {
            return Err(config.wrong("depths", &format!("{depths:?}, as the tensors are")));
        }
        let layout = Arc::new(layers.head(names.head(), inputs, config.labels()?)?);
        super::check_used(base, &layout, "resnet", super::is_counter)?;
        let class = matches!(names, Names::HuggingFace(_)).then_some("ResNetForImageClassification");
        Ok(Self { layout, stem, blocks, last: grid, eps, images, class })
    }

    /// What it reads.
    pub fn input(&self) -> InputSpec {
        InputSpec::Images(self.images.clone())
    }
}

impl Network for ResNet {
    fn architecture(&self) -> &str {
        "resnet"
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn settings(&self) -> Settings {
        self.images.settings().with(Settings::NORM_EPS, self.eps)
    }

    fn checkpoint_class(&self, _: bool) -> Option<&'static str> {
        self.class
    }

    fn stem<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        let (x, grid) = images::pixels(graph, &self.images, input)?;
        let x = graph.conv_norm(&x, grid, &self.stem, None)?;
        graph.max_pool(x, self.stem.window.output(grid), POOL)
    }

    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn block<B: Backend>(&self, graph: &mut Graph<'_, B>, index: usize, x: Var<B>, input: &Input) -> Output<B> {
        let Block { units, shortcut, grid } = &self.blocks[index];
        let mut grid = grid.grid(input.len());
        let shortcut = match shortcut {
            Some(shortcut) => Some(graph.conv_norm(&x, grid, shortcut, None)?),
            None => None,
        };
        let mut inner = None;
        for (number, unit) in units.iter().enumerate() {
            let residual = (number + 1 == units.len()).then(|| shortcut.as_ref().unwrap_or(&x));
            inner = Some(graph.conv_norm(inner.as_ref().unwrap_or(&x), grid, unit, residual)?);
            grid = unit.window.output(grid);
        }
        Ok(inner.unwrap_or(x))
    }

    fn tail<B: Backend>(&self, graph: &mut Graph<'_, B>, x: Var<B>, input: &Input) -> Output<B> {
        graph.mean_rows(x, &self.last.grid(input.len()).segments(), 0)
    }
}
