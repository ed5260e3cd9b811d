//! Activations computed again, without numbers.

use std::rc::Rc;

use super::backward::LayerGrad;
use super::ledger::Buffer;
use super::sketch::{Node, Sketch, Sketched, keep};
use crate::runtime::stretch::back_through;
use crate::runtime::{Error, Input, LayerId, Network};

/// What is kept at a cut, and whether a gradient flows to it.
pub(super) struct Cut {
    data: Rc<Buffer>,
    flows: bool,
}

impl Sketch<'_> {
    pub(super) fn sketch_cut(&mut self, x: Sketched) -> Sketched {
        let Some(cuts) = &mut self.cuts else { return x };
        let cut = Cut { data: keep(&x.data), flows: x.node.is_some() };
        drop(x);
        self.nodes.clear();
        let start = start(&mut self.nodes, &cut);
        cuts.push(cut);
        start
    }

    /// Walks back through all of `network` as [`Tape::backward_again`](crate::train::Tape::backward_again) does; `sink`
    /// gets the gradients.
    ///
    /// # Errors
    /// If the input does not fit the network.
    pub(super) fn backward(
        mut self,
        network: &impl Network,
        input: &Input,
        output: &Sketched,
        gradient: Buffer,
        sink: &mut dyn FnMut(LayerId, LayerGrad),
    ) -> Result<(), Error> {
        let cuts = self.cuts.take().unwrap_or_default();
        let (outline, ledger, workspace) = (self.outline, self.ledger, self.workspace);
        let gradient = self.walk(output, gradient, sink);
        let begin = |cut: Option<&Cut>| {
            let mut tape = Sketch::tape(outline, ledger, workspace);
            let start = cut.map(|cut| start(&mut tape.nodes, cut));
            (tape, start)
        };
        let walk = |tape: Sketch<'_>, output: Sketched, dy| Ok(tape.walk(&output, dy, sink));
        back_through(network, input, cuts, gradient, begin, walk)
    }
}

fn start(nodes: &mut Vec<Node>, cut: &Cut) -> Sketched {
    let node = cut.flows.then(|| {
        nodes.push(Node::Start);
        nodes.len() - 1
    });
    Sketched { data: cut.data.clone(), node, norm: None }
}
