//! What an adapter file is made of.

use super::error::Error;
use super::tuned_layer::TunedLayer;
use crate::base::Base;
use crate::format::{Digest, Draft, Encoding, Role, Shape, Summary, TensorDraft};
use crate::runtime::{Layer, LayerKind, Layout, Part, Settings};

/// A tuned task's values, and what the file says of them.
pub(super) struct Contents<'a> {
    pub(super) layers: &'a [TunedLayer],
    pub(super) labels: &'a [String],
    pub(super) settings: &'a Settings,
    pub(super) summary: Summary,
    pub(super) method: &'static str,
}

impl Contents<'_> {
    /// The bytes of the file, the weights of active layers in `encoding`. Biases, norms and the head are small and
    /// decide much: they stay f32.
    pub(super) fn encode(
        &self,
        base: &Base,
        architecture: &str,
        layout: &Layout,
        task: &str,
        encoding: Encoding,
    ) -> Result<Vec<u8>, Error> {
        let mut tensors = Vec::new();
        for own in self.layers {
            let layer = layout.layer(own.id);
            for (part, values) in &own.parts {
                let encoding = match part {
                    Part::Weight if layer.kind.is_tapped() => encoding,
                    _ => Encoding::F32,
                };
                let digest = layer.param(*part).and_then(|param| param.tensor).map(|id| base.digest(id));
                tensors.push(draft_tensor(layer, *part, values, encoding, self.labels.len(), digest)?);
            }
        }
        tensors.sort_by(|a, b| a.name.cmp(b.name));
        let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        let draft = Draft {
            task,
            architecture,
            method: self.method,
            base: base.fingerprint(),
            content: base.content(),
            summary: self.summary,
            labels: &labels,
            settings: &self.settings.drafts(),
            tensors: &tensors,
        };
        let mut bytes = vec![0; draft.encoded_len()?];
        draft.encode(&mut bytes)?;
        Ok(bytes)
    }
}

/// One tensor of an adapter; `classes` are those of the task's head, `digest` that of the base tensor it belongs to.
pub(super) fn draft_tensor<'a>(
    layer: &'a Layer,
    part: Part,
    values: &'a [f32],
    encoding: Encoding,
    classes: usize,
    digest: Option<Digest>,
) -> Result<TensorDraft<'a>, Error> {
    let param = layer.param(part).unwrap_or(&layer.weight);
    let mut dims: Vec<u32> = param.shape.iter().map(|&size| size as u32).collect();
    let role = match part {
        Part::Mean | Part::Variance => Role::Statistics,
        _ if layer.kind == LayerKind::Head => Role::Replacement,
        _ => Role::Delta,
    };
    if let (Role::Replacement, Some(first)) = (role, dims.first_mut()) {
        *first = classes as u32;
    }
    Ok(TensorDraft { name: &param.name, role, encoding, shape: Shape::new(&dims)?, base: digest, values })
}
