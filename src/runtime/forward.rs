//! A forward pass on the host from its input to numbers that are numbers.

use super::{Error, Input, Layout, Network, Part, WeightRef, Weights};
use crate::graph::{Graph, Host};
use crate::kernels::{Tensor, Workspace};

/// Class scores by a pass of evaluation: `[examples, classes]`.
///
/// # Errors
/// If the input does not fit the network, the task has no head, a file of the base was truncated, or a score is not finite.
pub(crate) fn logits(
    network: &impl Network,
    weights: &dyn Weights,
    input: &Input,
    workspace: &Workspace,
) -> Result<Tensor, Error> {
    weights.layout().base().check_whole()?;
    let mut graph = Graph::eval(Host::new(weights, workspace));
    let logits = network.logits(&mut graph, input)?.into_value(workspace);
    check_finite(network, weights, input, workspace, &logits)?;
    Ok(logits)
}

/// What the head reads, by a pass of evaluation: `[examples, features]`.
///
/// # Errors
/// As [`logits`], but for the head.
#[cfg(any(feature = "train", feature = "candle"))]
pub(crate) fn features(
    network: &impl Network,
    weights: &dyn Weights,
    input: &Input,
    workspace: &Workspace,
) -> Result<Tensor, Error> {
    weights.layout().base().check_whole()?;
    let mut graph = Graph::eval(Host::new(weights, workspace));
    let features = network.features(&mut graph, input)?.into_value(workspace);
    check_finite(network, weights, input, workspace, &features)?;
    Ok(features)
}

/// Refuses outputs that are not all finite, and says whose fault it is: of the input, of the base, which is asked for that
/// what it makes of the input, or else of the task.
///
/// # Errors
/// [`Error::NotFinite`].
pub(crate) fn check_finite(
    network: &impl Network,
    weights: &dyn Weights,
    input: &Input,
    workspace: &Workspace,
    outputs: &[f32],
) -> Result<(), Error> {
    if outputs.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    let layout = weights.layout();
    let whose = match input {
        Input::Images(images) if images.pixels.iter().any(|pixel| !pixel.is_finite()) => {
            let size = images.size().iter().product::<usize>().max(1);
            let image = images.pixels.iter().position(|pixel| !pixel.is_finite()).unwrap_or(0) / size;
            format!("image {image} of the input has NaN or infinite pixels")
        }
        _ => {
            let alone = BaseAlone(layout);
            let base = network.features(&mut Graph::eval(Host::new(&alone, workspace)), input)?;
            match base.value().iter().all(|value| value.is_finite()) {
                true => format!("the task {} overflows; the base's own features are finite", weights.name()),
                false => {
                    let broken = layout.base().tensors().find(|tensor| {
                        tensor.dtype.is_weight() && tensor.to_vec().iter().any(|value| !value.is_finite())
                    });
                    let why = match broken {
                        Some(tensor) => format!("its tensor {} holds NaN or infinity", tensor.name),
                        None => "its activations overflow".to_owned(),
                    };
                    format!("the base {} gives NaN or infinity for this input: {why}", layout.base().path().display())
                }
            }
        }
    };
    Err(Error::NotFinite { whose })
}

/// The base without any task.
struct BaseAlone<'a>(&'a Layout);

impl Weights for BaseAlone<'_> {
    fn param(&self, layer: super::LayerId, part: Part) -> Option<WeightRef<'_>> {
        Some(WeightRef::Base(self.0.base().tensor(self.0.layer(layer).param(part)?.tensor?)))
    }

    fn layout(&self) -> &Layout {
        self.0
    }

    fn name(&self) -> &str {
        "base"
    }
}
