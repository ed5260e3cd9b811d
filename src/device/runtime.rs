//! A base and its tasks on a device, and the one that is current.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use candle_core::Device;

use super::{DeviceBase, DeviceEval, DeviceTask, Error};
use crate::kernels::{self, Workspace};
use crate::runtime::landing::Landing;
use crate::runtime::{self, Examples, Input, Network, Prediction, Runtime, Score, score};

/// As [`Runtime`], with base and tasks in the memory of a device.
pub struct DeviceRuntime<N> {
    host: Runtime<N>,
    base: Arc<DeviceBase>,
    base_task: Arc<DeviceTask>,
    current: ArcSwap<DeviceTask>,
    workspace: Workspace,
}

impl<N: Network> DeviceRuntime<N> {
    /// Uploads the base of a runtime, which goes on to check and merge adapters.
    ///
    /// # Errors
    /// If the device refuses a tensor.
    pub fn new(host: Runtime<N>, device: &Device) -> Result<Self, Error> {
        let base = Arc::new(DeviceBase::upload(host.base(), host.network().layout(), device)?);
        Self::over(host, base)
    }

    /// The same over a base that is on the device already, that of `host`.
    ///
    /// # Errors
    /// If the device refuses a tensor.
    pub fn over(host: Runtime<N>, base: Arc<DeviceBase>) -> Result<Self, Error> {
        let layout = host.network().layout();
        let base_task = Arc::new(DeviceTask::upload(host.base_task(), layout, &base)?);
        let current = ArcSwap::new(base_task.clone());
        Ok(Self { host, base, base_task, current, workspace: Workspace::default() })
    }

    /// The runtime on the host.
    pub fn host(&self) -> &Runtime<N> {
        &self.host
    }

    /// The base on the device.
    pub fn base(&self) -> &Arc<DeviceBase> {
        &self.base
    }

    /// The base as a task, to switch back to.
    pub fn base_task(&self) -> &Arc<DeviceTask> {
        &self.base_task
    }

    /// Reads an adapter file, checks it against the base, uploads its layers and merges them there. The current task stays.
    ///
    /// # Errors
    /// As [`Runtime::load`], and if the device refuses a tensor.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Arc<DeviceTask>, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| runtime::Error::Io { path: path.to_owned(), source })?;
        self.load_bytes(&bytes, &path.display().to_string())
    }

    /// As [`DeviceRuntime::load`], from memory; `origin` names the adapter in messages.
    ///
    /// # Errors
    /// As [`DeviceRuntime::load`].
    pub fn load_bytes(&self, bytes: &[u8], origin: &str) -> Result<Arc<DeviceTask>, Error> {
        let (base, network) = (self.host.base(), self.host.network());
        let landing = Landing::new(base, network, &self.host.parsed(bytes, origin)?, origin)?;
        DeviceTask::land(landing, network.layout(), &self.base, base, origin).map(Arc::new)
    }

    /// Makes `task` current and returns the one that was: one exchange of a pointer, as [`Runtime::switch`].
    #[inline]
    pub fn switch(&self, task: &Arc<DeviceTask>) -> Arc<DeviceTask> {
        self.current.swap(task.clone())
    }

    /// The current task, kept for as long as the caller likes.
    #[inline]
    pub fn pin(&self) -> Arc<DeviceTask> {
        self.current.load_full()
    }

    /// Class scores of `input` by the current task.
    ///
    /// # Errors
    /// If the input is not of the network's kind or size, the task has no head, or the device fails.
    pub fn predict(&self, input: &Input) -> Result<Prediction<DeviceTask>, Error> {
        self.predict_as(self.pin(), input)
    }

    /// Class scores of `input` by a given task, whichever is current.
    ///
    /// # Errors
    /// As [`DeviceRuntime::predict`].
    pub fn predict_as(&self, task: Arc<DeviceTask>, input: &Input) -> Result<Prediction<DeviceTask>, Error> {
        let logits = self.logits(&task, input)?;
        Ok(Prediction::new(task, logits))
    }

    /// How well a task does on the examples `indices`, `batch` at once.
    ///
    /// # Errors
    /// As [`DeviceRuntime::predict`].
    pub fn score(
        &self,
        task: &DeviceTask,
        examples: &dyn Examples,
        indices: &[usize],
        batch: usize,
    ) -> Result<Score, Error> {
        score(examples, indices, batch, &self.workspace, |input| self.logits(task, input))
    }

    fn logits(&self, task: &DeviceTask, input: &Input) -> Result<kernels::Tensor, Error> {
        let mut ops = DeviceEval::new(task, &self.workspace);
        let logits = self.host.network().logits(&mut ops, input).map_err(Error::from);
        let logits = logits.and_then(|logits| ops.receive(logits));
        if logits.is_err() {
            // What was begun still reads the task's tensors, which another thread may let go of. Of the two failures the first
            // is told.
            let _ = self.base.wait();
        }
        logits
    }
}
