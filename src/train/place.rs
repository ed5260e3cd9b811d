//! Where a run computes: on the processor, or on a device to which the base has been uploaded. What is trained, its
//! optimizer and everything that is decided stay on the host.

#[cfg(feature = "candle")]
use std::sync::Arc;

use super::{Config, Error};
use crate::base::Base;
#[cfg(feature = "candle")]
use crate::device::{self, DeviceBase, DeviceTask};
use crate::graph::{self, Backend, Graph, Host, LayerGrad, Moments, Sink};
#[cfg(feature = "candle")]
use crate::graph::{Gpu, Rows};
use crate::kernels::{Tensor, Workspace};
#[cfg(feature = "candle")]
use crate::runtime::Layout;
use crate::runtime::{self, Arithmetic, Input, LayerId, Network, Processor, Weights};

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
pub(super) struct BackwardOptions<'a> {
    pub(super) wanted: &'a [bool],
    pub(super) batch_statistics: bool,
    pub(super) recompute: bool,
}

impl<'a> BackwardOptions<'a> {
    pub(super) fn graph<B: Backend + 'a>(self, backend: B) -> Graph<'a, B> {
        let graph = Graph::new(backend, self.wanted);
        graph.with_batch_statistics(self.batch_statistics).with_recomputation(self.recompute)
    }
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
            Ready::Device(task) => {
                let mut graph = Graph::eval(task.backend(workspace));
                Ok(device::fetch(network.features(&mut graph, input)?.value())?)
            }
        }
    }

    /// Class scores by a pass of evaluation.
    pub(super) fn logits(&self, network: &impl Network, input: &Input, workspace: &Workspace) -> Result<Tensor, Error> {
        match self {
            Ready::Host(weights) => Ok(runtime::logits(network, *weights, input, workspace)?),
            #[cfg(feature = "candle")]
            Ready::Device(task) => {
                let mut graph = Graph::eval(task.backend(workspace));
                Ok(device::fetch(network.logits(&mut graph, input)?.value())?)
            }
        }
    }

    /// A forward pass and, where the loss that `loss` gives is a number, a backward pass from its gradient. Returns the loss
    /// and what batch normalizations saw; `sink` gets the gradients of each wanted layer, once for each use of it.
    pub(super) fn learn(
        &self,
        network: &impl Network,
        input: &Input,
        workspace: &Workspace,
        options: BackwardOptions<'_>,
        loss: impl FnOnce(&Tensor) -> (f32, Tensor),
        sink: &mut dyn FnMut(LayerId, LayerGrad),
    ) -> Result<(f32, Vec<Moments>), Error> {
        match self {
            Ready::Host(weights) => {
                weights.layout().base().check_whole()?;
                let graph = options.graph(Host::new(*weights, workspace));
                let mut sink = |layer, gradient| {
                    sink(layer, gradient);
                    Ok(())
                };
                Ok(learn(network, input, graph, |logits| Ok(loss(logits)), &mut sink)?)
            }
            #[cfg(feature = "candle")]
            Ready::Device(task) => {
                let mut sink = |layer, LayerGrad { weight, bias }: LayerGrad<Rows>| {
                    let (weight, bias) = (device::fetch(&weight)?, bias.as_ref().map(device::fetch).transpose()?);
                    sink(layer, LayerGrad { weight, bias });
                    Ok(())
                };
                learn_there(network, input, options.graph(task.backend(workspace)), loss, &mut sink)
            }
        }
    }

    /// As [`Ready::learn`], of whose gradients no more than the squared norm of each is wanted. Returns the loss.
    pub(super) fn norms(
        &self,
        network: &impl Network,
        input: &Input,
        workspace: &Workspace,
        options: BackwardOptions<'_>,
        loss: impl FnOnce(&Tensor) -> (f32, Tensor),
        sink: &mut dyn FnMut(LayerId, f32),
    ) -> Result<f32, Error> {
        match self {
            Ready::Host(_) => {
                let mut norm = |layer, gradient: LayerGrad| sink(layer, gradient.squared_norm());
                Ok(self.learn(network, input, workspace, options, loss, &mut norm)?.0)
            }
            #[cfg(feature = "candle")]
            Ready::Device(task) => {
                let mut norm = |layer, LayerGrad { weight, bias }: LayerGrad<Rows>| {
                    sink(layer, weight.squared_norm()? + bias.as_ref().map_or(Ok(0.0), Rows::squared_norm)?);
                    Ok(())
                };
                Ok(learn_there(network, input, options.graph(task.backend(workspace)), loss, &mut norm)?.0)
            }
        }
    }
}

/// A loss, and what batch normalizations saw.
type Learned<T> = (f32, Vec<Moments<T>>);

/// A forward and a backward pass on any backend, the latter where the loss is a number.
pub(super) fn learn<'a, B: Backend + 'a>(
    network: &impl Network,
    input: &Input,
    mut graph: Graph<'a, B>,
    loss: impl FnOnce(&B::Tensor) -> graph::Result<(f32, B::Tensor), B>,
    sink: Sink<'_, B>,
) -> graph::Result<Learned<B::Tensor>, B> {
    let logits = network.logits(&mut graph, input)?;
    let (loss, gradient) = loss(logits.value())?;
    let moments = graph.take_moments();
    if loss.is_finite() {
        runtime::backward(network, input, graph, &logits, gradient, sink)?;
    }
    Ok((loss, moments))
}

/// [`learn`] on a device, with a loss that is computed on the host.
#[cfg(feature = "candle")]
fn learn_there<'a>(
    network: &impl Network,
    input: &Input,
    graph: Graph<'a, Gpu<'a>>,
    loss: impl FnOnce(&Tensor) -> (f32, Tensor),
    sink: Sink<'_, Gpu<'a>>,
) -> Result<(f32, Vec<Moments>), Error> {
    let memory = graph.backend().memory();
    let loss = |logits: &Rows| {
        let (loss, gradient) = loss(&device::fetch(logits)?);
        Ok((loss, memory.send(&gradient, &[gradient.rows(), gradient.cols()])?.into()))
    };
    let (loss, moments) = learn(network, input, graph, loss, sink)?;
    Ok((loss, moments.iter().map(fetched).collect::<Result<_, _>>()?))
}

/// What a batch normalization saw on a device.
#[cfg(feature = "candle")]
pub(super) fn fetched(seen: &Moments<Rows>) -> Result<Moments, device::Error> {
    let (mean, variance) = (device::fetch(&seen.mean)?, device::fetch(&seen.variance)?);
    Ok(Moments { layer: seen.layer, mean, variance, rows: seen.rows })
}
