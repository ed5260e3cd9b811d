//! Any of the networks, chosen by the base's `config.json` or by name.

use std::sync::Arc;

use super::config::Config;
use super::{Bert, DenseNet, Error, InputSpec, MobileNetV2, Options, ResNet, ResNetCifar, Vit};
use crate::base::Base;
use crate::graph::{Backend, Graph, Output, Var};
use crate::runtime::{Input, Layout, Network, Settings};

/// A network whose architecture the base's `config.json` names.
pub enum Model {
    /// A sentence encoder.
    Bert(Bert),
    /// A vision transformer.
    Vit(Vit),
    /// A residual network for photographs.
    ResNet(ResNet),
    /// A residual network for small images.
    ResNetCifar(ResNetCifar),
    /// A densely connected network.
    DenseNet(DenseNet),
    /// A network of inverted residuals.
    MobileNetV2(MobileNetV2),
}

/// The same call of whichever network it is.
macro_rules! each {
    ($model:expr, $network:ident => $call:expr) => {
        match $model {
            Model::Bert($network) => $call,
            Model::Vit($network) => $call,
            Model::ResNet($network) => $call,
            Model::ResNetCifar($network) => $call,
            Model::DenseNet($network) => $call,
            Model::MobileNetV2($network) => $call,
        }
    };
}

impl Model {
    /// Names [`Options::architecture`] may have, and `config.json`.
    pub const KNOWN: &str = "bert, vit, deit, resnet, resnet18, resnet34, resnet50, resnet101, resnet152, resnet_cifar, \
        densenet, densenet121, densenet161, densenet169, densenet201, densenet_bc, mobilenet_v2, and timm's names of these";

    /// Finds the network of a base by its `config.json`: `model_type` as transformers writes it, or
    /// `architecture` as timm does.
    ///
    /// # Errors
    /// If there is no configuration, the architecture is unknown, or the base does not fit it.
    pub fn open(base: &Base) -> Result<Self, Error> {
        Self::open_with(base, &Options::default())
    }

    /// As [`Model::open`], with what the caller decides.
    ///
    /// # Errors
    /// As [`Model::open`], and if the network cannot be as the caller wants it.
    pub fn open_with(base: &Base, options: &Options) -> Result<Self, Error> {
        let config = Config::of(base, options)?;
        let architecture = config.architecture()?;
        // timm adds how a network was trained after a point, as resnet50.a1_in1k.
        let name = architecture.split('.').next().unwrap_or_default();
        let depth = |family: &str| name.strip_prefix(family).and_then(|depth| depth.parse().ok());
        let model = match name {
            "bert" => Model::Bert(Bert::open(base, &config)?),
            "resnet" => Model::ResNet(ResNet::open(base, &config, None)?),
            "resnet18" | "resnet34" | "resnet50" | "resnet101" | "resnet152" => {
                Model::ResNet(ResNet::open(base, &config, depth("resnet"))?)
            }
            "resnet_cifar" => Model::ResNetCifar(ResNetCifar::open(base, &config)?),
            "densenet" | "densenet_bc" => Model::DenseNet(DenseNet::open(base, &config, None)?),
            "densenet121" | "densenet161" | "densenet169" | "densenet201" => {
                Model::DenseNet(DenseNet::open(base, &config, depth("densenet"))?)
            }
            "mobilenet_v2" => Model::MobileNetV2(MobileNetV2::open(base, &config)?),
            _ if name.starts_with("mobilenetv2_") => Model::MobileNetV2(MobileNetV2::open(base, &config)?),
            "vit" | "deit" => Model::Vit(Vit::open(base, &config, architecture)?),
            _ if name.starts_with("vit_") || name.starts_with("deit_") => {
                Model::Vit(Vit::open(base, &config, architecture)?)
            }
            _ => {
                let (base, architecture) = (base.path().to_owned(), architecture.to_owned());
                return Err(Error::Unknown { base, architecture, known: Self::KNOWN });
            }
        };
        match (options, model.input()) {
            (Options { image_size: Some(_), .. }, InputSpec::Tokens(_)) => Err(config.unused("an image size", "texts")),
            (Options { pooling: Some(_), .. }, InputSpec::Images(_)) => Err(config.unused("a pooling", "images")),
            _ => Ok(model),
        }
    }

    /// What of the checkpoint was left out, in sentences for people to read; most have nothing.
    pub fn notes(&self) -> &[String] {
        match self {
            Model::Bert(bert) => bert.notes(),
            _ => &[],
        }
    }

    /// What it reads.
    pub fn input(&self) -> InputSpec {
        each!(self, network => network.input())
    }
}

impl Network for Model {
    fn architecture(&self) -> &str {
        each!(self, network => network.architecture())
    }

    fn layout(&self) -> &Arc<Layout> {
        each!(self, network => network.layout())
    }

    fn settings(&self) -> Settings {
        each!(self, network => network.settings())
    }

    fn checkpoint_class(&self, has_head: bool) -> Option<&'static str> {
        each!(self, network => network.checkpoint_class(has_head))
    }

    fn checkpoint_files(&self) -> Vec<(&'static str, Option<serde_json::Value>)> {
        each!(self, network => network.checkpoint_files())
    }

    fn stem<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        each!(self, network => network.stem(graph, input))
    }

    fn blocks(&self) -> usize {
        each!(self, network => network.blocks())
    }

    fn block<B: Backend>(&self, graph: &mut Graph<'_, B>, index: usize, x: Var<B>, input: &Input) -> Output<B> {
        each!(self, network => network.block(graph, index, x, input))
    }

    fn tail<B: Backend>(&self, graph: &mut Graph<'_, B>, x: Var<B>, input: &Input) -> Output<B> {
        each!(self, network => network.tail(graph, x, input))
    }
}
