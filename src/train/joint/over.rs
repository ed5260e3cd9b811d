//! A network over another base than the one it was opened on.

use std::sync::Arc;

use crate::base::Base;
use crate::graph::{Backend, Graph, Output, Var};
use crate::runtime::{Error, Input, Layout, Network, Settings};

/// A network whose layers are found in another base of the same shapes, which may lack the head.
pub(super) struct Over<'a, N> {
    network: &'a N,
    layout: Arc<Layout>,
}

impl<'a, N: Network> Over<'a, N> {
    pub(super) fn new(network: &'a N, base: &Base) -> Result<Self, Error> {
        Ok(Self { network, layout: Arc::new(network.layout().over(base, network.architecture())?) })
    }
}

impl<N: Network> Network for Over<'_, N> {
    fn architecture(&self) -> &str {
        self.network.architecture()
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn settings(&self) -> Settings {
        self.network.settings()
    }

    fn checkpoint_class(&self, has_head: bool) -> Option<&'static str> {
        self.network.checkpoint_class(has_head)
    }

    fn checkpoint_files(&self) -> Vec<(&'static str, Option<serde_json::Value>)> {
        self.network.checkpoint_files()
    }

    fn stem<B: Backend>(&self, graph: &mut Graph<'_, B>, input: &Input) -> Output<B> {
        self.network.stem(graph, input)
    }

    fn blocks(&self) -> usize {
        self.network.blocks()
    }

    fn block<B: Backend>(&self, graph: &mut Graph<'_, B>, index: usize, x: Var<B>, input: &Input) -> Output<B> {
        self.network.block(graph, index, x, input)
    }

    fn tail<B: Backend>(&self, graph: &mut Graph<'_, B>, x: Var<B>, input: &Input) -> Output<B> {
        self.network.tail(graph, x, input)
    }
}
