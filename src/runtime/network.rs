//! What a model provides so that it can be run and trained.

use std::sync::Arc;

use super::{Error, Input, Layout, Ops, Settings};

/// A network: its layers, and how data flows through them, written once for all implementations of
/// [`Ops`].
pub trait Network: Send + Sync {
    /// Name of the architecture, as adapters state it.
    fn architecture(&self) -> &str;

    /// Its layers, in order.
    fn layout(&self) -> &Arc<Layout>;

    /// What it computes with beside the base's tensors and cannot be told from them, as the number of attention heads, and
    /// how its inputs are to become numbers. An adapter is bound to it.
    fn settings(&self) -> Settings {
        Settings::default()
    }

    /// The class of transformers that computes this network, with a head or without one; none where its files are not of
    /// transformers' making.
    fn checkpoint_class(&self, has_head: bool) -> Option<&'static str> {
        let _ = has_head;
        None
    }

    /// What a checkpoint needs beside `config.json` to be opened as this network is: files by their path in the folder, and
    /// without content those that it must not have.
    fn checkpoint_files(&self) -> Vec<(&'static str, Option<serde_json::Value>)> {
        Vec::new()
    }

    /// What the classification head reads: `[examples, features]`.
    ///
    /// # Errors
    /// If the input is not of the network's kind or size.
    fn features<O: Ops>(&self, ops: &mut O, input: &Input) -> Result<O::Value, Error>;

    /// Class scores: `[examples, classes]`.
    ///
    /// # Errors
    /// As [`Network::features`], and if the task has no head.
    fn logits<O: Ops>(&self, ops: &mut O, input: &Input) -> Result<O::Value, Error> {
        let features = self.features(ops, input)?;
        ops.linear(&features, self.layout().head())
    }
}

impl<N: Network> Network for &N {
    fn architecture(&self) -> &str {
        (**self).architecture()
    }

    fn layout(&self) -> &Arc<Layout> {
        (**self).layout()
    }

    fn settings(&self) -> Settings {
        (**self).settings()
    }

    fn checkpoint_class(&self, has_head: bool) -> Option<&'static str> {
        (**self).checkpoint_class(has_head)
    }

    fn checkpoint_files(&self) -> Vec<(&'static str, Option<serde_json::Value>)> {
        (**self).checkpoint_files()
    }

    fn features<O: Ops>(&self, ops: &mut O, input: &Input) -> Result<O::Value, Error> {
        (**self).features(ops, input)
    }
}
