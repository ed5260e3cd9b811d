//! The layers of a network in order, and which base tensors they use.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Error;
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
}

impl Layout {
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
        base.tensors().map(|tensor| tensor.name).filter(|name| self.find(name).is_none()).collect()
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

    /// Adds a layer of `name.weight [shape]` and, if `bias`, `name.bias [shape's first]`.
    ///
    /// # Errors
    /// If the base lacks a tensor or has it in another shape or no weight's dtype.
    pub fn layer(&mut self, kind: LayerKind, name: &str, shape: &[usize], bias: bool) -> Result<LayerId, Error> {
        let weight = self.param(format!("{name}.weight"), shape)?;
        let bias = if bias { Some(self.param(format!("{name}.bias"), &shape[..1])?) } else { None };
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
    pub fn head(mut self, name: &str, features: usize, labels: Vec<String>) -> Result<Layout, Error> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let classes = self.base.find(&weight).map(|id| self.base.tensor(id).shape.first().copied().unwrap_or(0));
        let (weight, bias) = match classes {
            Some(classes) => (self.param(weight, &[classes, features])?, self.param(bias, &[classes])?),
            None => (
                Param { name: weight, shape: vec![0, features], tensor: None },
                Param { name: bias, shape: vec![0], tensor: None },
            ),
        };
        let labels = match classes {
            Some(classes) if labels.is_empty() => (0..classes).map(|class| class.to_string()).collect(),
            Some(classes) if labels.len() != classes => {
                let origin = self.base.path().display().to_string();
                return Err(Error::Labels { origin, labels: labels.len(), biases: classes, classes });
            }
            Some(_) => labels,
            None => Vec::new(),
        };
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
        Ok(Layout { layers: self.layers, index, features, labels })
    }
}
