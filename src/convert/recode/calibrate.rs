//! Scales of one-bit deltas, tuned towards the outputs of the adapter as it was (BitDelta, arXiv 2402.10193, scale
//! distillation).

use super::Error;
use super::coded::Coded;
use super::measure::Measure;
use super::opened::Opened;
use crate::format::Encoding;
use crate::kernels::{AdamStep, Means, Precision, adamw, dot};
use crate::runtime::{Network, Part};
use crate::train::Tape;

/// Learning rate of the logarithms of scales.
const RATE: f32 = 0.02;

/// The scales of one tensor, as logarithms of factors on those that it had.
struct Scales {
    number: usize,
    factors: Vec<f32>,
    values: Vec<f32>,
    means: [Means; 2],
}

/// Tunes the scales of all one-bit tensors for `steps` steps, and codes them anew. Keeps what is nearest of before and
/// after.
pub(super) fn calibrate<N: Network>(
    opened: &mut Opened<'_, N>,
    coded: &mut [Coded],
    measure: &Measure<'_>,
    steps: usize,
) -> Result<(), Error> {
    let mut scales: Vec<Scales> = Vec::new();
    let mut wanted = vec![false; opened.network.layout().len()];
    for (number, (piece, coded)) in opened.pieces.iter().zip(&*coded).enumerate() {
        if coded.encoding == Encoding::OneBit && piece.place.1 == Part::Weight {
            let rows = piece.shape.dims().first().map_or(1, |&rows| rows as usize);
            let means = [(); 2].map(|()| Means::zeros(rows, Precision::F32));
            scales.push(Scales { number, factors: vec![0.0; rows], values: coded.values.clone(), means });
            wanted[piece.place.0.index()] = true;
        }
    }
    if scales.is_empty() || steps == 0 {
        return Ok(());
    }
    let before = measure.divergence(opened)?;
    for step in 0..steps {
        let number = step % measure.batches.len();
        let batch = &measure.batches[number];
        let mut gradients = Vec::new();
        {
            let mut tape = Tape::new(&*opened, &wanted, &measure.workspace);
            let logits = opened.network.logits(&mut tape, &measure.examples.batch(batch)?)?;
            let mut gradient = measure.workspace.copy(logits.values());
            measure.divergence_of(number, &mut gradient);
            gradient.iter_mut().for_each(|value| *value /= batch.len() as f32);
            tape.backward(&logits, gradient, &mut |id, gradient| gradients.push((id, gradient.weight)))?;
        }
        for scales in &mut scales {
            let id = opened.pieces[scales.number].place.0;
            let Some((_, gradient)) = gradients.iter().find(|(of, _)| *of == id) else { continue };
            let values = &mut opened.pieces[scales.number].values;
            let width = values.len() / scales.factors.len().max(1);
            let along: Vec<f32> = gradient.chunks(width).zip(values.chunks(width)).map(|(g, v)| dot(g, v)).collect();
            let rate = RATE * (1.0 - step as f32 / steps as f32);
            let update = AdamStep { rate, beta1: 0.9, beta2: 0.99, eps: 1e-12, decay: 0.0, step: step as u32 + 1 };
            let [first, second] = &mut scales.means;
            adamw(&measure.workspace, &mut scales.factors, &along, 1.0, [first, second], update);
            let rows = values.chunks_mut(width).zip(scales.values.chunks(width)).zip(&scales.factors);
            for ((values, from), factor) in rows {
                values.iter_mut().zip(from).for_each(|(value, from)| *value = from * factor.exp());
            }
        }
    }
    for scales in &scales {
        let piece = &mut opened.pieces[scales.number];
        coded[scales.number].again(&piece.values, &piece.shape)?;
        piece.values.clone_from(&coded[scales.number].values);
    }
    if measure.divergence(opened)? > before {
        for scales in &scales {
            let piece = &mut opened.pieces[scales.number];
            coded[scales.number].again(&scales.values, &piece.shape)?;
            piece.values.clone_from(&coded[scales.number].values);
        }
    }
    Ok(())
}
