//! The layers of a network in order, and which base tensors they use.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::base::{Base, TensorId};

/// Position of a layer in its network's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LayerId(pub(crate) usize);

impl LayerId {
    /// Position in network order, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What a layer is, which decides how a task may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// A table of embeddings, positions or a class token: shared by all tasks.
    Embedding,
    /// A linear or dense convolution layer: tapped.
    Linear,
    /// A convolution of each channel by itself: tapped, and what a depthwise patch learns anew.
    Depthwise,
    /// A normalization's scale and bias: may be owned by a task.
    Norm,
    /// The classification head: every task has its own.
    Head,
}

impl LayerKind {
    /// Whether TAPS may change layers of this kind.
    pub fn is_tapped(self) -> bool {
        matches!(self, LayerKind::Linear | LayerKind::Depthwise)
    }
}

/// One tensor of a layer.
#[derive(Clone, Debug)]
pub struct Param {
    /// Name in the base and in adapters.
    pub name: String,
    /// Dimensions; those of a head's first are the base's own classes, 0 where it has no head.
    pub shape: Vec<usize>,
    /// Its place in the base; `None` for a head that the base lacks.
    pub tensor: Option<TensorId>,
}

impl Param {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Which tensor of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// The weight, a norm's scale, or a table.
    Weight,
    /// The bias.
    Bias,
    /// The running mean of a batch normalization.
    Mean,
    /// The running variance of a batch normalization.
    Variance,
}

impl Part {
    /// All of them, in the order of their numbers.
    pub const ALL: [Part; 4] = [Part::Weight, Part::Bias, Part::Mean, Part::Variance];
}

/// One layer: a weight and perhaps a bias, which a task changes together.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The common prefix of its tensors' names.
    pub name: String,
    /// What it is.
    pub kind: LayerKind,
    /// The weight, a norm's scale, or a table.
    pub weight: Param,
    /// The bias, where it has one.
    pub bias: Option<Param>,
    /// Running mean and variance, of a batch normalization.
    pub statistics: Option<[Param; 2]>,
}

impl Layer {
    /// One of its tensors.
    pub fn param(&self, part: Part) -> Option<&Param> {
        match part {
            Part::Weight => Some(&self.weight),
            Part::Bias => self.bias.as_ref(),
            Part::Mean => self.statistics.as_ref().map(|[mean, _]| mean),
            Part::Variance => self.statistics.as_ref().map(|[_, variance]| variance),
        }
    }

    /// Elements of weight and bias: of a delta.
    pub fn elements(&self) -> usize {
        self.weight.elements() + self.bias.as_ref().map_or(0, Param::elements)
    }
}

/// The layers of a network in the order data flows through them, the head last.
#[derive(Clone, Debug)]
pub struct Layout {
    layers: Vec<Layer>,
    index: HashMap<String, (LayerId, Part)>,
    features: usize,
    labels: Vec<String>,
    mean_of: Vec<[Param; 2]>,
    base: Base,
}

impl Layout {
    /// The base whose tensors these are.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// All layers, in order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = (LayerId, &Layer)> + DoubleEndedIterator {
        self.layers.iter().enumerate().map(|(index, layer)| (LayerId(index), layer))
    }

    /// One layer.
    ///
    /// # Panics
    /// If `id` is of another network with more layers.
    pub fn layer(&self, id: LayerId) -> &Layer {
        &self.layers[id.0]
    }

    /// Number of layers.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there is none; a network always has its head.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The classification head.
    pub fn head(&self) -> LayerId {
        LayerId(self.layers.len() - 1)
    }

    /// Features the head reads.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Class names of the base's own head; empty where it has none.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Weight and bias of the heads of a checkpoint that has one for each part of the features, and whose scores are the mean
    /// of theirs; they are none of the layers. Empty where the head is one layer.
    pub fn mean_of(&self) -> &[[Param; 2]] {
        &self.mean_of
    }

    /// The tensors of a checkpoint that hold the head's weight or bias, `values`: names, dimensions and values. Several where
    /// its scores are the mean of those of several heads.
    pub fn head_tensors(&self, part: Part, values: &[f32]) -> Vec<(&str, Vec<usize>, Vec<f32>)> {
        let (heads, features) = (self.mean_of.len(), self.features);
        let mut found = Vec::new();
        for (number, [weight, bias]) in self.mean_of.iter().enumerate() {
            let each = features / heads;
            found.push(match part {
                Part::Weight => {
                    let rows = values.chunks_exact(features).flat_map(|row| &row[number * each..][..each]);
                    let own = rows.map(|value| value * heads as f32).collect();
                    (weight.name.as_str(), vec![values.len() / features, each], own)
                }
                _ => (bias.name.as_str(), vec![values.len()], values.to_vec()),
            });
        }
        if heads > 0 {
            return found;
        }
        let Some(param) = self.layer(self.head()).param(part) else { return Vec::new() };
        // A head has as many classes as the task.
        let mut shape = param.shape.clone();
        if let [first, rest @ ..] = &mut shape[..] {
            *first = values.len() / rest.iter().product::<usize>().max(1);
        }
        vec![(&param.name, shape, values.to_vec())]
    }

    /// The layers TAPS may change: linear and convolution, without the head.
    pub fn tapped(&self) -> impl Iterator<Item = LayerId> {
        self.layers().filter(|(_, layer)| layer.kind.is_tapped()).map(|(id, _)| id)
    }

    /// Whether it normalizes by statistics of batches.
    pub fn has_statistics(&self) -> bool {
        self.layers.iter().any(|layer| layer.statistics.is_some())
    }

    /// The same layers over another base, which may lack the head and its labels with it.
    ///
    /// # Errors
    /// As [`LayoutBuilder::layer`] and [`LayoutBuilder::head`].
    pub fn over(&self, base: &Base, architecture: &str) -> Result<Self, Error> {
        let mut layers = LayoutBuilder::new(base, architecture);
        for (_, layer) in self.layers().filter(|(_, layer)| layer.kind != LayerKind::Head) {
            let param = |param: &Param| layers.param(param.name.clone(), &param.shape);
            let statistics = match &layer.statistics {
                Some([mean, variance]) => Some([param(mean)?, param(variance)?]),
                None => None,
            };
            let (weight, bias) = (param(&layer.weight)?, layer.bias.as_ref().map(param).transpose()?);
            layers.push(Layer { name: layer.name.clone(), kind: layer.kind, weight, bias, statistics });
        }
        layers.head(&self.layer(self.head()).name, self.features, self.labels.clone())
    }

    /// Names of the base's tensors that no layer uses, in order.
    pub fn unused<'b>(&self, base: &'b Base) -> Vec<&'b str> {
        let of_a_head = |name: &str| self.mean_of.iter().flatten().any(|param| param.name == name);
        base.tensors().map(|tensor| tensor.name).filter(|name| self.find(name).is_none() && !of_a_head(name)).collect()
    }

    /// Which layer has the tensor called `name`.
    pub fn find(&self, name: &str) -> Option<(LayerId, Part)> {
        self.index.get(name).copied()
    }
}

/// Builds a layout from a base, checking name, shape and dtype of every tensor.
pub struct LayoutBuilder<'a> {
    base: &'a Base,
    architecture: &'a str,
    layers: Vec<Layer>,
}

impl<'a> LayoutBuilder<'a> {
    /// An empty layout of a network called `architecture` in error messages.
    pub fn new(base: &'a Base, architecture: &'a str) -> Self {
        Self { base, architecture, layers: Vec::new() }
    }

    /// Adds a layer of `name.weight [shape]` and, if `bias`, `name.bias [shape's first]`; a norm's may be called `gamma`
    /// and `beta`.
    ///
    /// # Errors
    /// If the base lacks a tensor or has it in another shape or no weight's dtype.
    pub fn layer(&mut self, kind: LayerKind, name: &str, shape: &[usize], bias: bool) -> Result<LayerId, Error> {
        // As checkpoints that came from TensorFlow have them, which transformers renames.
        let is_old = kind == LayerKind::Norm && self.shape(&format!("{name}.gamma")).is_some();
        let parts = if is_old { ["gamma", "beta"] } else { ["weight", "bias"] }.map(|part| format!("{name}.{part}"));
        let [weight, shift] = parts;
        let weight = self.param(weight, shape)?;
        let bias = if bias { Some(self.param(shift, &shape[..1])?) } else { None };
        Ok(self.push(Layer { name: name.to_owned(), kind, weight, bias, statistics: None }))
    }

    /// Adds a batch normalization of `channels`: scale, bias and running statistics.
    ///
    /// # Errors
    /// As [`LayoutBuilder::layer`].
    pub fn batch_norm(&mut self, name: &str, channels: usize) -> Result<LayerId, Error> {
        let param = |part: &str| self.param(format!("{name}.{part}"), &[channels]);
        let (weight, bias) = (param("weight")?, Some(param("bias")?));
        let statistics = Some([param("running_mean")?, param("running_var")?]);
        Ok(self.push(Layer { name: name.to_owned(), kind: LayerKind::Norm, weight, bias, statistics }))
    }

    /// Outputs of the layer called `name`, where the base has it: the first dimension of its weight.
    pub fn width(&self, name: &str) -> Option<usize> {
        self.shape(&format!("{name}.weight"))?.first().copied()
    }

    /// Dimensions of a tensor of the base, where it has it: sizes that no configuration states are read off it.
    pub fn shape(&self, tensor: &str) -> Option<&'a [usize]> {
        Some(self.base.tensor(self.base.find(tensor)?).shape)
    }

    /// Adds a single tensor that is called `name` itself, as a class token or a position table.
    ///
    /// # Errors
    /// As [`LayoutBuilder::layer`].
    pub fn table(&mut self, name: &str, shape: &[usize]) -> Result<LayerId, Error> {
        let weight = self.param(name.to_owned(), shape)?;
        Ok(self.push(Layer { name: name.to_owned(), kind: LayerKind::Embedding, weight, bias: None, statistics: None }))
    }

    fn push(&mut self, layer: Layer) -> LayerId {
        self.layers.push(layer);
        LayerId(self.layers.len() - 1)
    }

    fn param(&self, name: String, expected: &[usize]) -> Result<Param, Error> {
        let tensor = self.base.find(&name).ok_or_else(|| Error::MissingTensor {
            base: self.base.path().to_owned(),
            architecture: self.architecture.to_owned(),
            tensor: name.clone(),
        })?;
        let view = self.base.tensor(tensor);
        if view.shape.contains(&0) {
            let (base, shape) = (self.base.path().to_owned(), view.shape.to_vec());
            return Err(Error::EmptyTensor { base, tensor: name, shape });
        }
        if view.shape != expected {
            return Err(Error::TensorShape {
                base: self.base.path().to_owned(),
                architecture: self.architecture.to_owned(),
                tensor: name,
                expected: expected.to_vec(),
                found: view.shape.to_vec(),
            });
        }
        if !view.dtype.is_weight() {
            return Err(Error::TensorDtype { base: self.base.path().to_owned(), tensor: name, dtype: view.dtype });
        }
        Ok(Param { name, shape: expected.to_vec(), tensor: Some(tensor) })
    }

    /// Ends the layout with the linear head `name` over `features`. A base without one is a backbone,
    /// and its tasks bring theirs; `labels` name the classes of a base that has one.
    ///
    /// # Errors
    /// If the base has a head of another shape, or of another number of classes than `labels`.
    pub fn head(self, name: &str, features: usize, labels: Vec<String>) -> Result<Layout, Error> {
        let [weight, bias] = Self::head_names(name);
        let Some(classes) = self.classes(&weight) else { return Ok(self.without_head(name, features)) };
        let head = [self.param(weight, &[classes, features])?, self.param(bias, &[classes])?];
        let labels = self.checked_labels(labels, classes)?;
        Ok(self.end(name, head, features, labels, Vec::new()))
    }

    /// Ends the layout with a head over `features` that the tasks bring, whatever the base has.
    pub fn without_head(self, name: &str, features: usize) -> Layout {
        let [weight, bias] = Self::head_names(name);
        let weight = Param { name: weight, shape: vec![0, features], tensor: None };
        let bias = Param { name: bias, shape: vec![0], tensor: None };
        self.end(name, [weight, bias], features, Vec::new(), Vec::new())
    }

    /// Ends the layout with the linear head `name` over the features of as many parts as there are `heads`, each of `each`
    /// features. The base has a head for each part or none, and its scores are the mean of theirs.
    ///
    /// # Errors
    /// If the base has some of the heads and not all, or as [`LayoutBuilder::head`].
    pub fn mean_head(self, name: &str, heads: &[&str], each: usize, labels: Vec<String>) -> Result<Layout, Error> {
        let features = heads.len() * each;
        let found = heads.iter().find_map(|head| self.classes(&Self::head_names(head)[0]));
        let classes = found.unwrap_or(0);
        let param = |name: String, shape: Vec<usize>| match found {
            Some(_) => self.param(name, &shape),
            None => Ok(Param { name, shape, tensor: None }),
        };
        let mut mean_of = Vec::new();
        for head in heads {
            let [weight, bias] = Self::head_names(head);
            mean_of.push([param(weight, vec![classes, each])?, param(bias, vec![classes])?]);
        }
        let labels = found.map_or(Ok(Vec::new()), |classes| self.checked_labels(labels, classes))?;
        let [weight, bias] = Self::head_names(name);
        let weight = Param { name: weight, shape: vec![classes, features], tensor: None };
        let bias = Param { name: bias, shape: vec![classes], tensor: None };
        Ok(self.end(name, [weight, bias], features, labels, mean_of))
    }

    fn head_names(name: &str) -> [String; 2] {
        [format!("{name}.weight"), format!("{name}.bias")]
    }

    fn classes(&self, weight: &str) -> Option<usize> {
        self.shape(weight).map(|shape| shape.first().copied().unwrap_or(0))
    }

    fn checked_labels(&self, labels: Vec<String>, classes: usize) -> Result<Vec<String>, Error> {
        match labels.len() {
            0 => Ok((0..classes).map(|class| class.to_string()).collect()),
            found if found == classes => Ok(labels),
            labels => {
                let origin = self.base.path().display().to_string();
                Err(Error::Labels { origin, labels, biases: classes, classes })
            }
        }
    }

    fn end(
        mut self,
        name: &str,
        [weight, bias]: [Param; 2],
        features: usize,
        labels: Vec<String>,
        mean_of: Vec<[Param; 2]>,
    ) -> Layout {
        let kind = LayerKind::Head;
        self.push(Layer { name: name.to_owned(), kind, weight, bias: Some(bias), statistics: None });
        let mut index = HashMap::new();
        for (number, layer) in self.layers.iter().enumerate() {
            for part in Part::ALL {
                if let Some(param) = layer.param(part) {
                    index.insert(param.name.clone(), (LayerId(number), part));
                }
            }
        }
        Layout { layers: self.layers, index, features, labels, mean_of, base: self.base.clone() }
    }
}
