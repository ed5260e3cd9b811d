//! What a model provides so that it can be run and trained.

use std::sync::Arc;

use super::{Input, Layout, Settings};
use crate::graph::{self, Backend, Graph, Output, Sink, Var};

/// A network: its layers, and how data flows through them, written once for all backends.
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

    /// What comes before the blocks: makes of an input what the first block reads.
    ///
    /// # Errors
    /// If the input is not of the network's kind or size.
    fn stem<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B>;

    /// Number of blocks, which follow one another.
    fn blocks(&self) -> usize;

    /// One block. Of all that was computed before it reads `x` alone, the result of what comes before it, so that the
    /// backward pass may compute it again from there.
    ///
    /// # Errors
    /// If the task lacks a layer.
    fn block<B: Backend>(&self, graph: &mut Graph<'_, B>, index: usize, x: Var<B>, input: &Input) -> Output<B>;

    /// What comes after the blocks: what the classification head reads, `[examples, features]`.
    ///
    /// # Errors
    /// If the task lacks a layer.
    fn tail<B: Backend>(&self, graph: &mut Graph<'_, B>, x: Var<B>, input: &Input) -> Output<B>;

    /// Stem, blocks and tail: what the classification head reads, `[examples, features]`.
    ///
    /// # Errors
    /// As [`Network::stem`].
    fn features<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        let mut x = self.stem(graph, input)?;
        for index in 0..self.blocks() {
            x = graph.checkpoint(x);
            x = self.block(graph, index, x, input)?;
        }
        self.tail(graph, x, input)
    }

    /// Class scores: `[examples, classes]`.
    ///
    /// # Errors
    /// As [`Network::features`], and if the task has no head.
    fn logits<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        let features = self.features(graph, input)?;
        graph.linear(&features, self.layout().head())
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

    fn stem<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        (**self).stem(graph, input)
    }

    fn blocks(&self) -> usize {
        (**self).blocks()
    }

    fn block<B: Backend>(&self, graph: &mut Graph<'_, B>, index: usize, x: Var<B>, input: &Input) -> Output<B> {
        (**self).block(graph, index, x, input)
    }

    fn tail<B: Backend>(&self, graph: &mut Graph<'_, B>, x: Var<B>, input: &Input) -> Output<B> {
        (**self).tail(graph, x, input)
    }
}

/// Walks back through all of `network` from the `output` that it gave for `input`, with `gradient` of the same shape: what
/// was recorded before its last checkpoint is recorded again, block by block. `sink` gets the gradients of each wanted layer,
/// from the last layer to the first, and once for each use of a layer.
///
/// # Errors
/// What the backend or `sink` refuses.
pub fn backward<'a, B: Backend + 'a>(
    network: &impl Network,
    input: &Input,
    mut graph: Graph<'a, B>,
    output: &Var<B>,
    gradient: B::Tensor,
    sink: Sink<'_, B>,
) -> graph::Result<(), B> {
    let mut checkpoints = graph.take_checkpoints();
    let mut gradient = graph.walk(output, gradient, sink)?;
    while let (Some(dy), Some(end)) = (gradient.take(), checkpoints.pop()) {
        // Its values are the result of what is computed again.
        drop(end);
        let output = match checkpoints.last() {
            Some(start) => {
                let x = graph.resume(start);
                network.block(&mut graph, checkpoints.len() - 1, x, input)?
            }
            None => network.stem(&mut graph, input)?,
        };
        // What batch normalizations see a second time has been told before.
        drop(graph.take_moments());
        gradient = graph.walk(&output, dy, sink)?;
    }
    Ok(())
}
