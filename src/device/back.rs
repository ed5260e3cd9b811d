//! The way back through a pass on a device, some of which may be computed again for it.

use candle_core::Tensor;

use super::Error;
use super::kernels;
use super::tape::{Back, DeviceGrad, DeviceTape, Traced};
use crate::kernels::Tensor as HostTensor;
use crate::runtime::stretch::back_through;
use crate::runtime::{self, Input, LayerId, Network};

impl<'a> DeviceTape<'a> {
    /// Walks back from the `output` that `network` gave for `input`, with `gradient` of the same shape; `sink` gets the
    /// gradients of each wanted layer, once for each use of it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn backward(
        self,
        network: &impl Network,
        input: &Input,
        output: &Traced,
        gradient: &HostTensor,
        sink: &mut dyn FnMut(LayerId, DeviceGrad),
    ) -> Result<(), Error> {
        let gradient = self.eval.task.base().send(gradient, &[gradient.rows(), gradient.cols()])?;
        self.again(network, input, output, gradient, sink)
    }

    /// As [`DeviceTape::backward`] from class scores `[examples, classes]`, by their mean cross-entropy against two labels of
    /// each example: the first counts for `share` and the second for the rest, `smoothing` of the probability is spread over
    /// all classes, and the gradient is times `factor`. Returns the mean, for which alone the device is waited for.
    ///
    /// # Errors
    /// What the device refused first.
    pub fn backward_by_labels(
        mut self,
        network: &impl Network,
        input: &Input,
        output: &Traced,
        labels: &[[u32; 2]],
        [share, smoothing, factor]: [f32; 3],
        sink: &mut dyn FnMut(LayerId, DeviceGrad),
    ) -> Result<f32, Error> {
        let logits = self.eval.take(output.value.clone())?;
        let classes = logits.dim(1)?;
        if labels.len() != logits.dim(0)? || labels.iter().flatten().any(|&label| label as usize >= classes) {
            let message = format!("labels of {} examples for class scores {:?}", labels.len(), logits.dims());
            return Err(runtime::Error::Input { message }.into());
        }
        let labels = self.eval.task.base().send_rows(labels.as_flattened())?;
        let [losses, gradient] = kernels::cross_entropy(&logits, &labels, [share, smoothing, factor])?;
        self.again(network, input, output, gradient, sink)?;
        Ok(losses.mean_all()?.to_scalar()?)
    }

    pub(super) fn record_cut(&mut self, x: Traced) -> Traced {
        let Some(cuts) = &mut self.cuts else { return x };
        cuts.push(x.clone());
        self.steps.clear();
        self.start(x)
    }

    /// The values at a cut, as what comes after it starts with them.
    fn start(&mut self, cut: Traced) -> Traced {
        let start = self.record(cut.value, cut.node.is_some(), |_, _| Ok(()));
        self.starts = start.node.is_some();
        start
    }

    /// Makes empty tapes that record as this one does.
    fn anew(&self) -> impl Fn() -> DeviceTape<'a> + use<'a> {
        let (task, workspace) = (self.eval.task, self.eval.workspace);
        let (wanted, batch_statistics) = (self.wanted, self.batch_statistics);
        move || DeviceTape { batch_statistics, ..DeviceTape::new(task, wanted, workspace) }
    }

    /// Walks back through all of `network`: what was recorded before its last cut is recorded again, stretch by stretch.
    fn again(
        mut self,
        network: &impl Network,
        input: &Input,
        output: &Traced,
        gradient: Tensor,
        sink: &mut dyn FnMut(LayerId, DeviceGrad),
    ) -> Result<(), Error> {
        let cuts = self.cuts.take().unwrap_or_default();
        let anew = self.anew();
        let gradient = self.walk(output, gradient, sink)?;
        let begin = |cut: Option<&Traced>| {
            let mut tape = anew();
            let start = cut.cloned().map(|cut| tape.start(cut));
            (tape, start)
        };
        let walk = |mut tape: DeviceTape<'_>, output: Traced, dy| {
            tape.eval.take(output.value.clone())?;
            Ok(tape.walk(&output, dy, sink)?)
        };
        back_through(network, input, cuts, gradient, begin, walk)
    }

    /// Walks back through what is recorded; returns the gradient of what it started with, where one flows to it.
    fn walk(
        self,
        output: &Traced,
        gradient: Tensor,
        sink: &mut dyn FnMut(LayerId, DeviceGrad),
    ) -> candle_core::Result<Option<Tensor>> {
        let first = usize::from(self.starts);
        let mut back = Back { gradients: vec![None; self.steps.len()], sink };
        back.flow(output.node, gradient)?;
        for (node, step) in self.steps.into_iter().enumerate().skip(first).rev() {
            if let Some(dy) = back.gradients[node].take() {
                step(&dy, &mut back)?;
            }
        }
        Ok(back.gradients.into_iter().take(first).flatten().next())
    }
}
