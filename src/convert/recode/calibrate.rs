//! Scales and factors of coded deltas, and the head, tuned towards the outputs of the adapter as it was (BitDelta,
//! arXiv 2402.10193, scale distillation).

use super::coded::Coded;
use super::measure::Measure;
use super::opened::Opened;
use crate::convert::Error;
use crate::format::Encoding;
use crate::graph::{Graph, Host};
use crate::kernels::{
    AdamStep, Means, Precision, Tensor, Workspace, adamw, dot, linear, linear_input_grad, linear_weight_grad,
    squared_norm,
};
use crate::runtime::backward;
use crate::runtime::{Network, Part};

/// Learning rate of the logarithms of scales, and of factors as a share of their mean size.
const RATE: f32 = 0.02;

/// Steps between two looks at how near it is.
const LOOK: usize = 50;

/// One tensor that is tuned.
struct Tuned {
    /// Which of the pieces.
    number: usize,
    rows: usize,
    form: Form,
}

/// What is tuned of it: `[numbers, means]`.
enum Form {
    /// Logarithms of what the scale of each row is multiplied by, and the values that it had.
    Scales(Vec<f32>, [Means; 2], Vec<f32>),
    /// Both factors, of this rank.
    Factors(usize, [(Vec<f32>, [Means; 2]); 2]),
    /// All values, before they are coded.
    Whole(Vec<f32>, [Means; 2]),
}

/// Tunes the scales of all one-bit tensors, the factors of all low-rank ones and with them the head for `steps` steps, and
/// codes them anew. Of all states that were looked at it keeps the one that is nearest on examples that are not tuned
/// with. `original` are the values of all tensors as they were.
pub(super) fn calibrate<N: Network>(
    opened: &mut Opened<'_, N>,
    coded: &mut [Coded],
    measure: &Measure<'_>,
    original: &[Vec<f32>],
    steps: usize,
) -> Result<(), Error> {
    let mut all: Vec<Tuned> = Vec::new();
    let mut wanted = vec![false; opened.network.layout().len()];
    for (number, (piece, coded)) in opened.pieces.iter().zip(&*coded).enumerate() {
        let rows = piece.shape.dims().first().map_or(1, |&rows| rows as usize);
        if let Some(form) = Form::new(coded, rows).filter(|_| piece.place.1 == Part::Weight) {
            all.push(Tuned { number, rows, form });
            wanted[piece.place.0.index()] = true;
        }
    }
    if all.is_empty() || steps == 0 {
        return Ok(());
    }
    let head = opened.network.layout().head();
    for (number, _) in opened.pieces.iter().enumerate().filter(|(_, piece)| piece.place.0 == head) {
        let values = original[number].clone();
        let means = [(); 2].map(|()| Means::zeros(values.len(), Precision::F32));
        all.push(Tuned { number, rows: 1, form: Form::Whole(values, means) });
        wanted[head.index()] = true;
    }
    let tuned_with: Vec<usize> = (0..measure.batches.len()).filter(|number| !measure.is_held(*number)).collect();
    let mut best = (measure.held(opened)?, None);
    for step in 0..steps {
        let number = tuned_with[step % tuned_with.len()];
        let batch = &measure.batches[number];
        let mut gradients = Vec::new();
        {
            let mut graph = Graph::new(Host::new(&*opened, &measure.workspace), &wanted);
            let input = measure.examples.batch(batch)?;
            let logits = opened.network.logits(&mut graph, &input)?;
            let mut gradient = measure.workspace.copy(logits.value());
            measure.divergence_of(number, &mut gradient);
            gradient.iter_mut().for_each(|value| *value /= batch.len() as f32);
            let mut sink = |id, gradient| {
                gradients.push((id, gradient));
                Ok(())
            };
            backward(&opened.network, &input, graph, &logits, gradient, &mut sink)?;
        }
        let rate = RATE * (1.0 - step as f32 / steps as f32);
        let update = AdamStep { rate, beta1: 0.9, beta2: 0.99, eps: 1e-12, decay: 0.0, step: step as u32 + 1 };
        for tuned in &mut all {
            let piece = &mut opened.pieces[tuned.number];
            let gradient = gradients.iter().find(|(of, _)| *of == piece.place.0).map(|(_, gradient)| gradient);
            let gradient = gradient.and_then(|gradient| match piece.place.1 {
                Part::Bias => gradient.bias.as_ref(),
                _ => Some(&gradient.weight),
            });
            if let Some(gradient) = gradient {
                tuned.form.step(&measure.workspace, gradient, &mut piece.values, tuned.rows, update);
            }
        }
        if (step + 1) % LOOK == 0 || step + 1 == steps {
            let found = code(opened, coded, &all, measure)?;
            if found.0 < best.0 {
                best = (found.0, Some(found.1));
            }
        }
    }
    for (at, tuned) in all.iter().enumerate() {
        if let Some(found) = &best.1 {
            coded[tuned.number] = found[at].clone();
        }
        opened.pieces[tuned.number].values.clone_from(&coded[tuned.number].values);
    }
    Ok(())
}

/// What is tuned as it would be coded now, and how near that is.
fn code<N: Network>(
    opened: &mut Opened<'_, N>,
    coded: &[Coded],
    all: &[Tuned],
    measure: &Measure<'_>,
) -> Result<(f64, Vec<Coded>), Error> {
    let (mut found, mut values) = (Vec::new(), Vec::new());
    for tuned in all {
        let (piece, mut coded) = (&mut opened.pieces[tuned.number], coded[tuned.number].clone());
        coded.again(&piece.values, tuned.form.factors(), &piece.shape)?;
        values.push(std::mem::replace(&mut piece.values, coded.values.clone()));
        found.push(coded);
    }
    let near = measure.held(opened);
    all.iter().zip(values).for_each(|(tuned, values)| opened.pieces[tuned.number].values = values);
    Ok((near?, found))
}

impl Form {
    /// What can be tuned of a coded tensor, if anything.
    fn new(coded: &Coded, rows: usize) -> Option<Self> {
        let means = |count| [(); 2].map(|()| Means::zeros(count, Precision::F32));
        match (coded.encoding, &coded.factors) {
            (Encoding::OneBit, _) => Some(Form::Scales(vec![0.0; rows], means(rows), coded.values.clone())),
            (Encoding::LowRank { rank, .. }, Some(factors)) => {
                let (left, right) = factors.split_at(factors.len().min(rows * rank as usize));
                let parts = [left, right].map(|part| (part.to_vec(), means(part.len())));
                Some(Form::Factors(rank as usize, parts))
            }
            _ => None,
        }
    }

    fn factors(&self) -> Option<Vec<f32>> {
        match self {
            Form::Scales(..) | Form::Whole(..) => None,
            Form::Factors(_, [(left, _), (right, _)]) => Some([&left[..], right].concat()),
        }
    }

    /// One update by the gradient of the tensor, whose values then follow.
    fn step(&mut self, workspace: &Workspace, gradient: &Tensor, values: &mut [f32], rows: usize, update: AdamStep) {
        let width = values.len() / rows.max(1);
        match self {
            Form::Scales(logarithms, [first, second], from) => {
                let along: Vec<f32> =
                    gradient.chunks(width).zip(values.chunks(width)).map(|(g, v)| dot(g, v)).collect();
                adamw(workspace, logarithms, &along, 1.0, [first, second], update);
                for ((values, from), logarithm) in values.chunks_mut(width).zip(from.chunks(width)).zip(&*logarithms) {
                    values.iter_mut().zip(from).for_each(|(value, from)| *value = from * logarithm.exp());
                }
            }
            Form::Whole(numbers, [first, second]) => {
                let size = (squared_norm(numbers) / numbers.len().max(1) as f32).sqrt();
                let update = AdamStep { rate: 0.2 * update.rate * size, ..update };
                adamw(workspace, numbers, gradient, 1.0, [first, second], update);
                values.copy_from_slice(numbers);
            }
            Form::Factors(rank, [(left, left_means), (right, right_means)]) => {
                let mut of_values = workspace.tensor(rows, width);
                of_values.copy_from_slice(gradient);
                let mut factor = workspace.tensor(rows, *rank);
                factor.copy_from_slice(left);
                let of_left = linear(workspace, &of_values, (&*right).into(), None);
                let of_right = linear_weight_grad(workspace, &factor, &of_values);
                for (numbers, gradient, [first, second]) in
                    [(&mut *left, of_left, left_means), (&mut *right, of_right, right_means)]
                {
                    let size = (squared_norm(numbers) / numbers.len().max(1) as f32).sqrt();
                    let update = AdamStep { rate: update.rate * size, ..update };
                    adamw(workspace, numbers, &gradient, 1.0, [first, second], update);
                }
                factor.copy_from_slice(left);
                values.copy_from_slice(&linear_input_grad(workspace, &factor, (&*right).into()));
            }
        }
    }
}
