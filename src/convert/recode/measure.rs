//! The outputs of an adapter on some examples, and how far those of another are from them.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::opened::Opened;
use crate::convert::Error;
use crate::kernels::{Tensor, Workspace, softmax};
use crate::runtime::{Examples, Network, Score, evaluate, logits};

/// Examples that are measured on and calibrated with at once.
const BATCH: usize = 32;

/// Examples, and the class probabilities that the adapter as it was gives them.
pub(in crate::convert) struct Measure<'a> {
    pub(super) examples: &'a dyn Examples,
    pub(super) workspace: Workspace,
    pub(super) batches: Vec<Vec<usize>>,
    /// `[examples, classes]` for each batch.
    probabilities: Vec<Vec<f32>>,
}

impl<'a> Measure<'a> {
    /// Of at most `count` of the examples, drawn by the seed, in batches of similar length.
    pub(in crate::convert) fn new<N: Network>(
        opened: &Opened<'_, N>,
        examples: &'a dyn Examples,
        [count, threads]: [usize; 2],
        seed: u64,
    ) -> Result<Self, Error> {
        if examples.len() < 2 {
            return Err(Error::NoExamples { what: "measuring what is lost" });
        }
        let workspace = Workspace::new(threads);
        let mut order: Vec<usize> = (0..examples.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        order.truncate(count.max(2));
        order.sort_by_key(|&index| examples.rows(index));
        let batches: Vec<Vec<usize>> = order.chunks(BATCH).map(<[usize]>::to_vec).collect();
        let mut probabilities = Vec::new();
        for batch in &batches {
            let mut logits = logits(&opened.network, opened, &examples.batch(batch)?, &workspace)?;
            let classes = logits.cols();
            softmax(&mut logits, classes);
            probabilities.push(logits.to_vec());
        }
        Ok(Self { examples, workspace, batches, probabilities })
    }

    /// Mean divergence of the class probabilities of `opened` from those of the adapter as it was, in nats.
    pub(in crate::convert) fn divergence<N: Network>(&self, opened: &Opened<'_, N>) -> Result<f64, Error> {
        self.divergence_over(opened, 0..self.batches.len())
    }

    /// Whether a batch is kept from what is tuned; where there is one alone it is both.
    pub(super) fn is_held(&self, number: usize) -> bool {
        self.batches.len() > 1 && number % 4 == 1
    }

    /// As [`Measure::divergence`] over the batches that are kept from what is tuned.
    pub(super) fn held<N: Network>(&self, opened: &Opened<'_, N>) -> Result<f64, Error> {
        let alone = self.batches.len() == 1;
        self.divergence_over(opened, (0..self.batches.len()).filter(|&number| alone || self.is_held(number)))
    }

    /// As [`Measure::divergence`] over some of the examples, for one of many answers that are compared.
    pub(in crate::convert) fn about<N: Network>(&self, opened: &Opened<'_, N>) -> Result<f64, Error> {
        const FEW: usize = 16;
        let every = self.batches.len().div_ceil(FEW).max(1);
        self.divergence_over(opened, (every / 2..self.batches.len()).step_by(every))
    }

    fn divergence_over<N: Network>(
        &self,
        opened: &Opened<'_, N>,
        numbers: impl Iterator<Item = usize>,
    ) -> Result<f64, Error> {
        let (mut sum, mut count) = (0.0, 0);
        for number in numbers {
            let batch = &self.batches[number];
            let input = self.examples.batch(batch)?;
            let mut logits = logits(&opened.network, opened, &input, &self.workspace)?;
            sum += self.divergence_of(number, &mut logits);
            count += batch.len();
        }
        Ok(sum / count.max(1) as f64)
    }

    /// The sum over the examples of a batch. The logits become the difference of probabilities, which is the gradient.
    pub(super) fn divergence_of(&self, number: usize, logits: &mut Tensor) -> f64 {
        let classes = logits.cols();
        softmax(logits, classes);
        let mut sum = 0.0;
        for (found, &wanted) in logits.iter_mut().zip(&self.probabilities[number]) {
            if wanted > 0.0 {
                sum += f64::from(wanted) * (f64::from(wanted).ln() - f64::from(*found).max(1e-30).ln());
            }
            *found -= wanted;
        }
        sum.max(0.0)
    }

    pub(in crate::convert) fn score<N: Network>(&self, opened: &Opened<'_, N>) -> Result<Score, Error> {
        let order: Vec<usize> = self.batches.concat();
        Ok(evaluate(opened.network, opened, self.examples, &order, BATCH, &self.workspace)?)
    }
}
