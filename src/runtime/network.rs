//! What a model provides so that it can be run and trained.

use std::sync::Arc;

use super::{Error, Input, Layout, Ops};

/// A network: its layers, and how data flows through them, written once for all implementations of
/// [`Ops`].
pub trait Network: Send + Sync {
    /// Name of the architecture, as adapters state it.
    fn architecture(&self) -> &str;

    /// Its layers, in order.
    fn layout(&self) -> &Arc<Layout>;

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

    fn features<O: Ops>(&self, ops: &mut O, input: &Input) -> Result<O::Value, Error> {
        (**self).features(ops, input)
    }
}
