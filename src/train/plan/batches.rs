//! The batches that a run will see, as far as their shapes matter.

use rand_chacha::ChaCha8Rng;

use crate::runtime::{Error, Examples, Images, Input, Layout};
use crate::train::batches::{balanced, batches};
use crate::train::{Config, Method, Select, select};

/// Examples of one shape, or sequences of lengths of their own.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Images([usize; 3]),
    Tokens,
}

impl Shape {
    /// The shape of `examples`, read off one of them.
    pub(super) fn of(examples: &dyn Examples, index: usize) -> Result<Self, Error> {
        Ok(match examples.batch(&[index])? {
            Input::Images(images) => Self::Images([images.channels, images.height, images.width]),
            Input::Tokens(_) => Self::Tokens,
        })
    }

    /// A batch of the shape of these examples; images without their pixels.
    pub(super) fn batch(self, examples: &dyn Examples, indices: &[usize]) -> Result<Input, Error> {
        match self {
            Self::Tokens => examples.batch(indices),
            Self::Images([channels, height, width]) => {
                let batch = indices.len();
                let pixels = vec![0.0; batch * channels * height * width];
                Ok(Input::Images(Images { pixels, batch, channels, height, width }))
            }
        }
    }

    /// Of batches in their order, those that may decide what a pool comes to hold: of images the first few of each
    /// size, of sequences the first and the largest ones, at most about `count`.
    pub(super) fn telling(self, examples: &dyn Examples, all: Vec<Vec<usize>>, count: usize) -> Vec<Vec<usize>> {
        const SAME: usize = 3;
        match self {
            Self::Images(_) => {
                let mut seen: Vec<usize> = Vec::new();
                let mut is_new = |size: usize| {
                    seen.push(size);
                    seen.iter().filter(|&&other| other == size).count() <= SAME
                };
                all.into_iter().filter(|batch| is_new(batch.len())).collect()
            }
            Self::Tokens => {
                let rows = |batch: &Vec<usize>| batch.iter().map(|&index| examples.rows(index)).sum::<usize>();
                let mut sizes: Vec<usize> = all.iter().map(rows).collect();
                sizes.sort_unstable_by(|a, b| b.cmp(a));
                let least = sizes.get(count / 2).copied().unwrap_or(0);
                let decides = |(number, batch): &(usize, Vec<usize>)| *number < count / 2 || rows(batch) >= least;
                all.into_iter().enumerate().filter(decides).map(|(_, batch)| batch).collect()
            }
        }
    }
}

/// The batches of each phase that draws its examples, in the order of the draws.
pub(super) struct Drawn {
    /// Of each epoch in which scores are trained.
    pub(super) scores: Vec<Vec<Vec<usize>>>,
    /// The examples in the order in which the probe takes them.
    pub(super) probe: Vec<usize>,
    /// Of each epoch of tuning.
    pub(super) tune: Vec<Vec<Vec<usize>>>,
}

impl Drawn {
    /// Draws as a run does that begins with `random`.
    pub(super) fn new(
        shape: Shape,
        examples: &dyn Examples,
        train: &[usize],
        layout: &Layout,
        config: &Config,
        mut random: ChaCha8Rng,
    ) -> Self {
        let random = &mut random;
        let order = |indices: &[usize], label: &dyn Fn(usize) -> usize, random: &mut ChaCha8Rng| match config.balanced {
            true => balanced(indices, label, config.batch, random),
            false => batches(indices, config.batch, random),
        };
        if config.own_head {
            let rows: Vec<usize> = (0..train.len()).collect();
            let label = |row: usize| examples.label(train[row]);
            (0..config.warm_epochs + config.head_epochs).for_each(|_| drop(order(&rows, &label, random)));
        }
        let label = |index: usize| examples.label(index);
        let epochs = |count: usize, random: &mut ChaCha8Rng| -> Vec<Vec<Vec<usize>>> {
            // Of images every epoch is alike, and two show what validation leaves in the pool for the next.
            let telling = if matches!(shape, Shape::Images(_)) { count.min(2) } else { count };
            (0..telling).map(|_| order(train, &label, random)).collect()
        };
        let (mut scores, mut probe) = (Vec::new(), Vec::new());
        if config.method == Method::Taps {
            match config.select {
                Select::Random => drop(select::random(layout, random)),
                Select::Scores => scores = epochs(config.select_epochs, random),
                Select::Probe | Select::ProbeScores => probe = order(train, &label, random).concat(),
                Select::Last | Select::Given(_) | Select::Ranked(_) => {}
            }
        }
        let tune = epochs(config.epochs, random);
        Self { scores, probe, tune }
    }
}
