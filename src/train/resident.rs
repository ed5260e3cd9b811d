//! Steps whose deltas and optimizer stay on the device: the host sees no more of a step than its loss, the norm of its
//! gradients, and what normalizations by the batch saw.

use super::Error;
use super::adapted::{Adapted, Step};
use super::run::Run;
#[cfg(feature = "candle")]
use super::{adapted::pace, config::Norms, optimizer::Optimizer, place::Place, place::fetched};
#[cfg(feature = "candle")]
use crate::device::{self, DeviceDeltas, Trained};
#[cfg(feature = "candle")]
use crate::gpu::Rule;
use crate::graph::Moments;
#[cfg(feature = "candle")]
use crate::graph::{Gpu, Graph, Rows, Tensors};
#[cfg(feature = "candle")]
use crate::kernels::Precision;
use crate::runtime::Network;
#[cfg(feature = "candle")]
use crate::runtime::{self, Part};

/// What is trained of a task, on a device; without devices there is none.
#[cfg(feature = "candle")]
pub(super) struct Resident(DeviceDeltas);
#[cfg(not(feature = "candle"))]
pub(super) enum Resident {}

/// What came of a step.
pub(super) struct Stepped {
    /// Mean loss, without the penalty.
    pub(super) loss: f32,
    /// What batch normalizations saw.
    pub(super) moments: Vec<Moments>,
    /// Whether it changed anything.
    pub(super) done: bool,
}

#[cfg(feature = "candle")]
impl Resident {
    /// Copies what is trained back into `adapted`, from which it came.
    pub(super) fn write_back(&self, adapted: &mut Adapted) -> Result<(), Error> {
        let mut rows = Vec::new();
        self.0.fetch(|layer, part, states| rows.push((layer, part, states.map(<[f32]>::to_vec))))?;
        for (layer, part, [values, first, second]) in rows {
            if let Some(param) = adapted.trained_mut(layer, part) {
                param.values = values;
                param.state.set_floats([first, second]);
            }
        }
        Ok(())
    }
}

#[cfg(feature = "candle")]
impl<N: Network> Run<'_, N> {
    /// Brings what is trained to the device that the run computes on. None where it computes on the host, and where the host
    /// has to see the gradients: of layers under gates, and for running means in few bits.
    pub(super) fn resident(&self, adapted: &Adapted) -> Result<Option<Resident>, Error> {
        let Place::Device(base, layout) = &self.place else { return Ok(None) };
        if adapted.gated().next().is_some() || self.config.states != Precision::F32 {
            return Ok(None);
        }
        let config = self.config;
        let trained = adapted.trained().map(|(layer, part, param)| {
            let rates = [1.0, config.head_rate / config.rate, config.decay];
            let pace = pace(layout.layer(layer).kind, part == Part::Weight, rates);
            let means = param.state.floats();
            Trained { layer, part, is_delta: param.is_delta(), values: &param.values, means, pace }
        });
        let trained: Vec<Trained<'_>> = trained.collect();
        let deltas = DeviceDeltas::upload(adapted, &trained, config.optimizer.means(), layout, base)?;
        Ok(Some(Resident(deltas)))
    }

    /// One step of forward, backward and update on the device.
    pub(super) fn step_there(
        &self,
        there: &mut Resident,
        wanted: &[bool],
        batch: &[usize],
        step: Step,
    ) -> Result<Stepped, Error> {
        let deltas = &mut there.0;
        let mut stepped = Stepped { loss: 0.0, moments: Vec::new(), done: false };
        let by_batch = self.config.resolved_norms(self.network.layout()) == Norms::Statistics;
        for (part, share, seed) in self.parts(batch) {
            let varied = self.varied(part, seed)?;
            let graph = Graph::new(deltas.task().backend(&self.workspace), wanted);
            let mut graph = graph.with_batch_statistics(by_batch).with_recomputation(self.sizes.recompute);
            let logits = self.network.logits(&mut graph, &varied.input)?;
            for seen in graph.take_moments() {
                stepped.moments.push(fetched(&seen)?);
            }
            let (labels, first) = varied.pairs();
            let numbers = [first, self.config.smoothing, share];
            let [losses, gradient] = cross_entropy(graph.backend(), logits.value(), &labels, numbers)?;
            let mut add = |layer, gradient| deltas.add(layer, gradient);
            runtime::backward(self.network, &varied.input, graph, &logits, gradient.into(), &mut add)?;
            // The device is waited for here alone.
            stepped.loss +=
                share * losses.mean_all().and_then(|mean| mean.to_scalar::<f32>()).map_err(device::Error::from)?;
        }
        let norm = deltas.squared_norm()?.sqrt();
        stepped.done = stepped.loss.is_finite() && norm.is_finite();
        match stepped.done {
            true => deltas.update(rule(step.optimizer, step.number), [step.rate, step.clipped(norm)])?,
            false => deltas.drop_gradients(),
        }
        Ok(stepped)
    }
}

/// The cross-entropy of class scores against two labels of each example and its gradient, on the device: the first label
/// counts for `share` and the second for the rest, `smoothing` of the probability is spread over all classes, and the gradient
/// is times `factor`.
#[cfg(feature = "candle")]
fn cross_entropy(
    gpu: &Gpu<'_>,
    logits: &Rows,
    labels: &[[u32; 2]],
    [share, smoothing, factor]: [f32; 3],
) -> Result<[candle_core::Tensor; 2], device::Error> {
    let [examples, classes] = Gpu::dims(logits);
    if labels.len() != examples || labels.iter().flatten().any(|&label| label as usize >= classes) {
        let message = format!("labels of {} examples for class scores [{examples}, {classes}]", labels.len());
        return Err(runtime::Error::Input { message }.into());
    }
    Ok(gpu.cross_entropy(logits, labels.as_flattened(), [share, smoothing, factor])?)
}

#[cfg(feature = "candle")]
fn rule(optimizer: Optimizer, step: u32) -> Rule {
    match optimizer {
        Optimizer::AdamW => Rule::AdamW { betas: Optimizer::BETAS, eps: Optimizer::EPS, step },
        Optimizer::Sgd { momentum } => Rule::Momentum(momentum),
    }
}

#[cfg(not(feature = "candle"))]
impl Resident {
    pub(super) fn write_back(&self, _: &mut Adapted) -> Result<(), Error> {
        match *self {}
    }
}

#[cfg(not(feature = "candle"))]
impl<N: Network> Run<'_, N> {
    pub(super) fn resident(&self, _: &Adapted) -> Result<Option<Resident>, Error> {
        Ok(None)
    }

    pub(super) fn step_there(&self, there: &mut Resident, _: &[bool], _: &[usize], _: Step) -> Result<Stepped, Error> {
        match *there {}
    }
}
