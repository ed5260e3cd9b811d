//! What an adapter file is made of.

use super::error::Error;
use super::tuned::TunedLayer;
use crate::base::Base;
use crate::format::{Draft, Encoding, Role, Shape, Summary, TensorDraft};
use crate::runtime::{Layer, LayerKind, Layout, Part};

/// A tuned task's values, and what the file says of them.
pub(super) struct Contents<'a> {
    pub(super) layers: &'a [TunedLayer],
    pub(super) labels: &'a [String],
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
                tensors.push(self.tensor(base, layer, *part, values, encoding)?);
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
            tensors: &tensors,
        };
        let mut bytes = vec![0; draft.encoded_len()?];
        draft.encode(&mut bytes)?;
        Ok(bytes)
    }

    fn tensor<'a>(
        &self,
        base: &Base,
        layer: &'a Layer,
        part: Part,
        values: &'a [f32],
        encoding: Encoding,
    ) -> Result<TensorDraft<'a>, Error> {
        let param = layer.param(part).unwrap_or(&layer.weight);
        let mut dims: Vec<u32> = param.shape.iter().map(|&size| size as u32).collect();
        let role = match part {
            Part::Mean | Part::Variance => Role::Statistics,
            _ if layer.kind == LayerKind::Head => Role::Replacement,
            _ => Role::Delta,
        };
        if let (Role::Replacement, Some(classes)) = (role, dims.first_mut()) {
            *classes = self.labels.len() as u32;
        }
        let base = param.tensor.map(|id| base.digest(id));
        Ok(TensorDraft { name: &param.name, role, encoding, shape: Shape::new(&dims)?, base, values })
    }
}
