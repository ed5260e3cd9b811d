//! An adapter that is being made.

use super::Error;
use crate::base::Base;
use crate::format::{Adapter, Digest, Draft, Encoding, Role, Shape, Summary, TensorDraft};
use crate::runtime::{Layout, Network, Param, Settings};

/// What a new adapter says of itself.
pub(super) struct About<'a> {
    pub(super) task: &'a str,
    pub(super) method: &'a str,
    pub(super) labels: &'a [String],
    pub(super) settings: &'a Settings,
    pub(super) summary: Summary,
}

/// One tensor of a new adapter.
pub(super) struct Made {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) encoding: Encoding,
    pub(super) shape: Shape,
    /// Of the base's tensor of that name, where it has one.
    pub(super) digest: Option<Digest>,
    /// What is written: values, or factors.
    pub(super) numbers: Vec<f32>,
}

impl Made {
    /// In f32; the shape is that of `param`, with `first` in the place of its first dimension for a head.
    pub(super) fn new(
        base: &Base,
        param: &Param,
        role: Role,
        first: Option<usize>,
        numbers: Vec<f32>,
    ) -> Result<Self, Error> {
        let mut dims: Vec<u32> = param.shape.iter().map(|&size| size as u32).collect();
        if let (Some(first), Some(dim)) = (first, dims.first_mut()) {
            *dim = first as u32;
        }
        let digest = param.tensor.map(|id| base.digest(id));
        let (name, shape) = (param.name.clone(), Shape::new(&dims)?);
        Ok(Self { name, role, encoding: Encoding::F32, shape, digest, numbers })
    }
}

/// The file of a new adapter.
pub(super) fn file(
    base: &Base,
    network: &impl Network,
    about: &About<'_>,
    mut tensors: Vec<Made>,
) -> Result<Vec<u8>, Error> {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let drafts: Vec<TensorDraft<'_>> = tensors
        .iter()
        .map(|Made { name, role, encoding, shape, digest, numbers }| TensorDraft {
            name,
            role: *role,
            encoding: *encoding,
            shape: shape.clone(),
            base: *digest,
            values: numbers,
        })
        .collect();
    let labels: Vec<&str> = about.labels.iter().map(String::as_str).collect();
    let draft = Draft {
        task: about.task,
        architecture: network.architecture(),
        method: about.method,
        base: base.fingerprint(),
        content: base.content(),
        summary: about.summary,
        labels: &labels,
        settings: &about.settings.drafts(),
        tensors: &drafts,
    };
    let mut bytes = vec![0; draft.encoded_len()?];
    draft.encode(&mut bytes)?;
    Ok(bytes)
}

/// The file of `adapter` with other tensors.
pub(super) fn remade(
    base: &Base,
    network: &impl Network,
    adapter: &Adapter<'_>,
    tensors: Vec<Made>,
) -> Result<Vec<u8>, Error> {
    let labels: Vec<String> = adapter.labels().map(str::to_owned).collect();
    let (task, method, summary) = (adapter.task(), adapter.method(), adapter.summary());
    let settings = &Settings::of_adapter(adapter);
    file(base, network, &About { task, method, labels: &labels, settings, summary }, tensors)
}

/// A summary of a task with `active` layers of a network.
pub(super) fn summary(layout: &Layout, active: usize, cap: Option<usize>) -> Summary {
    Summary {
        active_layers: active as u32,
        layers: layout.tapped().count() as u32,
        max_active_layers: cap.map(|cap| cap as u32),
        ..Summary::default()
    }
}
