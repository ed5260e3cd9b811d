//! MobileNetV2 (Sandler et al. 2018): inverted residuals with depthwise convolutions.
//!
//! Names as torchvision or timm write them. Widths, whatever the multiplier made of them, and the number of
//! blocks are read off the base; where blocks are strided is the paper's table 2. `"padding": "tf_same"` in
//! `config.json` pads as TensorFlow does.

use std::sync::Arc;

use super::config::Config;
use super::{Error, InputSpec, images};
use crate::base::Base;
use crate::kernels::{Activation, Grid, Window};
use crate::runtime::{self, BatchNorm, ConvNorm, Input, LayerId, LayerKind, Layout, LayoutBuilder, Network, Ops};

/// Blocks of each stage and the stride of its first: table 2 of the paper.
const STAGES: [(usize, usize); 7] = [(1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)];

/// A MobileNetV2.
pub struct MobileNetV2 {
    layout: Arc<Layout>,
    stem: Unit,
    blocks: Vec<Block>,
    last: Unit,
    padding: Padding,
    input: InputSpec,
}

#[derive(Clone, Copy, PartialEq)]
enum Padding {
    /// Half the window on all sides.
    Even,
    /// TensorFlow's SAME.
    Same,
}

/// A convolution and its normalization, whose window depends on the size of the image.
struct Unit {
    conv: LayerId,
    norm: BatchNorm,
    size: usize,
    stride: usize,
}

struct Block {
    expand: Option<Unit>,
    depthwise: Unit,
    project: Unit,
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
        let mut layers = LayoutBuilder::new(base, "mobilenet_v2");
        let names = if layers.width("conv_stem").is_some() { Names::Timm } else { Names::Torchvision };
        let padding = match config.text_or("padding", "torch")? {
            "torch" => Padding::Even,
            "tf_same" => Padding::Same,
            _ => return Err(config.wrong("padding", "torch or tf_same")),
        };
        let channels = config.size_or("num_channels", 3)?;
        let eps = config.float_or("batch_norm_eps", 1e-5)?;
        let unit = |layers: &mut LayoutBuilder, [conv, norm]: &Pair, shape: [usize; 3], stride, activation| {
            let [outputs, inputs, size] = shape;
            // One input channel for each output is said by zero inputs.
            let kind = if inputs == 0 { LayerKind::Depthwise } else { LayerKind::Linear };
            let conv = layers.layer(kind, conv, &[outputs, inputs.max(1), size, size], false)?;
            let norm = BatchNorm { layer: layers.batch_norm(norm, outputs)?, eps, activation };
            Ok::<_, runtime::Error>(Unit { conv, norm, size, stride })
        };
        let stem_names = names.stem();
        let mut inputs = layers.width(&stem_names[0]).unwrap_or(32);
        let stem = unit(&mut layers, &stem_names, [inputs, channels, 3], 2, Activation::Relu6)?;
        let mut blocks = Vec::new();
        for (stage, &(count, stride)) in STAGES.iter().enumerate() {
            for within in 0..count {
                let [expand, depthwise, project] = names.block(blocks.len(), stage, within);
                let (number, stride) = (blocks.len(), if within == 0 { stride } else { 1 });
                let width = |layers: &LayoutBuilder, pair: &Pair, or| layers.width(&pair[0]).unwrap_or(or);
                let inner = if number == 0 { inputs } else { width(&layers, &expand, 6 * inputs) };
                let outputs = width(&layers, &project, inputs);
                let expand = match number {
                    0 => None,
                    _ => Some(unit(&mut layers, &expand, [inner, inputs, 1], 1, Activation::Relu6)?),
                };
                let depthwise = unit(&mut layers, &depthwise, [inner, 0, 3], stride, Activation::Relu6)?;
                let project = unit(&mut layers, &project, [outputs, inner, 1], 1, Activation::None)?;
                let residual = stride == 1 && inputs == outputs;
                blocks.push(Block { expand, depthwise, project, residual });
                inputs = outputs;
            }
        }
        let last_names = names.last(blocks.len());
        let features = layers.width(&last_names[0]).unwrap_or(1280);
        let last = unit(&mut layers, &last_names, [features, inputs, 1], 1, Activation::Relu6)?;
        let layout = Arc::new(layers.head(names.head(), features, config.labels()?)?);
        Ok(Self { layout, stem, blocks, last, padding, input: config.images(channels, 224)? })
    }

    /// What it reads.
    pub fn input(&self) -> InputSpec {
        self.input.clone()
    }

    fn apply<O: Ops>(
        &self,
        ops: &mut O,
        x: &O::Value,
        grid: &mut Grid,
        unit: &Unit,
        residual: Option<&O::Value>,
    ) -> Result<O::Value, runtime::Error> {
        let window = match self.padding {
            Padding::Even => Window::square(unit.size, unit.stride, unit.size / 2),
            Padding::Same => Window::same(unit.size, unit.stride, *grid),
        };
        let y = ops.conv_norm(x, *grid, &ConvNorm { conv: unit.conv, window, norm: unit.norm }, residual)?;
        *grid = window.output(*grid);
        Ok(y)
    }
}

impl Network for MobileNetV2 {
    fn architecture(&self) -> &str {
        "mobilenet_v2"
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn features<O: Ops>(&self, ops: &mut O, input: &Input) -> Result<O::Value, runtime::Error> {
        let (x, mut grid) = images::pixels(ops, &self.input, input)?;
        let mut h = self.apply(ops, &x, &mut grid, &self.stem, None)?;
        for block in &self.blocks {
            h = ops.cut(h);
            let expanded = match &block.expand {
                Some(expand) => Some(self.apply(ops, &h, &mut grid, expand, None)?),
                None => None,
            };
            let inner = self.apply(ops, expanded.as_ref().unwrap_or(&h), &mut grid, &block.depthwise, None)?;
            drop(expanded);
            h = self.apply(ops, &inner, &mut grid, &block.project, block.residual.then_some(&h))?;
        }
        let h = self.apply(ops, &h, &mut grid, &self.last, None)?;
        Ok(ops.mean_rows(h, &grid.segments(), 0))
    }
}
