//! A task that is being trained, in a device's memory: its deltas, what the optimizer keeps of them, and the weights they
//! give.

use std::cell::RefCell;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::{DeviceBase, DeviceTask, Error};
use crate::gpu::{self, BLOCK, Rule};
use crate::graph::{LayerGrad, Rows};
use crate::runtime::{LayerId, Layout, Part, Weights};

/// One tensor that is trained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trained<'a> {
    /// Its layer.
    pub layer: LayerId,
    /// Which tensor of it.
    pub part: Part,
    /// Whether the values are added to the base's tensor, or stand in its place.
    pub is_delta: bool,
    /// Its values.
    pub values: &'a [f32],
    /// Running means of the optimizer, first those that it has but one of; zero where they are empty.
    pub means: [&'a [f32]; 2],
    /// Its share of the learning rate, and its decay.
    pub pace: [f32; 2],
}

/// All that is trained of one task. Deltas and running means are f32, whatever is computed with.
pub(crate) struct DeviceDeltas {
    task: DeviceTask,
    places: Vec<Place>,
    /// Rows of deltas and of one or two running means, of all tensors, each padded to whole blocks.
    states: Tensor,
    /// Rate and decay of each block.
    paces: Tensor,
    /// What the deltas are added to; zero under values that stand in the base's place.
    ground: Tensor,
    gradient: Tensor,
    /// Which tensors have had a gradient since the last update.
    filled: RefCell<Vec<bool>>,
}

/// Where a tensor lies among all.
struct Place {
    layer: LayerId,
    part: Part,
    first: usize,
    elements: usize,
    shape: Vec<usize>,
}

impl DeviceDeltas {
    /// Uploads what is trained of `weights`, with so many running means of each value, and whatever else these have of their
    /// own.
    ///
    /// # Errors
    /// If the device refuses a tensor.
    pub fn upload(
        weights: &dyn Weights,
        trained: &[Trained<'_>],
        means: usize,
        layout: &Arc<Layout>,
        base: &Arc<DeviceBase>,
    ) -> Result<Self, Error> {
        // The weights that are trained are formed below.
        let is_trained = |layer, part| trained.iter().any(|trained| (trained.layer, trained.part) == (layer, part));
        let task = DeviceTask::with(weights, layout, base, |layer, part| !is_trained(layer, part))?;
        let mut places = Vec::with_capacity(trained.len());
        let (mut count, mut paces) = (0, Vec::new());
        for &Trained { layer, part, values, pace, .. } in trained {
            let shape = layout.layer(layer).param(part).map(|param| param.shape.clone()).unwrap_or_default();
            let shape = super::task::shape_of(&shape, values.len());
            places.push(Place { layer, part, first: count, elements: values.len(), shape });
            let blocks = values.len().div_ceil(BLOCK);
            (0..blocks).for_each(|_| paces.extend(pace));
            count += blocks * BLOCK;
        }
        let rows = 1 + means;
        let mut states = vec![0.0; rows * count];
        for (place, trained) in places.iter().zip(trained) {
            let [first, second] = trained.means;
            for (row, values) in [trained.values, first, second].into_iter().enumerate().take(rows) {
                states[row * count + place.first..][..values.len()].copy_from_slice(values);
            }
        }
        let ground = Tensor::zeros(count, base.memory().dtype, &base.memory().device)?;
        for (place, trained) in places.iter().zip(trained) {
            let weight = base.layers()[place.layer.index()][place.part as usize].as_ref();
            if let Some(weight) = weight.filter(|_| trained.is_delta) {
                ground.slice_set(&weight.flatten_all()?.contiguous()?, 0, place.first)?;
            }
        }
        let mut this = Self {
            task,
            states: base.memory().send_floats(&states, &[rows, count])?,
            paces: base.memory().send_floats(&paces, &[count / BLOCK, 2])?,
            ground,
            gradient: Tensor::zeros(count, DType::F32, &base.memory().device)?,
            filled: RefCell::new(vec![false; places.len()]),
            places,
        };
        this.merge()?;
        Ok(this)
    }

    /// The task with its weights as they are now.
    pub fn task(&self) -> &DeviceTask {
        &self.task
    }

    /// Adds the gradients of a layer to those of the next update.
    ///
    /// # Errors
    /// If the device fails.
    pub fn add(&self, layer: LayerId, gradient: LayerGrad<Rows>) -> Result<(), Error> {
        let mut filled = self.filled.borrow_mut();
        for (place, filled) in self.places.iter().zip(&mut *filled).filter(|(place, _)| place.layer == layer) {
            let gradient = match place.part {
                Part::Weight => Some(&gradient.weight.rows),
                Part::Bias => gradient.bias.as_ref().map(|bias| &bias.rows),
                Part::Mean | Part::Variance => None,
            };
            let Some(gradient) = gradient else { continue };
            let mut gradient = gradient.flatten_all()?.to_dtype(DType::F32)?.contiguous()?;
            if *filled {
                gradient = (gradient + self.gradient.narrow(0, place.first, place.elements)?)?;
            }
            self.gradient.slice_set(&gradient, 0, place.first)?;
            *filled = true;
        }
        Ok(())
    }

    /// Sum of the squares of all gradients since the last update.
    ///
    /// # Errors
    /// If the device fails.
    pub fn squared_norm(&self) -> Result<f32, Error> {
        let mut filled = self.filled.borrow_mut();
        for (place, filled) in self.places.iter().zip(&mut *filled).filter(|(_, filled)| !**filled) {
            let none = Tensor::zeros(place.elements, DType::F32, self.gradient.device())?;
            self.gradient.slice_set(&none, 0, place.first)?;
            *filled = true;
        }
        Ok(self.gradient.sqr()?.sum_all()?.to_scalar()?)
    }

    /// Lets all deltas follow the gradients times `scale`, by a learning rate of `rate`. The gradients are used up.
    ///
    /// # Errors
    /// If the device fails.
    pub fn update(&mut self, rule: Rule, [rate, scale]: [f32; 2]) -> Result<(), Error> {
        gpu::update(&self.states, &self.gradient, &self.paces, rule, [rate, scale])?;
        self.drop_gradients();
        self.merge()
    }

    /// Lets go of the gradients since the last update.
    pub fn drop_gradients(&mut self) {
        self.filled.get_mut().fill(false);
    }

    /// Forms the weights that the deltas give.
    fn merge(&mut self) -> Result<(), Error> {
        let merged = gpu::merge_floats(&self.ground, &self.states.get(0)?)?;
        for place in &self.places {
            let weight = merged.narrow(0, place.first, place.elements)?.reshape(place.shape.as_slice())?;
            self.task.set(place.layer, place.part, weight);
        }
        Ok(())
    }

    /// Copies from the device what is trained: of each tensor its values and its running means, of which the second is
    /// empty where there is but one.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fetch(&self, mut each: impl FnMut(LayerId, Part, [&[f32]; 3])) -> Result<(), Error> {
        let rows = self.states.to_vec2::<f32>()?;
        for place in &self.places {
            let of = |row: usize| rows.get(row).map_or(&[][..], |row| &row[place.first..][..place.elements]);
            each(place.layer, place.part, [of(0), of(1), of(2)]);
        }
        Ok(())
    }
}
