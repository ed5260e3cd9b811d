//! A task whose layers are in a device's memory.

use std::sync::Arc;

use candle_core::Tensor;

use super::base::bytes;
use super::{DeviceBase, Error};
use crate::base::Base;
use crate::format::Digest;
use crate::graph::Gpu;
use crate::kernels::Workspace;
use crate::runtime::landing::Landing;
use crate::runtime::{Labelled, LayerId, Layout, Part, Task, WeightRef, Weights};

/// One base in a device's memory seen through one adapter. Immutable once built.
pub struct DeviceTask {
    name: String,
    labels: Vec<String>,
    digest: Option<Digest>,
    layout: Arc<Layout>,
    base: Arc<DeviceBase>,
    /// The task's own tensor, or another handle of the base's.
    slots: Box<[[Option<Tensor>; Part::ALL.len()]]>,
    own_bytes: usize,
}

impl DeviceTask {
    /// Uploads the layers that are a task's own.
    ///
    /// # Errors
    /// If the device refuses a tensor.
    pub fn upload(task: &Task, layout: &Arc<Layout>, base: &Arc<DeviceBase>) -> Result<Self, Error> {
        let (labels, digest) = (task.labels().to_vec(), task.digest());
        Ok(Self { labels, digest, ..Self::of(task, layout, base)? })
    }

    /// Uploads what an adapter that has been checked holds, and merges it on the device where that has a kernel for its
    /// encoding; what else there is of it is merged on the host, which has the base in `host`.
    ///
    /// # Errors
    /// If a value is none that the format allows, or the device refuses a tensor.
    pub(super) fn land(
        landing: Landing<'_>,
        layout: &Arc<Layout>,
        base: &Arc<DeviceBase>,
        host: &Base,
        origin: &str,
    ) -> Result<Self, Error> {
        let mut slots: Box<[_]> = base.layers().into();
        let mut own_bytes = 0;
        for landed in &landing.entries {
            let (layer, part) = (landed.layer.index(), landed.part as usize);
            let merged = match (&base.layers()[layer][part], landed.base) {
                (Some(weight), Some(_)) => {
                    landed.entry.check().map_err(|source| landed.refused(source, origin))?;
                    base.merged(weight, &landed.entry)?
                }
                _ => None,
            };
            let tensor = match merged {
                Some(tensor) => tensor,
                None => {
                    let shape: Vec<usize> = landed.entry.shape.dims().iter().map(|&size| size as usize).collect();
                    base.memory().send(&landed.merged(host, origin)?, &shape)?
                }
            };
            own_bytes += bytes(&tensor);
            slots[layer][part] = Some(tensor);
        }
        base.memory().wait()?;
        let Landing { name, labels, digest, .. } = landing;
        let (digest, layout, base) = (Some(digest), layout.clone(), base.clone());
        Ok(Self { name, labels, digest, layout, base, slots, own_bytes })
    }

    /// Uploads what of any weights is not the base's, as of a task that is being trained.
    ///
    /// # Errors
    /// If the device refuses a tensor.
    pub fn of(weights: &dyn Weights, layout: &Arc<Layout>, base: &Arc<DeviceBase>) -> Result<Self, Error> {
        let this = Self::with(weights, layout, base, |_, _| true)?;
        base.memory().wait()?;
        Ok(this)
    }

    /// The same of those tensors that `is_meant`, for the thread that calls until it has waited.
    pub(super) fn with(
        weights: &dyn Weights,
        layout: &Arc<Layout>,
        base: &Arc<DeviceBase>,
        is_meant: impl Fn(LayerId, Part) -> bool,
    ) -> Result<Self, Error> {
        let mut slots: Box<[_]> = base.layers().into();
        let mut own_bytes = 0;
        let workspace = Workspace::new(1);
        for (id, layer) in layout.layers() {
            for part in Part::ALL.into_iter().filter(|&part| is_meant(id, part)) {
                let weight = match weights.param(id, part) {
                    Some(WeightRef::Base(_)) | None => continue,
                    Some(weight) => weight,
                };
                let values = weight.floats(&workspace);
                let shape = layer.param(part).map(|param| param.shape.clone()).unwrap_or_default();
                let tensor = base.memory().send(&values, &shape_of(&shape, values.len()))?;
                own_bytes += bytes(&tensor);
                slots[id.index()][part as usize] = Some(tensor);
            }
        }
        let (name, layout, base) = (weights.name().to_owned(), layout.clone(), base.clone());
        Ok(Self { name, labels: Vec::new(), digest: None, layout, base, slots, own_bytes })
    }

    /// Whether it is one of this network over this base on the device.
    pub(super) fn is_of(&self, layout: &Arc<Layout>, base: &Arc<DeviceBase>) -> bool {
        Arc::ptr_eq(&self.layout, layout) && Arc::ptr_eq(&self.base, base)
    }

    /// Name of the task, as its adapter states it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Digest of the adapter file; `None` for the base.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Bytes of the device that the task holds beside the base.
    pub fn own_bytes(&self) -> usize {
        self.own_bytes
    }

    /// The base it is over.
    pub fn base(&self) -> &Arc<DeviceBase> {
        &self.base
    }

    /// Puts a tensor in the place of one that is there.
    pub(super) fn set(&mut self, layer: LayerId, part: Part, tensor: Tensor) {
        self.slots[layer.index()][part as usize] = Some(tensor);
    }

    /// What computes with it; `workspace` is for what is made ready on the host.
    pub fn backend<'t>(&'t self, workspace: &'t Workspace) -> Gpu<'t> {
        Gpu::new(&self.slots, &self.layout, &self.name, self.base.memory(), workspace)
    }
}

/// The shape of a tensor of `elements`, whose first dimension is the task's own where the layer is a head.
pub(super) fn shape_of(shape: &[usize], elements: usize) -> Vec<usize> {
    let rest: usize = shape.iter().skip(1).product();
    let first = elements / rest.max(1);
    shape.iter().enumerate().map(|(at, &size)| if at == 0 { first } else { size }).collect()
}

impl Labelled for DeviceTask {
    fn labels(&self) -> &[String] {
        &self.labels
    }
}

impl std::fmt::Debug for DeviceTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceTask")
            .field("name", &self.name)
            .field("own_bytes", &self.own_bytes)
            .finish_non_exhaustive()
    }
}
