//! A base and its tasks on a device, and the one that is current.

use std::path::Path;
use std::sync::Arc;

use super::{Device, DeviceBase, DeviceTask, Error, fetch};
use crate::graph::Graph;
use crate::kernels::{self, Workspace};
use crate::runtime::landing::Landing;
use crate::runtime::{self, Examples, Input, Network, Prediction, Runtime, Score, score};
use arc_swap::ArcSwap;

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
        let bytes = crate::files::read(path).map_err(runtime::Error::from)?;
        self.load_bytes(&bytes, &path.display().to_string())
    }

    /// As [`DeviceRuntime::load`], from memory; `origin` names the adapter in messages.
    ///
    /// # Errors
    /// As [`DeviceRuntime::load`].
    pub fn load_bytes(&self, bytes: &[u8], origin: &str) -> Result<Arc<DeviceTask>, Error> {
        let (base, network) = (self.host.base(), self.host.network());
        let landing = Landing::new(network, &self.host.parsed(bytes, origin)?, origin, self.host.overridden())?;
        DeviceTask::land(landing, network.layout(), &self.base, base, origin).map(Arc::new)
    }

    /// Makes `task` current and returns the one that was: one exchange of a pointer, as [`Runtime::switch`].
    ///
    /// # Errors
    /// [`runtime::Error::OtherBase`] for a task of another base or network, and then the current one stays.
    #[inline]
    pub fn switch(&self, task: &Arc<DeviceTask>) -> Result<Arc<DeviceTask>, Error> {
        self.check(task)?;
        Ok(self.current.swap(task.clone()))
    }

    #[inline]
    fn check(&self, task: &DeviceTask) -> Result<(), Error> {
        match task.is_of(self.host.network().layout(), &self.base) {
            true => Ok(()),
            false => Err(runtime::Error::OtherBase { task: task.name().to_owned() }.into()),
        }
    }

    /// The current task, kept for as long as the caller likes.
    #[inline]
    pub fn pin(&self) -> Arc<DeviceTask> {
        self.current.load_full()
    }

    /// Class scores of `input` by the current task.
    ///
    /// # Errors
    /// If the input is not of the network's kind or size, the task has no head, a score is not finite, or the device fails.
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
        self.check(task)?;
        let mut graph = Graph::eval(task.backend(&self.workspace));
        let logits = self.host.network().logits(&mut graph, input);
        let logits = logits.and_then(|logits| fetch(logits.value()));
        if logits.is_err() {
            // What was begun still reads the task's tensors, which another thread may let go of. Of the two failures the first
            // is told.
            let _ = self.base.memory().wait();
        }
        let logits = logits?;
        match logits.iter().all(|value| value.is_finite()) {
            true => Ok(logits),
            false => Err(self.not_finite(task, input)),
        }
    }

    /// Whose fault it is that scores are not finite: that of what the host finds, or of the device's smaller range.
    fn not_finite(&self, task: &DeviceTask, input: &Input) -> Error {
        let host = runtime::features(self.host.network(), &**self.host.base_task(), input, &self.workspace);
        let whose = match host {
            Err(error) => return error.into(),
            Ok(_) => format!(
                "the task {} gives NaN or infinity on the device; the base does not on the processor",
                task.name()
            ),
        };
        runtime::Error::NotFinite { whose }.into()
    }
}
