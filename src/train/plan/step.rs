//! What passes over one batch take.

use super::Memory;
use super::backward::LayerGrad;
use super::ledger::{Buffer, Ledger, Use, highest};
use super::outline::Outline;
use super::sketch::Sketch;
use crate::base::Base;
use crate::kernels::Workspace;
use crate::runtime::{Error, Input, LayerId, LayerKind, Network, Param, Part};
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
    let mut outline = Outline::new(base, layout, Some(classes)).with(layers);
    outline.statistics = norms == Norms::Statistics && layout.has_statistics();
    let workspace = Workspace::new(config.threads);
    highest(config.threads, |ledger| {
        own(ledger, &outline);
        let (parts, recompute) = (std::slice::from_ref(input), config.recompute);
        (0..3).try_for_each(|_| step(ledger, &workspace, network, &outline, config, parts, recompute))
    })
}

/// The most memory that a forward pass of the base over `input` takes, its scores aside.
///
/// # Errors
/// If the input does not fit the network.
pub fn plan_forward(network: &impl Network, input: &Input, threads: usize) -> Result<Memory, Error> {
    let layout = network.layout();
    let (outline, workspace) = (Outline::new(layout.base(), layout, None), Workspace::new(threads));
    highest(threads, |ledger| features(ledger, &workspace, network, &outline, input))
}

/// Counts what a task owns before its first step, and returns the bytes of its deltas.
pub(super) fn own(ledger: &Ledger, outline: &Outline<'_>) -> usize {
    let mut deltas = 0;
    for (id, layer) in outline.layout.layers().filter(|(id, _)| outline.is_wanted(*id)) {
        deltas += outline.delta(id);
        if outline.statistics && layer.statistics.is_some() {
            let running = [Part::Mean, Part::Variance].into_iter().filter_map(|part| layer.param(part));
            deltas += running.map(Param::elements).sum::<usize>();
        }
    }
    ledger.own(|own| own.deltas += BYTES * deltas);
    BYTES * deltas
}

/// Bytes that the optimizer keeps of what a task owns.
fn states(outline: &Outline<'_>, config: &Config) -> usize {
    let wanted = outline.layout.layers().map(|(id, _)| id).filter(|&id| outline.is_wanted(id));
    let params = wanted.flat_map(|id| [outline.elements(id), outline.delta(id) - outline.elements(id)]);
    config.optimizer.means() * params.map(|elements| config.states.bytes(elements)).sum::<usize>()
}

/// One step over the parts of a batch: forward and backward of each, and an update.
pub(super) fn step(
    ledger: &Ledger,
    workspace: &Workspace,
    network: &impl Network,
    outline: &Outline<'_>,
    config: &Config,
    parts: &[Input],
    recompute: bool,
) -> Result<(), Error> {
    let mut sums: Vec<(LayerId, LayerGrad)> = Vec::new();
    let mut moments = Vec::new();
    for part in parts {
        hold(ledger, part);
        let mut tape = Sketch::tape(outline, ledger, workspace).recomputing(recompute);
        let logits = network.logits(&mut tape, part)?;
        let gradient = ledger.take(logits.data.rows, logits.data.cols);
        moments.extend(tape.take_moments());
        tape.backward(network, part, &logits, gradient, &mut |id, gradient| {
            if !sums.iter().any(|(of, _)| *of == id) {
                sums.push((id, gradient));
            }
        })?;
    }
    ledger.own(|own| own.states = states(outline, config));
    Ok(())
}

/// A pass that frees each gradient as it is formed.
pub(super) fn probe(
    ledger: &Ledger,
    workspace: &Workspace,
    network: &impl Network,
    outline: &Outline<'_>,
    input: &Input,
    recompute: bool,
) -> Result<(), Error> {
    hold(ledger, input);
    let mut tape = Sketch::tape(outline, ledger, workspace).recomputing(recompute);
    let logits = network.logits(&mut tape, input)?;
    let gradient = ledger.take(logits.data.rows, logits.data.cols);
    tape.backward(network, input, &logits, gradient, &mut |_, gradient| drop(gradient))
}

/// A pass of evaluation, scored by its loss.
pub(super) fn evaluate(
    ledger: &Ledger,
    workspace: &Workspace,
    network: &impl Network,
    outline: &Outline<'_>,
    input: &Input,
) -> Result<(), Error> {
    hold(ledger, input);
    let logits = network.logits(&mut Sketch::eval(outline, ledger, workspace), input)?;
    drop(ledger.take(logits.data.rows, logits.data.cols));
    Ok(())
}

/// A pass that gives features.
pub(super) fn features(
    ledger: &Ledger,
    workspace: &Workspace,
    network: &impl Network,
    outline: &Outline<'_>,
    input: &Input,
) -> Result<(), Error> {
    hold(ledger, input);
    network.features(&mut Sketch::eval(outline, ledger, workspace), input)?;
    Ok(())
}

/// The head fitted in batches of `batch` to `features` features of training examples, and scored by those of validation
/// examples, as [`fit`](crate::train::head::fit) does.
pub(super) fn fit(ledger: &Ledger, classes: usize, features: usize, examples: [usize; 2], batch: usize) {
    let [train, validation] = examples;
    for rows in [batch.min(train), train % batch].into_iter().filter(|&rows| rows > 0) {
        let _x = ledger.take(rows, features);
        let _logits = ledger.take(rows, classes);
        let _dy = ledger.take(rows, classes);
        let _gradient = ledger.take(classes, features);
        let _bias = ledger.take(1, classes);
    }
    let _logits = ledger.take(validation, classes);
    drop(ledger.take(validation, classes));
}

/// Features of all examples, which stay while the head is fitted.
pub(super) fn all_features(ledger: &Ledger, rows: usize, cols: usize) -> Buffer {
    let values = ledger.take(rows, cols);
    values.mark(Use::Feature);
    values
}

/// Counts a batch with the largest there has been: what the pool holds at its highest may be of another.
fn hold(ledger: &Ledger, input: &Input) {
    ledger.own(|own| own.batch = own.batch.max(bytes(input)));
}

/// Bytes of a batch.
fn bytes(input: &Input) -> usize {
    match input {
        Input::Images(images) => BYTES * images.pixels.len(),
        // Beside each id its position and its type; of each example where it ends.
        Input::Tokens(tokens) => 3 * BYTES * tokens.ids.len() + size_of::<usize>() * tokens.segments.len(),
    }
}
