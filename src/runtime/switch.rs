//! The runtime: one base, the network over it, and the task that is current.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Error, Input, Network, Prediction, Task, Weights, logits};
use crate::base::Base;
use crate::files;
use crate::format::Adapter;
#[cfg(feature = "sign")]
use crate::format::PublicKey;
use crate::kernels::Workspace;

/// One base, its network, and the task that new forward passes use.
///
/// Shared by reference between threads: any of them may predict, load and switch at any time.
pub struct Runtime<N> {
    network: N,
    base_task: Arc<Task>,
    current: ArcSwap<Task>,
    workspace: Workspace,
    /// Names of settings in which adapters may differ from the network.
    overridden: Box<[&'static str]>,
    #[cfg(feature = "sign")]
    trusted: Option<Box<[PublicKey]>>,
}

/// The current task as a short-lived borrow; see [`Runtime::current`].
pub struct Current(arc_swap::Guard<Arc<Task>>);

impl Deref for Current {
    type Target = Task;

    #[inline]
    fn deref(&self) -> &Task {
        &self.0
    }
}

impl<N: Network> Runtime<N> {
    /// A runtime whose current task is the base of the network itself.
    pub fn new(network: N) -> Self {
        let base_task = Arc::new(Task::of_base(&network));
        Self {
            current: ArcSwap::new(base_task.clone()),
            base_task,
            network,
            workspace: Workspace::default(),
            overridden: Box::default(),
            #[cfg(feature = "sign")]
            trusted: None,
        }
    }

    /// The same with forward passes of up to `threads` threads.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.workspace = Workspace::new(threads);
        self
    }

    /// The same that also loads adapters that were made with other [`Settings`](super::Settings) of these names, as another
    /// size of images, than the network is open with. What they compute is then not what they were trained for.
    pub fn with_overridden(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        self.overridden = names.into_iter().collect();
        self
    }

    /// Names of settings in which adapters may differ from the network.
    #[cfg(feature = "candle")]
    pub(crate) fn overridden(&self) -> &[&'static str] {
        &self.overridden
    }

    /// The same that loads only adapters signed by one of these keys. A task that was built otherwise may still be switched
    /// to.
    #[cfg(feature = "sign")]
    pub fn with_trusted(mut self, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        self.trusted = Some(keys.into_iter().collect());
        self
    }

    /// The base.
    pub fn base(&self) -> &Base {
        self.network.layout().base()
    }

    /// The network.
    pub fn network(&self) -> &N {
        &self.network
    }

    /// The base as a task, to switch back to.
    pub fn base_task(&self) -> &Arc<Task> {
        &self.base_task
    }

    /// Reads an adapter file, checks it against the base and merges its layers. The current task stays.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, was made for another base, or is not signed as it must be: the error says
    /// which.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Arc<Task>, Error> {
        let path = path.as_ref();
        let bytes = files::read(path)?;
        self.load_bytes(&bytes, &path.display().to_string())
    }

    /// As [`Runtime::load`], from memory; `origin` names the adapter in messages.
    ///
    /// # Errors
    /// As [`Runtime::load`].
    pub fn load_bytes(&self, bytes: &[u8], origin: &str) -> Result<Arc<Task>, Error> {
        let adapter = self.parsed(bytes, origin)?;
        Task::build_despite(&self.network, &adapter, origin, &self.overridden).map(Arc::new)
    }

    /// An adapter whose file is whole, and signed as it must be.
    pub(crate) fn parsed<'a>(&self, bytes: &'a [u8], origin: &str) -> Result<Adapter<'a>, Error> {
        let refuse = |source| Error::Format { origin: origin.to_owned(), source };
        let adapter = Adapter::parse(bytes).map_err(refuse)?;
        #[cfg(feature = "sign")]
        if let Some(keys) = &self.trusted {
            adapter.verify(keys).map_err(refuse)?;
        }
        Ok(adapter)
    }

    /// Makes `task` current and returns the one that was. Forward passes under way go on with the task
    /// they started with.
    ///
    /// One exchange of a pointer: no copy, no lock, no system call, and no allocation but for a node of
    /// bookkeeping at a thread's first use. The earlier task is freed when its last holder drops it,
    /// which may be the caller, by dropping what this returns.
    ///
    /// # Errors
    /// [`Error::OtherBase`] for a task of another base or network, and then the current one stays.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use taps::runtime::{Error, Network, Runtime, Task};
    /// fn with_base<N: Network>(runtime: &Runtime<N>, work: impl FnOnce()) -> Result<(), Error> {
    ///     let before = runtime.switch(runtime.base_task())?;
    ///     work();
    ///     runtime.switch(&before)?;
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn switch(&self, task: &Arc<Task>) -> Result<Arc<Task>, Error> {
        self.check(task)?;
        Ok(self.current.swap(task.clone()))
    }

    /// That a task is of this network.
    #[inline]
    fn check(&self, task: &Task) -> Result<(), Error> {
        match task.is_of(self.network.layout()) {
            true => Ok(()),
            false => Err(Error::OtherBase { task: task.name().to_owned() }),
        }
    }

    /// The current task as a borrow, the fastest way to look at it. Not to be stored: a thread has only
    /// a few fast ones at a time. [`Runtime::pin`] keeps a task.
    #[inline]
    pub fn current(&self) -> Current {
        Current(self.current.load())
    }

    /// The current task, kept for as long as the caller likes.
    #[inline]
    pub fn pin(&self) -> Arc<Task> {
        self.current.load_full()
    }

    /// Class scores of `input` by the current task.
    ///
    /// # Errors
    /// If the input is not of the network's kind or size, the task has no head or a score is not finite.
    pub fn predict(&self, input: &Input) -> Result<Prediction, Error> {
        self.predict_as(self.pin(), input)
    }

    /// Class scores of `input` by a given task, whichever is current.
    ///
    /// # Errors
    /// As [`Runtime::predict`], and [`Error::OtherBase`] for a task of another base or network.
    pub fn predict_as(&self, task: Arc<Task>, input: &Input) -> Result<Prediction, Error> {
        self.check(&task)?;
        let logits = logits(&self.network, &*task, input, &self.workspace)?;
        Ok(Prediction::new(task, logits))
    }
}
