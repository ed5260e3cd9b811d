//! What passes over one batch take.

use super::Memory;
use super::dry_run::{DryRun, highest};
use super::task_shape::TaskShape;
use crate::base::Base;
use crate::graph::{Graph, Host, LayerGrad, Moments, Sink};
use crate::kernels::{Purpose, Tensor};
use crate::runtime::{Error, Input, LayerId, LayerKind, Network, Param, Part};
use crate::train::place::{BackwardOptions, learn};
use crate::train::{Config, Norms};

const BYTES: usize = size_of::<f32>();

/// The most memory that steps over `input` take: of a task with a head of `classes`, deltas of the layers `active`, and
/// norms and optimizer as `config` says. What the best epoch keeps is not counted.
///
/// # Errors
/// If the input does not fit the network.
pub fn plan_step(
    base: &Base,
    network: &impl Network,
    input: &Input,
    classes: usize,
    active: &[LayerId],
    config: &Config,
) -> Result<Memory, Error> {
    let layout = network.layout();
    let norms = config.resolved_norms(layout);
    let own_norms = layout.layers().filter(|(_, layer)| layer.kind == LayerKind::Norm && norms != Norms::Frozen);
    let layers = active.iter().copied().chain(own_norms.map(|(id, _)| id));
    let mut task = TaskShape::new(base, layout, Some(classes)).with(layers);
    task.statistics = norms == Norms::Statistics && layout.has_statistics();
    highest(config.threads, |dry| {
        own(dry, &task);
        let (parts, recompute) = (std::slice::from_ref(input), config.recompute);
        (0..3).try_for_each(|_| step(dry, network, &task, config, parts, recompute))
    })
}

/// The most memory that a forward pass of the base over `input` takes, its scores aside.
///
/// # Errors
/// If the input does not fit the network.
pub fn plan_forward(network: &impl Network, input: &Input, threads: usize) -> Result<Memory, Error> {
    let layout = network.layout();
    let task = TaskShape::new(layout.base(), layout, None);
    highest(threads, |dry| features(dry, network, &task, input))
}

/// Counts what a task owns before its first step, and returns the bytes of its deltas.
pub(super) fn own(dry: &DryRun, task: &TaskShape<'_>) -> usize {
    let mut deltas = 0;
    for (id, layer) in task.layout.layers().filter(|(id, _)| task.is_wanted(*id)) {
        deltas += task.delta(id);
        if task.statistics && layer.statistics.is_some() {
            let running = [Part::Mean, Part::Variance].into_iter().filter_map(|part| layer.param(part));
            deltas += running.map(Param::elements).sum::<usize>();
        }
    }
    dry.own(|own| own.deltas += BYTES * deltas);
    BYTES * deltas
}

/// Bytes that the optimizer keeps of what a task owns.
fn states(task: &TaskShape<'_>, config: &Config) -> usize {
    let wanted = task.layout.layers().map(|(id, _)| id).filter(|&id| task.is_wanted(id));
    let params = wanted.flat_map(|id| [task.elements(id), task.delta(id) - task.elements(id)]);
    config.optimizer.means() * params.map(|elements| config.states.bytes(elements)).sum::<usize>()
}

/// One step over the parts of a batch: forward and backward of each, and an update.
pub(super) fn step(
    dry: &DryRun,
    network: &impl Network,
    task: &TaskShape<'_>,
    config: &Config,
    parts: &[Input],
    recompute: bool,
) -> Result<(), Error> {
    let mut sums: Vec<(LayerId, LayerGrad)> = Vec::new();
    let mut moments = Vec::new();
    for part in parts {
        let mut sink = |id, gradient| {
            if !sums.iter().any(|(of, _)| *of == id) {
                sums.push((id, gradient));
            }
            Ok(())
        };
        moments.push(pass(dry, network, task, part, recompute, &mut sink)?);
    }
    dry.own(|own| own.states = states(task, config));
    Ok(())
}

/// A pass that frees each gradient as it is formed.
pub(super) fn probe(
    dry: &DryRun,
    network: &impl Network,
    task: &TaskShape<'_>,
    input: &Input,
    recompute: bool,
) -> Result<(), Error> {
    pass(dry, network, task, input, recompute, &mut |_, _| Ok(())).map(drop)
}

/// A forward and a backward pass; gives what batch normalizations saw.
fn pass(
    dry: &DryRun,
    network: &impl Network,
    task: &TaskShape<'_>,
    input: &Input,
    recompute: bool,
    sink: Sink<'_, Host<'_>>,
) -> Result<Vec<Moments>, Error> {
    hold(dry, input);
    let options = BackwardOptions { wanted: &task.wanted, batch_statistics: task.statistics, recompute };
    let graph = options.graph(Host::new(task, &dry.workspace));
    let loss = |logits: &Tensor| Ok((0.0, dry.workspace.copy(logits)));
    Ok(learn(network, input, graph, loss, sink)?.1)
}

/// A pass of evaluation, scored by its loss.
pub(super) fn evaluate(dry: &DryRun, network: &impl Network, task: &TaskShape<'_>, input: &Input) -> Result<(), Error> {
    hold(dry, input);
    let logits = network.logits(&mut Graph::eval(Host::new(task, &dry.workspace)), input)?;
    drop(dry.workspace.copy(logits.value()));
    Ok(())
}

/// A pass that gives features.
pub(super) fn features(dry: &DryRun, network: &impl Network, task: &TaskShape<'_>, input: &Input) -> Result<(), Error> {
    hold(dry, input);
    network.features(&mut Graph::eval(Host::new(task, &dry.workspace)), input)?;
    Ok(())
}

/// The head fitted in batches of `batch` to `features` features of training examples, and scored by those of validation
/// examples, as [`fit`](crate::train::head::fit) does.
pub(super) fn fit(dry: &DryRun, classes: usize, features: usize, examples: [usize; 2], batch: usize) {
    let take = |rows, cols| dry.workspace.tensor(rows, cols);
    let [train, validation] = examples;
    for rows in [batch.min(train), train % batch].into_iter().filter(|&rows| rows > 0) {
        let _x = take(rows, features);
        let _logits = take(rows, classes);
        let _dy = take(rows, classes);
        let _gradient = take(classes, features);
        let _bias = take(1, classes);
    }
    let _logits = take(validation, classes);
    drop(take(validation, classes));
}

/// Features of all examples, which stay while the head is fitted.
pub(super) fn all_features(dry: &DryRun, rows: usize, cols: usize) -> Tensor {
    let values = dry.workspace.tensor(rows, cols);
    values.mark(Purpose::Feature);
    values
}

/// Counts a batch with the largest there has been: what the pool holds at its highest may be of another.
fn hold(dry: &DryRun, input: &Input) {
    dry.own(|own| own.batch = own.batch.max(bytes(input)));
}

/// Bytes of a batch.
fn bytes(input: &Input) -> usize {
    match input {
        Input::Images(images) => BYTES * images.pixels.len(),
        // Beside each id its position and its type; of each example where it ends.
        Input::Tokens(tokens) => 3 * BYTES * tokens.ids.len() + size_of::<usize>() * tokens.segments.len(),
    }
}
