//! Activations computed again on the way back (Chen et al. 2016, arXiv 1604.06174): of a network only the values at its
//! cuts are kept, and of what lies between no more than one stretch at a time.

use std::sync::Arc;

use super::backward::LayerGrad;
use super::tape::{Node, Recorded, Tape};
use crate::kernels::Tensor;
use crate::runtime::stretch::back_through;
use crate::runtime::{Error, Input, LayerId, Network, Weights};

/// Values at a cut, and whether a gradient flows to them.
pub(super) struct Cut {
    data: Arc<Tensor>,
    flows: bool,
}

impl<W: Weights> Tape<'_, W> {
    pub(super) fn record_cut(&mut self, x: Recorded) -> Recorded {
        let Some(cuts) = &mut self.cuts else { return x };
        let cut = Cut { data: x.data, flows: x.node.is_some() };
        self.nodes.clear();
        let start = start(&mut self.nodes, &cut);
        cuts.push(cut);
        start
    }

    /// As [`Tape::backward`], through all of `network`: what was recorded before its last cut is recorded again, stretch by
    /// stretch.
    ///
    /// # Errors
    /// As [`Tape::backward`].
    pub fn backward_again(
        mut self,
        network: &impl Network,
        input: &Input,
        output: &Recorded,
        gradient: Tensor,
        sink: &mut dyn FnMut(LayerId, LayerGrad),
    ) -> Result<(), Error> {
        let cuts = self.cuts.take().unwrap_or_default();
        let anew = self.anew();
        let gradient = self.walk(output, gradient, sink, &mut |_| {})?;
        let begin = |cut: Option<&Cut>| {
            let mut tape = anew();
            let start = cut.map(|cut| start(&mut tape.nodes, cut));
            (tape, start)
        };
        let walk = |tape: Tape<'_, W>, output: Recorded, dy| tape.walk(&output, dy, sink, &mut |_| {});
        back_through(network, input, cuts, gradient, begin, walk)
    }
}

impl<'a, W: Weights> Tape<'a, W> {
    /// Makes empty tapes that record as this one does.
    fn anew(&self) -> impl Fn() -> Tape<'a, W> + use<'a, W> {
        let (weights, wanted, workspace) = (self.weights, self.wanted, self.workspace);
        let batch_statistics = self.batch_statistics;
        move || Tape { batch_statistics, ..Tape::new(weights, wanted, workspace) }
    }
}

/// The values at a cut, as what comes after it starts with them.
fn start(nodes: &mut Vec<Node>, cut: &Cut) -> Recorded {
    let node = cut.flows.then(|| {
        nodes.push(Node::Start);
        nodes.len() - 1
    });
    Recorded { data: cut.data.clone(), node, norm: None }
}
