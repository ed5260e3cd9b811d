//! Where a forward pass finds the weights of each layer.

use std::ops::Deref;

use super::error::Error;
use super::layout::{LayerId, Layout, Part};
use crate::base::TensorView;
use crate::kernels::{self, Interpolation, Linear, Tensor, Weight, Workspace};

/// The weights of all layers: of a task, or of one that is being trained.
pub trait Weights: Sync {
    /// One tensor of a layer; `None` where there is none, as the head of a base without one.
    fn param(&self, layer: LayerId, part: Part) -> Option<WeightRef<'_>>;

    /// The layers these are the weights of.
    fn layout(&self) -> &Layout;

    /// Name of the task, for messages.
    fn name(&self) -> &str;

    /// The weight of a layer, which only the head of a base without one lacks.
    ///
    /// # Errors
    /// [`Error::NoHead`].
    fn weight(&self, layer: LayerId) -> Result<WeightRef<'_>, Error> {
        self.required(layer, Part::Weight)
    }

    /// One tensor of a layer that has it, which only the head of a base without one lacks.
    ///
    /// # Errors
    /// [`Error::NoHead`].
    fn required(&self, layer: LayerId, part: Part) -> Result<WeightRef<'_>, Error> {
        self.param(layer, part).ok_or_else(|| Error::NoHead { task: self.name().to_owned() })
    }

    /// Weight and bias of a linear layer as f32.
    ///
    /// # Errors
    /// [`Error::NoHead`].
    fn linear(&self, workspace: &Workspace, layer: LayerId) -> Result<LinearFloats<'_>, Error> {
        let bias = self.param(layer, Part::Bias).map(|bias| bias.floats(workspace));
        Ok(LinearFloats { weight: self.weight(layer)?.floats(workspace), bias })
    }

    /// Rows `indices` of the table `layer`: `[indices, features]`, added to `onto` where given.
    ///
    /// # Errors
    /// If an index is outside the table.
    fn gather(
        &self,
        workspace: &Workspace,
        layer: LayerId,
        indices: &[u32],
        onto: Option<Tensor>,
    ) -> Result<Tensor, Error> {
        let table = &self.layout().layer(layer).weight;
        let features = table.shape.last().copied().unwrap_or(1);
        let entries = table.elements() / features;
        if let Some(index) = indices.iter().find(|&&index| index as usize >= entries) {
            let message = format!("{}: entry {index} is outside the table of {entries}", table.name);
            return Err(Error::Input { message });
        }
        match self.weight(layer)? {
            weight @ (WeightRef::Merged(_) | WeightRef::Sum(..) | WeightRef::Absent(_)) => {
                Ok(kernels::gather(workspace, &weight.floats(workspace), features, indices, onto))
            }
            WeightRef::Base(view) => match view.as_f32() {
                Some(values) => Ok(kernels::gather(workspace, values, features, indices, onto)),
                None => {
                    let mut rows = workspace.tensor(indices.len(), features);
                    for (row, &index) in rows.chunks_exact_mut(features).zip(indices) {
                        view.slice(index as usize * features, features).convert_into(row);
                    }
                    if let Some(onto) = onto {
                        kernels::add_assign(&mut rows, &onto);
                    }
                    Ok(rows)
                }
            },
        }
    }

    /// Rows `indices` of the table `layer` after it was interpolated as `map` says, added to `onto`.
    ///
    /// # Errors
    /// If there is no such layer.
    fn gather_interpolated(
        &self,
        workspace: &Workspace,
        layer: LayerId,
        map: &Interpolation,
        indices: &[u32],
        onto: Tensor,
    ) -> Result<Tensor, Error> {
        let table = self.weight(layer)?.floats(workspace);
        let features = onto.cols();
        let rows = kernels::interpolate(workspace, &table, features, map);
        Ok(kernels::gather(workspace, &rows, features, indices, Some(onto)))
    }
}

/// Where a weight's values come from.
#[derive(Clone, Copy, Debug)]
pub enum WeightRef<'a> {
    /// f32 values, of a merged layer.
    Merged(&'a [f32]),
    /// A tensor of the base.
    Base(TensorView<'a>),
    /// A tensor of the base and a delta that is added to it for each use, of a layer that changes all the time. In a dry pass
    /// the delta is empty.
    Sum(TensorView<'a>, &'a [f32]),
    /// So many values that there are none of: of a layer of the task's own in a dry pass.
    Absent(usize),
}

impl<'a> WeightRef<'a> {
    /// Number of values.
    pub fn elements(&self) -> usize {
        match self {
            WeightRef::Merged(values) => values.len(),
            WeightRef::Base(view) | WeightRef::Sum(view, _) => view.elements(),
            WeightRef::Absent(elements) => *elements,
        }
    }

    /// The values as f32: in place, or in scratch for sums and for f16, bf16 and unaligned tensors.
    #[inline]
    pub fn floats(self, workspace: &Workspace) -> Floats<'a> {
        match self {
            WeightRef::Merged(values) => Floats::InPlace(values),
            WeightRef::Sum(view, delta) => {
                let mut sum = workspace.tensor(1, view.elements());
                kernels::add_into(workspace, &mut sum, &WeightRef::Base(view).floats(workspace), delta);
                Floats::Formed(sum)
            }
            WeightRef::Absent(elements) => Floats::Absent(elements),
            WeightRef::Base(view) => match view.as_f32() {
                Some(values) => Floats::InPlace(values),
                None => {
                    let mut scratch = workspace.tensor(1, view.elements());
                    if !workspace.is_dry() {
                        view.convert_into(&mut scratch);
                    }
                    Floats::Formed(scratch)
                }
            },
        }
    }
}

/// The f32 values of a weight.
pub enum Floats<'a> {
    /// Read where they are.
    InPlace(&'a [f32]),
    /// Converted or added up for this use.
    Formed(Tensor),
    /// So many that there are none of.
    Absent(usize),
}

impl Floats<'_> {
    /// As kernels take it.
    pub fn weight(&self) -> Weight<'_> {
        match self {
            Floats::InPlace(values) => (*values).into(),
            Floats::Formed(tensor) => tensor.into(),
            Floats::Absent(elements) => Weight::absent(*elements),
        }
    }
}

/// Weight and bias of a linear layer as f32.
pub struct LinearFloats<'a> {
    weight: Floats<'a>,
    bias: Option<Floats<'a>>,
}

impl LinearFloats<'_> {
    /// The layer as kernels take it.
    pub fn get(&self) -> Linear<'_> {
        Linear { weight: self.weight.weight(), bias: self.bias.as_deref() }
    }
}

impl Deref for Floats<'_> {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        match self {
            Floats::InPlace(values) => values,
            Floats::Formed(tensor) => tensor,
            Floats::Absent(_) => &[],
        }
    }
}
