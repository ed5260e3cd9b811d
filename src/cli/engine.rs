//! What predicts: the runtime on the processor, or the one on a device.

use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::Error;
use super::adapter_file::AdapterFile;
#[cfg(feature = "candle")]
use crate::device::{self, DeviceBase, DeviceRuntime, DeviceTask};
use crate::format::Digest;
use crate::kernels::Workspace;
use crate::models::Model;
#[cfg(feature = "candle")]
use crate::runtime::Network;
use crate::runtime::{
    Arithmetic, Examples, Input, Labelled, Prediction, Processor, Runtime, Score, Task, Weights, evaluate,
};
#[cfg(not(feature = "candle"))]
use crate::train;

/// What is computed on.
#[derive(Args)]
pub(super) struct DeviceArgs {
    /// What to compute on
    #[arg(long, value_enum, default_value_t = DeviceArg::Cpu)]
    device: DeviceArg,
    /// The numbers that a device computes in
    #[arg(long, value_enum, default_value_t = ArithmeticArg::F32)]
    arithmetic: ArithmeticArg,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ArithmeticArg {
    /// As the processor does
    F32,
    /// 16 bits with the range of f32
    Bf16,
    /// 16 bits with a smaller range
    F16,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeviceArg {
    /// The processor
    Cpu,
    /// NVIDIA's GPU, in a program built with the feature of that name
    Cuda,
    /// Apple's GPU, likewise
    Metal,
    /// A GPU where there is one, and else the processor
    Auto,
}

impl DeviceArgs {
    pub(super) fn processor(&self) -> Processor {
        match self.device {
            DeviceArg::Cpu => Processor::Cpu,
            DeviceArg::Cuda => Processor::Cuda,
            DeviceArg::Metal => Processor::Metal,
            DeviceArg::Auto => Processor::Auto,
        }
    }
}

impl DeviceArgs {
    pub(super) fn arithmetic(&self) -> Arithmetic {
        match self.arithmetic {
            ArithmeticArg::F32 => Arithmetic::F32,
            ArithmeticArg::Bf16 => Arithmetic::Bf16,
            ArithmeticArg::F16 => Arithmetic::F16,
        }
    }
}

/// A base with the tasks that a command was given.
pub(super) enum Engine<'m> {
    Host(Runtime<&'m Model>, Vec<Arc<Task>>),
    #[cfg(feature = "candle")]
    Device(DeviceRuntime<&'m Model>, Vec<Arc<DeviceTask>>),
}

/// A class and its probability for each example.
pub(super) type Classes = Vec<(String, f32)>;

impl<'m> Engine<'m> {
    /// Loads the adapters; without any, the base itself is the one task.
    pub(super) fn open(runtime: Runtime<&'m Model>, adapters: &[AdapterFile], on: &DeviceArgs) -> Result<Self, Error> {
        #[cfg(feature = "candle")]
        {
            let device = device::open(on.processor())?;
            if !device.is_cpu() {
                let (host, layout) = (runtime.base(), Network::layout(runtime.network()));
                let base = DeviceBase::upload_as(host, layout, &device, on.arithmetic())?;
                let runtime = DeviceRuntime::over(runtime, Arc::new(base))?;
                let load = |file: &AdapterFile| runtime.load_bytes(&file.bytes, &file.origin());
                let mut tasks = adapters.iter().map(load).collect::<Result<Vec<_>, _>>()?;
                if tasks.is_empty() {
                    tasks.push(runtime.base_task().clone());
                }
                return Ok(Engine::Device(runtime, tasks));
            }
        }
        #[cfg(not(feature = "candle"))]
        if let processor @ (Processor::Cuda | Processor::Metal) = on.processor() {
            return Err(train::Error::NotBuilt { name: processor.name() }.into());
        }
        if on.arithmetic() != Arithmetic::F32 {
            return Err(Error::Usage("--arithmetic is for a --device; the processor computes in f32".to_owned()));
        }
        let load = |file: &AdapterFile| runtime.load_bytes(&file.bytes, &file.origin());
        let mut tasks = adapters.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        if tasks.is_empty() {
            tasks.push(runtime.base_task().clone());
        }
        Ok(Engine::Host(runtime, tasks))
    }

    /// How many tasks there are.
    pub(super) fn tasks(&self) -> usize {
        match self {
            Engine::Host(_, tasks) => tasks.len(),
            #[cfg(feature = "candle")]
            Engine::Device(_, tasks) => tasks.len(),
        }
    }

    /// Name, labels and digest of a task.
    pub(super) fn task(&self, number: usize) -> (&str, &[String], Option<Digest>) {
        match self {
            Engine::Host(_, tasks) => (tasks[number].name(), tasks[number].labels(), tasks[number].digest()),
            #[cfg(feature = "candle")]
            Engine::Device(_, tasks) => (tasks[number].name(), tasks[number].labels(), tasks[number].digest()),
        }
    }

    /// Switches to a task and predicts.
    pub(super) fn predict(&self, number: usize, input: &Input) -> Result<Classes, Error> {
        match self {
            Engine::Host(runtime, tasks) => {
                runtime.switch(&tasks[number])?;
                Ok(classes(&runtime.predict(input)?))
            }
            #[cfg(feature = "candle")]
            Engine::Device(runtime, tasks) => {
                runtime.switch(&tasks[number])?;
                Ok(classes(&runtime.predict(input)?))
            }
        }
    }

    /// How well a task does on all examples.
    pub(super) fn score(&self, number: usize, examples: &dyn Examples, threads: usize) -> Result<Score, Error> {
        const BATCH: usize = 64;
        let all: Vec<usize> = (0..examples.len()).collect();
        match self {
            Engine::Host(runtime, tasks) => {
                Ok(evaluate(runtime.network(), &*tasks[number], examples, &all, BATCH, &Workspace::new(threads))?)
            }
            #[cfg(feature = "candle")]
            Engine::Device(runtime, tasks) => Ok(runtime.score(&tasks[number], examples, &all, BATCH)?),
        }
    }
}

fn classes<T: Labelled>(prediction: &Prediction<T>) -> Classes {
    let class = |index| (prediction.label(index).to_owned(), prediction.class(index).1);
    (0..prediction.logits().rows()).map(class).collect()
}
