//! Where a run computes: on the processor, or on a device to which the base has been uploaded. What is trained, its
//! optimizer and everything that is decided stay on the host.

#[cfg(feature = "candle")]
use std::sync::Arc;

use super::backward::LayerGrad;
use super::tape::{Moments, Tape};
use super::{Config, Error};
use crate::base::Base;
#[cfg(feature = "candle")]
use crate::device::{self, DeviceBase, DeviceEval, DeviceGrad, DeviceMoments, DeviceTape, DeviceTask};
use crate::kernels::{Tensor, Workspace};
use crate::runtime::{self, Arithmetic, Input, LayerId, Network, Processor, Weights};
#[cfg(feature = "candle")]
use crate::runtime::{Layout, Ops};

/// What a run computes on.
#[derive(Clone)]
pub(super) enum Place {
    Host,
    #[cfg(feature = "candle")]
    Device(Arc<DeviceBase>, Arc<Layout>),
}

/// Weights where they are computed with.
pub(super) enum Ready<'w, W> {
    Host(&'w W),
    #[cfg(feature = "candle")]
    Device(DeviceTask),
}

/// How gradients are formed.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) wanted: &'a [bool],
    pub(super) batch_statistics: bool,
    pub(super) recompute: bool,
}

impl Place {
    /// Opens what the settings name, and uploads the base to it.
    pub(super) fn open(base: &Base, network: &impl Network, config: &Config) -> Result<Self, Error> {
        match config.processor {
            Processor::Cpu => Ok(Place::Host),
            processor => there(base, network, processor, config.arithmetic),
        }
    }

    /// Whether it is not the processor.
    pub(super) fn is_device(&self) -> bool {
        !matches!(self, Place::Host)
    }

    /// Refuses settings that only the processor can keep.
    pub(super) fn check(&self, config: &Config) -> Result<(), Error> {
        match config.budget.max_memory {
            Some(limit) if self.is_device() => Err(Error::Setting {
                name: "max_memory",
                found: limit.to_string(),
                expected: "none on a device, where memory is not predicted; a smaller micro_batch or recompute keep it down",
            }),
            _ => Ok(()),
        }
    }

    /// A device to which the base of `network` has been uploaded.
    #[cfg(feature = "candle")]
    pub(super) fn on(base: &Arc<DeviceBase>, network: &impl Network) -> Self {
        Place::Device(base.clone(), network.layout().clone())
    }

    /// Brings there what of `weights` is not the base's.
    pub(super) fn ready<'w, W: Weights>(&self, weights: &'w W) -> Result<Ready<'w, W>, Error> {
        match self {
            Place::Host => Ok(Ready::Host(weights)),
            #[cfg(feature = "candle")]
            Place::Device(base, layout) => Ok(Ready::Device(DeviceTask::of(weights, layout, base)?)),
        }
    }
}

#[cfg(feature = "candle")]
fn there(base: &Base, network: &impl Network, processor: Processor, arithmetic: Arithmetic) -> Result<Place, Error> {
    let device = device::open(processor)?;
    if device.is_cpu() {
        return host(arithmetic);
    }
    let base = DeviceBase::upload_as(base, network.layout(), &device, arithmetic)?;
    Ok(Place::on(&Arc::new(base), network))
}

#[cfg(not(feature = "candle"))]
fn there(_: &Base, _: &impl Network, processor: Processor, arithmetic: Arithmetic) -> Result<Place, Error> {
    match processor {
        Processor::Cuda | Processor::Metal => Err(Error::NotBuilt { name: processor.name() }),
        Processor::Cpu | Processor::Auto => host(arithmetic),
    }
}

/// The processor, where no device is.
fn host(arithmetic: Arithmetic) -> Result<Place, Error> {
    match arithmetic {
        Arithmetic::F32 => Ok(Place::Host),
        _ => {
            Err(Error::Setting { name: "arithmetic", found: arithmetic.name().to_owned(), expected: "f32 on the CPU" })
        }
    }
}

impl<W: Weights> Ready<'_, W> {
    /// What the head reads, by a pass of evaluation.
    pub(super) fn features(
        &self,
        network: &impl Network,
        input: &Input,
        workspace: &Workspace,
    ) -> Result<Tensor, Error> {
        match self {
            Ready::Host(weights) => Ok(runtime::features(network, *weights, input, workspace)?),
            #[cfg(feature = "candle")]
            Ready::Device(task) => evaluated_there(task, workspace, |ops| network.features(ops, input)),
        }
    }

    /// Class scores by a pass of evaluation.
    pub(super) fn logits(&self, network: &impl Network, input: &Input, workspace: &Workspace) -> Result<Tensor, Error> {
        match self {
            Ready::Host(weights) => Ok(runtime::logits(network, *weights, input, workspace)?),
            #[cfg(feature = "candle")]
            Ready::Device(task) => evaluated_there(task, workspace, |ops| network.logits(ops, input)),
        }
    }

    /// A pass there and, where the loss that `loss` gives is a number, back by its gradient. Returns the loss and what
    /// batch normalizations saw; `sink` gets the gradients of each wanted layer, once for each use of it.
    pub(super) fn learn(
        &self,
        network: &impl Network,
        input: &Input,
        workspace: &Workspace,
        way: Way<'_>,
        loss: impl FnOnce(&Tensor) -> (f32, Tensor),
        sink: &mut dyn FnMut(LayerId, LayerGrad),
    ) -> Result<(f32, Vec<(Moments, usize)>), Error> {
        match self {
            Ready::Host(weights) => {
                weights.layout().base().check_whole()?;
                let mut tape = Tape::new(*weights, way.wanted, workspace);
                if way.batch_statistics {
                    tape = tape.with_batch_statistics();
                }
                if way.recompute {
                    tape = tape.with_recomputation();
                }
                let logits = network.logits(&mut tape, input)?;
                let (loss, gradient) = loss(logits.values());
                let moments = tape.take_moments();
                if loss.is_finite() {
                    tape.backward_again(network, input, &logits, gradient, sink)?;
                }
                Ok((loss, moments))
            }
            #[cfg(feature = "candle")]
            Ready::Device(task) => learn_there(network, input, workspace, way, task, loss, &mut |layer, gradient| {
                let (weight, bias) = gradient.fetch()?;
                sink(layer, LayerGrad { weight, bias });
                Ok(())
            }),
        }
    }

    /// As [`Ready::learn`], of whose gradients no more than the squared norm of each is wanted. Returns the loss.
    pub(super) fn norms(
        &self,
        network: &impl Network,
        input: &Input,
        workspace: &Workspace,
        way: Way<'_>,
        loss: impl FnOnce(&Tensor) -> (f32, Tensor),
        sink: &mut dyn FnMut(LayerId, f32),
    ) -> Result<f32, Error> {
        match self {
            Ready::Host(_) => {
                let mut norm = |layer, gradient: LayerGrad| sink(layer, gradient.squared_norm());
                Ok(self.learn(network, input, workspace, way, loss, &mut norm)?.0)
            }
            #[cfg(feature = "candle")]
            Ready::Device(task) => {
                let mut norm = |layer, gradient: &DeviceGrad| {
                    sink(layer, gradient.squared_norm()?);
                    Ok(())
                };
                Ok(learn_there(network, input, workspace, way, task, loss, &mut norm)?.0)
            }
        }
    }
}

/// What a batch normalization saw on a device, and the rows that it is over.
#[cfg(feature = "candle")]
pub(super) fn fetched(seen: &DeviceMoments) -> Result<(Moments, usize), Error> {
    let [mean, variance] = seen.fetch()?;
    Ok((Moments { layer: seen.layer, mean, variance }, seen.rows))
}

/// What a pass of evaluation gives on a device.
#[cfg(feature = "candle")]
fn evaluated_there<'t>(
    task: &'t DeviceTask,
    workspace: &'t Workspace,
    pass: impl FnOnce(&mut DeviceEval<'t>) -> Result<<DeviceEval<'t> as Ops>::Value, runtime::Error>,
) -> Result<Tensor, Error> {
    let mut ops = DeviceEval::new(task, workspace);
    let value = pass(&mut ops)?;
    Ok(ops.receive(value)?)
}

/// A pass there and back on a device; `each` gets the gradients of layers where they are.
#[cfg(feature = "candle")]
fn learn_there(
    network: &impl Network,
    input: &Input,
    workspace: &Workspace,
    way: Way<'_>,
    task: &DeviceTask,
    loss: impl FnOnce(&Tensor) -> (f32, Tensor),
    each: &mut dyn FnMut(LayerId, &DeviceGrad) -> Result<(), device::Error>,
) -> Result<(f32, Vec<(Moments, usize)>), Error> {
    let mut tape = DeviceTape::new(task, way.wanted, workspace);
    if way.batch_statistics {
        tape = tape.with_batch_statistics();
    }
    if way.recompute {
        tape = tape.with_recomputation();
    }
    let output = network.logits(&mut tape, input)?;
    let (loss, gradient) = loss(&tape.receive(&output)?);
    let moments = tape.take_moments().iter().map(fetched).collect::<Result<_, _>>()?;
    if loss.is_finite() {
        let mut failed = Ok(());
        let mut sink = |layer, gradient| {
            if failed.is_ok() {
                failed = each(layer, &gradient);
            }
        };
        tape.backward(network, input, &output, &gradient, &mut sink).and(failed)?;
    }
    Ok((loss, moments))
}
