//! Residual networks for small images (He et al. 2015, section 4.2): ResNet-20, 32, 44, 56, 110.
//!
//! Names as akamaster/pytorch_resnet_cifar10 writes them. Three stages of blocks of two 3×3 convolutions; where a
//! stage begins, the shortcut takes every second pixel and fills the new channels with zeros (option A), or has a
//! convolution of its own (option B, `shortcut.0` and `shortcut.1`). Depth and widths are read off the base.

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
    self, BatchNorm, ConvNorm, ImageSpec, Input, LayerKind, Layout, LayoutBuilder, Network, Settings,
};

/// There is no configuration upstream: these are this crate's own.
const KEYS: Keys = Keys { read: &["batch_norm_eps", "depth", "num_channels", "shortcut"], fixed: &[], harmless: &[] };

/// A residual network with three stages.
pub struct ResNetCifar {
    layout: Arc<Layout>,
    stem: ConvNorm,
    blocks: Vec<Block>,
    /// What the last block gives.
    last: Pixels,
    eps: f32,
    images: ImageSpec,
}

struct Block {
    /// What it reads.
    grid: Pixels,
    units: [ConvNorm; 2],
    shortcut: Shortcut,
}

enum Shortcut {
    Same,
    /// Every second pixel, with zero channels before and after.
    Pad(usize, usize),
    Conv(ConvNorm),
}

impl ResNetCifar {
    /// Finds the layers of a base; `depth` in its configuration is checked where it is stated.
    ///
    /// # Errors
    /// If the base lacks a tensor or has it in another shape, or is of another depth.
    pub(super) fn open(base: &Base, config: &Config) -> Result<Self, Error> {
        let config = config.of_network(&[&TRANSFORMERS, &TIMM, &IMAGES, &KEYS])?;
        let mut layers = LayoutBuilder::new(base, "resnet_cifar");
        let channels = config.channels()?;
        let eps = config.eps("batch_norm_eps", 1e-5)?;
        let width = layers.width("conv1").unwrap_or(16);
        let unit = |layers: &mut LayoutBuilder, names: [&str; 2], shape: [usize; 3], stride, activation| {
            let [outputs, inputs, size] = shape;
            let conv = layers.layer(LayerKind::Linear, names[0], &[outputs, inputs, size, size], false)?;
            let norm = BatchNorm { layer: layers.batch_norm(names[1], outputs)?, eps, activation };
            Ok::<_, runtime::Error>(ConvNorm { conv, window: Window::square(size, stride, size / 2), norm })
        };
        let stem = unit(&mut layers, ["conv1", "bn1"], [width, channels, 3], 1, Activation::Relu)?;
        let defaults = Defaults { size: [32; 2], normalization: IMAGENET, processor: "ViTImageProcessor" };
        let images = config.images(channels, &defaults)?;
        let mut grid = Pixels::of(&images);
        let (mut blocks, mut inputs) = (Vec::new(), width);
        for stage in 1..=3 {
            for number in 0.. {
                let name = format!("layer{stage}.{number}");
                let [conv1, bn1, conv2, bn2] = ["conv1", "bn1", "conv2", "bn2"].map(|part| format!("{name}.{part}"));
                let found = layers.width(&conv1);
                // A stage without a block is an error that names the tensor it lacks.
                if found.is_none() && number > 0 {
                    break;
                }
                let outputs = found.unwrap_or(inputs);
                let stride = if stage > 1 && number == 0 { 2 } else { 1 };
                let first = unit(&mut layers, [&conv1, &bn1], [outputs, inputs, 3], stride, Activation::Relu)?;
                let second = unit(&mut layers, [&conv2, &bn2], [outputs, outputs, 3], 1, Activation::Relu)?;
                let [conv, bn] = ["shortcut.0", "shortcut.1"].map(|part| format!("{name}.{part}"));
                let shortcut = if layers.width(&conv).is_some() {
                    Shortcut::Conv(unit(&mut layers, [&conv, &bn], [outputs, inputs, 1], stride, Activation::None)?)
                } else if stride == 1 && outputs == inputs {
                    Shortcut::Same
                } else {
                    let more = outputs.saturating_sub(inputs);
                    Shortcut::Pad(more / 2, more - more / 2)
                };
                let start = grid;
                grid = grid.through(first.window, &config)?;
                blocks.push(Block { grid: start, units: [first, second], shortcut });
                inputs = outputs;
            }
        }
        let depth = 2 * blocks.len() + 2;
        if config.size_or("depth", depth)? != depth {
            return Err(config.wrong("depth", &format!("{depth}, as the tensors are")));
        }
        let of_option = |option: &str| {
            blocks.iter().all(|Block { shortcut, .. }| match shortcut {
                Shortcut::Same => true,
                Shortcut::Pad(..) => option == "A",
                Shortcut::Conv(_) => option == "B",
            })
        };
        if config.has("shortcut") && !of_option(config.text("shortcut")?) {
            return Err(config.wrong("shortcut", "A or B, as the tensors are"));
        }
        let layout = Arc::new(layers.head("linear", inputs, config.labels()?)?);
        super::check_used(base, &layout, "resnet_cifar", super::is_counter)?;
        Ok(Self { layout, stem, blocks, last: grid, eps, images })
    }

    /// What it reads.
    pub fn input(&self) -> InputSpec {
        InputSpec::Images(self.images.clone())
    }
}

impl Network for ResNetCifar {
    fn architecture(&self) -> &str {
        "resnet_cifar"
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn settings(&self) -> Settings {
        self.images.settings().with(Settings::NORM_EPS, self.eps)
    }

    fn stem<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        let (x, grid) = images::pixels(graph, &self.images, input)?;
        graph.conv_norm(&x, grid, &self.stem, None)
    }

    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn block<B: Backend>(&self, graph: &mut Graph<'_, B>, index: usize, x: Var<B>, input: &Input) -> Output<B> {
        let Block { grid, units: [first, second], shortcut } = &self.blocks[index];
        let grid = grid.grid(input.len());
        let residual = match shortcut {
            Shortcut::Same => None,
            Shortcut::Pad(before, after) => {
                Some(graph.subsample_pad(&x, grid, first.window.stride, [*before, *after])?)
            }
            Shortcut::Conv(unit) => Some(graph.conv_norm(&x, grid, unit, None)?),
        };
        let inner = graph.conv_norm(&x, grid, first, None)?;
        graph.conv_norm(&inner, first.window.output(grid), second, Some(residual.as_ref().unwrap_or(&x)))
    }

    fn tail<B: Backend>(&self, graph: &mut Graph<'_, B>, x: Var<B>, input: &Input) -> Output<B> {
        graph.mean_rows(x, &self.last.grid(input.len()).segments(), 0)
    }
}
