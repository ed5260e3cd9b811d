//! MobileNetV2 (Sandler et al. 2018): inverted residuals with depthwise convolutions.
//!
//! Names as torchvision or timm write them. Widths, whatever the multiplier made of them, and the number of
//! blocks are read off the base; where blocks are strided is the paper's table 2. `"padding": "tf_same"` in
//! `config.json` pads as TensorFlow does.

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

/// What timm's MobileNetV2 reads: the constructor of its `EfficientNet`, and what makes its arguments.
pub(super) const KEYS: Keys = Keys {
    read: &["batch_norm_eps", "bn_eps", "num_channels", "pad_type", "padding"],
    fixed: &[
        ("aa_layer", &["null"]),
        ("act_layer", &["null", "relu6"]),
        ("global_pool", &["null", "avg", "fast", "fastavg"]),
        ("group_size", &["null", "0"]),
        ("norm_layer", &["null", "batchnorm2d", "frozenbatchnorm2d"]),
        ("output_stride", &["32"]),
        ("round_chs_fn", &["null"]),
        ("se_layer", &["null"]),
        ("stem_kernel_size", &["3"]),
    ],
    harmless: &[
        "bn_momentum",
        // Sizes that are read off the tensors.
        "block_args",
        "channel_multiplier",
        "depth_multiplier",
        "fix_stem",
        "fix_stem_head",
        "stem_size",
    ],
};

/// Blocks of each stage and the stride of its first: table 2 of the paper.
const STAGES: [(usize, usize); 7] = [(1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)];

/// A MobileNetV2.
pub struct MobileNetV2 {
    layout: Arc<Layout>,
    stem: ConvNorm,
    blocks: Vec<Block>,
    last: ConvNorm,
    /// What the last block gives.
    last_grid: Pixels,
    padding: Padding,
    eps: f32,
    images: ImageSpec,
}

#[derive(Clone, Copy, PartialEq)]
enum Padding {
    /// Half the window on all sides.
    Even,
    /// TensorFlow's SAME.
    Same,
}

struct Block {
    /// What it reads.
    grid: Pixels,
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    project: ConvNorm,
    residual: bool,
}

/// Names of a convolution and its normalization.
type Pair = [String; 2];

/// How tensors are called.
#[derive(Clone, Copy)]
enum Names {
    Torchvision,
    Timm,
}

impl Names {
    fn stem(self) -> Pair {
        match self {
            Names::Torchvision => ["features.0.0", "features.0.1"].map(str::to_owned),
            Names::Timm => ["conv_stem", "bn1"].map(str::to_owned),
        }
    }

    /// Expansion, depthwise convolution and projection of a block, by its number in all and in its stage; the
    /// first block has no expansion.
    fn block(self, number: usize, stage: usize, within: usize) -> [Pair; 3] {
        let pair = |prefix: &str, [conv, norm]: [&str; 2]| [format!("{prefix}.{conv}"), format!("{prefix}.{norm}")];
        match self {
            Names::Torchvision => {
                let prefix = format!("features.{}.conv", number + 1);
                match number {
                    0 => [pair(&prefix, ["", ""]), pair(&prefix, ["0.0", "0.1"]), pair(&prefix, ["1", "2"])],
                    _ => [["0.0", "0.1"], ["1.0", "1.1"], ["2", "3"]].map(|names| pair(&prefix, names)),
                }
            }
            Names::Timm => {
                let prefix = format!("blocks.{stage}.{within}");
                match number {
                    0 => [["", ""], ["conv_dw", "bn1"], ["conv_pw", "bn2"]].map(|names| pair(&prefix, names)),
                    _ => {
                        [["conv_pw", "bn1"], ["conv_dw", "bn2"], ["conv_pwl", "bn3"]].map(|names| pair(&prefix, names))
                    }
                }
            }
        }
    }

    fn last(self, blocks: usize) -> Pair {
        match self {
            Names::Torchvision => [0, 1].map(|part| format!("features.{}.{part}", blocks + 1)),
            Names::Timm => ["conv_head", "bn2"].map(str::to_owned),
        }
    }

    fn head(self) -> &'static str {
        match self {
            Names::Torchvision => "classifier.1",
            Names::Timm => "classifier",
        }
    }
}

impl MobileNetV2 {
    /// Finds the layers of a base.
    ///
    /// # Errors
    /// If the base lacks a tensor or has it in another shape, or padding is set to something unknown.
    pub(super) fn open(base: &Base, config: &Config) -> Result<Self, Error> {
        let config = config.of_network(&[&TRANSFORMERS, &TIMM, &IMAGES, &KEYS])?;
        let mut layers = LayoutBuilder::new(base, "mobilenet_v2");
        let names = if layers.width("conv_stem").is_some() { Names::Timm } else { Names::Torchvision };
        let padding = match (config.text_or("padding", "torch")?, config.text_or("pad_type", "")?) {
            ("torch", "") => Padding::Even,
            ("tf_same", _) | ("torch", "same") => Padding::Same,
            ("torch", _) => return Err(config.wrong("pad_type", "same or nothing")),
            _ => return Err(config.wrong("padding", "torch or tf_same")),
        };
        let channels = config.channels()?;
        let eps = config.eps(if config.has("bn_eps") { "bn_eps" } else { "batch_norm_eps" }, 1e-5)?;
        let defaults = Defaults { size: [224; 2], normalization: IMAGENET, processor: "MobileNetV2ImageProcessor" };
        let images = config.images(channels, &defaults)?;
        let mut grid = Pixels::of(&images);
        let mut unit = |layers: &mut LayoutBuilder, [conv, norm]: &Pair, shape: [usize; 3], stride, activation| {
            let [outputs, inputs, size] = shape;
            // One input channel for each output is said by zero inputs.
            let kind = if inputs == 0 { LayerKind::Depthwise } else { LayerKind::Linear };
            let conv = layers.layer(kind, conv, &[outputs, inputs.max(1), size, size], false)?;
            let norm = BatchNorm { layer: layers.batch_norm(norm, outputs)?, eps, activation };
            let window = match padding {
                Padding::Even => Window::square(size, stride, size / 2),
                Padding::Same => Window::same(size, stride, grid.grid(1)),
            };
            let start = grid;
            grid = start.through(window, &config)?;
            Ok::<_, Error>((start, ConvNorm { conv, window, norm }))
        };
        let stem_names = names.stem();
        let mut inputs = layers.width(&stem_names[0]).unwrap_or(32);
        let (_, stem) = unit(&mut layers, &stem_names, [inputs, channels, 3], 2, Activation::Relu6)?;
        let mut blocks = Vec::new();
        for (stage, &(count, stride)) in STAGES.iter().enumerate() {
            for within in 0.. {
                let [expand, depthwise, project] = names.block(blocks.len(), stage, within);
                // timm has deeper ones; torchvision's numbers do not say where a stage ends.
                let is_there = matches!(names, Names::Timm) && layers.width(&depthwise[0]).is_some();
                if within >= count && !is_there {
                    break;
                }
                let (number, stride) = (blocks.len(), if within == 0 { stride } else { 1 });
                let width = |layers: &LayoutBuilder, pair: &Pair, or| layers.width(&pair[0]).unwrap_or(or);
                let inner = if number == 0 { inputs } else { width(&layers, &expand, 6 * inputs) };
                let outputs = width(&layers, &project, inputs);
                let expand = match number {
                    0 => None,
                    _ => Some(unit(&mut layers, &expand, [inner, inputs, 1], 1, Activation::Relu6)?.1),
                };
                // An expansion is of single pixels: what comes after it reads the same grid.
                let (grid, depthwise) = unit(&mut layers, &depthwise, [inner, 0, 3], stride, Activation::Relu6)?;
                let (_, project) = unit(&mut layers, &project, [outputs, inner, 1], 1, Activation::None)?;
                let residual = stride == 1 && inputs == outputs;
                blocks.push(Block { grid, expand, depthwise, project, residual });
                inputs = outputs;
            }
        }
        let last_names = names.last(blocks.len());
        let features = layers.width(&last_names[0]).unwrap_or(1280);
        let (last_grid, last) = unit(&mut layers, &last_names, [features, inputs, 1], 1, Activation::Relu6)?;
        let layout = Arc::new(layers.head(names.head(), features, config.labels()?)?);
        super::check_used(base, &layout, "mobilenet_v2", super::is_counter)?;
        Ok(Self { layout, stem, blocks, last, last_grid, padding, eps, images })
    }

    /// What it reads.
    pub fn input(&self) -> InputSpec {
        InputSpec::Images(self.images.clone())
    }
}

impl Network for MobileNetV2 {
    fn architecture(&self) -> &str {
        "mobilenet_v2"
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn settings(&self) -> Settings {
        let padding = if self.padding == Padding::Same { "same" } else { "even" };
        self.images.settings().with(Settings::NORM_EPS, self.eps).with(Settings::PADDING, padding)
    }

    fn stem<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        let (x, grid) = images::pixels(graph, &self.images, input)?;
        graph.conv_norm(&x, grid, &self.stem, None)
    }

    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn block<B: Backend>(&self, graph: &mut Graph<'_, B>, index: usize, x: Var<B>, input: &Input) -> Output<B> {
        let Block { grid, expand, depthwise, project, residual } = &self.blocks[index];
        let grid = grid.grid(input.len());
        let expanded = match expand {
            Some(expand) => Some(graph.conv_norm(&x, grid, expand, None)?),
            None => None,
        };
        let inner = graph.conv_norm(expanded.as_ref().unwrap_or(&x), grid, depthwise, None)?;
        drop(expanded);
        graph.conv_norm(&inner, depthwise.window.output(grid), project, residual.then_some(&x))
    }

    fn tail<B: Backend>(&self, graph: &mut Graph<'_, B>, x: Var<B>, input: &Input) -> Output<B> {
        let grid = self.last_grid.grid(input.len());
        let x = graph.conv_norm(&x, grid, &self.last, None)?;
        graph.mean_rows(x, &grid.segments(), 0)
    }
}
