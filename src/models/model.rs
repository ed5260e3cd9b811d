//! Any of the networks, chosen by the base's `config.json` or by name.

use std::sync::Arc;

use super::config::Config;
use super::{Bert, DenseNet, Error, InputSpec, MobileNetV2, ResNet, ResNetCifar, Vit};
use crate::base::Base;
use crate::runtime::{self, Input, Layout, Network, Ops};

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

/// What the caller decides about a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Its architecture, in place of what `config.json` says.
    pub architecture: Option<String>,
    /// Height and width of the images it is to read, in place of those it was trained on.
    pub image_size: Option<[usize; 2]>,
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
        densenet, densenet121, densenet169, densenet201, densenet_bc, mobilenet_v2, and timm's names of these";

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
    /// As [`Model::open`], and if the network cannot read images of the size that is wanted.
    pub fn open_with(base: &Base, options: &Options) -> Result<Self, Error> {
        let config = Config::of(base, options)?;
        let architecture = config.architecture()?;
        // timm adds how a network was trained after a point, as resnet50.a1_in1k.
        let name = architecture.split('.').next().unwrap_or_default();
        let depth = |family: &str| name.strip_prefix(family).and_then(|depth| depth.parse().ok());
        match name {
            "bert" => Bert::open(base, &config).map(Model::Bert),
            "resnet" => ResNet::open(base, &config, None).map(Model::ResNet),
            "resnet18" | "resnet34" | "resnet50" | "resnet101" | "resnet152" => {
                ResNet::open(base, &config, depth("resnet")).map(Model::ResNet)
            }
            "resnet_cifar" => ResNetCifar::open(base, &config).map(Model::ResNetCifar),
            "densenet" | "densenet_bc" => DenseNet::open(base, &config, None).map(Model::DenseNet),
            "densenet121" | "densenet161" | "densenet169" | "densenet201" => {
                DenseNet::open(base, &config, depth("densenet")).map(Model::DenseNet)
            }
            "mobilenet_v2" => MobileNetV2::open(base, &config).map(Model::MobileNetV2),
            _ if name.starts_with("mobilenetv2_") => MobileNetV2::open(base, &config).map(Model::MobileNetV2),
            "vit" | "deit" => Vit::open(base, &config).map(Model::Vit),
            _ if name.starts_with("vit_") || name.starts_with("deit_") => Vit::open(base, &config).map(Model::Vit),
            _ => {
                let (base, architecture) = (base.path().to_owned(), architecture.to_owned());
                Err(Error::Unknown { base, architecture, known: Self::KNOWN })
            }
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

    fn features<O: Ops>(&self, ops: &mut O, input: &Input) -> Result<O::Value, runtime::Error> {
        each!(self, network => network.features(ops, input))
    }
}
