//! Any of the networks, chosen by the base's `config.json`.

use std::sync::Arc;

use super::config::Config;
use super::{Bert, Error, Vit};
use crate::base::Base;
use crate::runtime::{self, Images, Input, Layout, Network, Ops};

/// A network whose architecture the base's `config.json` names.
pub enum Model {
    /// `"model_type": "bert"`.
    Bert(Bert),
    /// `"model_type": "vit"`.
    Vit(Vit),
}

/// What a network reads.
#[derive(Clone, Debug, PartialEq)]
pub enum InputSpec {
    /// Token sequences of up to `max` tokens.
    Tokens {
        /// Longest sequence.
        max: usize,
    },
    /// Square images.
    Images {
        /// Colour channels.
        channels: usize,
        /// Height and width in pixels.
        size: usize,
        /// Mean of each channel, of values 0 to 1.
        mean: Vec<f32>,
        /// Deviation of each channel.
        std: Vec<f32>,
    },
}

impl InputSpec {
    /// The images of an input, if they are as specified.
    pub(super) fn images<'i>(&self, input: &'i Input) -> Result<&'i Images, runtime::Error> {
        let wrong = |message: String| runtime::Error::Input { message };
        let InputSpec::Images { channels, size, .. } = self else {
            return Err(wrong("this base reads text".to_owned()));
        };
        let Input::Images(images) = input else {
            return Err(wrong("this base reads images, and the input is text".to_owned()));
        };
        let (found, expected) = ([images.channels, images.height, images.width], [*channels, *size, *size]);
        if found != expected || images.pixels.len() != images.batch * found.iter().product::<usize>() {
            return Err(wrong(format!(
                "{} values for {} images [channels, height, width] = {found:?}, and the base reads {expected:?}",
                images.pixels.len(),
                images.batch
            )));
        }
        Ok(images)
    }
}

impl Model {
    /// Finds the network of a base by the `model_type` of its `config.json`.
    ///
    /// # Errors
    /// If there is no configuration, the type is unknown, or the base does not fit it.
    pub fn open(base: &Base) -> Result<Self, Error> {
        let config = Config::of(base)?;
        match config.text("model_type")? {
            "bert" => Bert::open(base).map(Model::Bert),
            "vit" => Vit::open(base).map(Model::Vit),
            _ => Err(config.wrong("model_type", "bert or vit")),
        }
    }

    /// What it reads.
    pub fn input(&self) -> InputSpec {
        match self {
            Model::Bert(bert) => bert.input(),
            Model::Vit(vit) => vit.input(),
        }
    }
}

impl Network for Model {
    fn architecture(&self) -> &str {
        match self {
            Model::Bert(bert) => bert.architecture(),
            Model::Vit(vit) => vit.architecture(),
        }
    }

    fn layout(&self) -> &Arc<Layout> {
        match self {
            Model::Bert(bert) => bert.layout(),
            Model::Vit(vit) => vit.layout(),
        }
    }

    fn features<O: Ops>(&self, ops: &mut O, input: &Input) -> Result<O::Value, runtime::Error> {
        match self {
            Model::Bert(bert) => bert.features(ops, input),
            Model::Vit(vit) => vit.features(ops, input),
        }
    }
}
