//! Where a forward pass finds the weights of each layer.

use std::ops::Deref;

use super::error::Error;
use super::layout::{LayerId, Layout, Part};
use crate::base::TensorView;
use crate::kernels::{self, Linear, Tensor, Weight, Workspace};

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

    /// Weight and bias of a linear layer.
    ///
    /// # Errors
    /// [`Error::NoHead`].
    fn linear(&self, workspace: &Workspace, layer: LayerId) -> Result<LinearWeights<'_>, Error> {
        let bias = self.param(layer, Part::Bias).map(|bias| bias.floats(workspace));
        Ok(LinearWeights { weight: self.weight(layer)?.matrix(workspace), bias })
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

    /// The values as kernels read them: in the numbers they are stored in, or summed in scratch.
    #[inline]
    pub fn matrix(self, workspace: &Workspace) -> Matrix<'a> {
        match self {
            WeightRef::Merged(values) => Matrix::Stored(values.into()),
            WeightRef::Base(view) => Matrix::Stored(view.weight()),
            WeightRef::Absent(elements) => Matrix::Stored(Weight::absent(elements)),
            WeightRef::Sum(view, delta) => {
                let mut sum = workspace.tensor(1, view.elements());
                kernels::add_into(workspace, &mut sum, view.weight(), delta);
                Matrix::Formed(sum)
            }
        }
    }

    /// The values of a vector, as a bias or a scale, as f32: in place, or converted or summed in scratch.
    #[inline]
    pub fn floats(self, workspace: &Workspace) -> Floats<'a> {
        match self.matrix(workspace) {
            Matrix::Formed(sum) => Floats::Formed(sum),
            Matrix::Stored(weight) => match weight.in_place() {
                Some(values) => Floats::InPlace(values),
                None => {
                    let mut scratch = workspace.tensor(1, weight.elements());
                    if !workspace.is_dry() {
                        weight.convert(0..weight.elements(), &mut scratch);
                    }
                    Floats::Formed(scratch)
                }
            },
        }
    }
}

/// A weight as kernels read it.
pub enum Matrix<'a> {
    /// As it is stored.
    Stored(Weight<'a>),
    /// Added up for this use.
    Formed(Tensor),
}

impl Matrix<'_> {
    /// As kernels take it.
    pub fn get(&self) -> Weight<'_> {
        match self {
            Matrix::Stored(weight) => *weight,
            Matrix::Formed(tensor) => tensor.into(),
        }
    }
}

/// The f32 values of a vector; of one that a dry pass does without there are none.
pub enum Floats<'a> {
    /// Read where they are.
    InPlace(&'a [f32]),
    /// Converted or added up for this use.
    Formed(Tensor),
}

/// Weight and bias of a linear layer.
pub struct LinearWeights<'a> {
    weight: Matrix<'a>,
    bias: Option<Floats<'a>>,
}

impl LinearWeights<'_> {
    /// The layer as kernels take it.
    pub fn get(&self) -> Linear<'_> {
        Linear { weight: self.weight.get(), bias: self.bias.as_deref() }
    }
}

impl Deref for Floats<'_> {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        match self {
            Floats::InPlace(values) => values,
            Floats::Formed(tensor) => tensor,
        }
    }
}
