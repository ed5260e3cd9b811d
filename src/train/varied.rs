//! Random changes of a training batch, for when examples are few: mixed images and dropped tokens.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Config;
use crate::kernels::{Segments, Tensor, Workspace, cross_entropy};
use crate::runtime::{Images, Input, Tokens};

/// A batch as it is learned from.
pub(super) struct Varied {
    pub(super) input: Input,
    labels: Vec<usize>,
    mixed: Option<Mixed>,
}

/// What was mixed into each example of a batch.
struct Mixed {
    /// Labels of the examples that were mixed in.
    labels: Vec<usize>,
    /// Share of the example itself.
    share: f32,
}

impl Varied {
    /// The batch changed as the settings say, as a function of `seed`.
    pub(super) fn new(mut input: Input, labels: Vec<usize>, config: &Config, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut mixed = None;
        match &mut input {
            Input::Tokens(tokens) if config.token_dropout > 0.0 => {
                drop_tokens(tokens, config.token_dropout, &mut random)
            }
            Input::Images(images) if config.mixup > 0.0 => {
                mixed = Some(mix(images, &labels, beta(config.mixup, &mut random), &mut random));
            }
            _ => {}
        }
        Self { input, labels, mixed }
    }

    /// Both labels of each example, and the share of the first.
    #[cfg(feature = "candle")]
    pub(super) fn pairs(&self) -> (Vec<[u32; 2]>, f32) {
        let (others, share) = self.mixed.as_ref().map_or((&self.labels, 1.0), |mixed| (&mixed.labels, mixed.share));
        (self.labels.iter().zip(others).map(|(&label, &other)| [label as u32, other as u32]).collect(), share)
    }

    /// Mean cross-entropy of class scores, and its gradient; of a mixed example that of both labels by their shares
    /// (mixup, arXiv 1710.09412).
    pub(super) fn loss(&self, workspace: &Workspace, logits: &Tensor, smoothing: f32) -> (f32, Tensor) {
        let (mut loss, mut gradient) = cross_entropy(workspace, logits, &self.labels, smoothing);
        if let Some(Mixed { labels, share }) = &self.mixed {
            let (other_loss, other) = cross_entropy(workspace, logits, labels, smoothing);
            loss = share * loss + (1.0 - share) * other_loss;
            gradient.iter_mut().zip(&*other).for_each(|(own, other)| *own = share * *own + (1.0 - share) * other);
        }
        (loss, gradient)
    }
}

/// Leaves out tokens between the first and the last of each sequence, each with probability `share`; at least one of
/// them stays.
fn drop_tokens(tokens: &mut Tokens, share: f32, random: &mut ChaCha8Rng) {
    let mut ids = Vec::with_capacity(tokens.ids.len());
    let mut lengths = Vec::with_capacity(tokens.segments.len());
    for range in tokens.segments.ranges() {
        let (before, last) = (ids.len(), range.len().saturating_sub(1));
        let spared = if last > 1 { random.random_range(1..last) } else { 0 };
        for (at, &id) in tokens.ids[range].iter().enumerate() {
            let stays = at == 0 || at == last || at == spared;
            if random.random::<f32>() >= share || stays {
                ids.push(id);
            }
        }
        lengths.push(ids.len() - before);
    }
    *tokens = Tokens { ids, segments: Segments::from_lengths(lengths) };
}

/// Makes each image `share` of itself and the rest of another one of the batch.
fn mix(images: &mut Images, labels: &[usize], share: f32, random: &mut ChaCha8Rng) -> Mixed {
    let mut partners: Vec<usize> = (0..images.batch).collect();
    partners.shuffle(random);
    let size = images.pixels.len() / images.batch.max(1);
    let originals = images.pixels.clone();
    for (image, &partner) in images.pixels.chunks_exact_mut(size.max(1)).zip(&partners) {
        let other = &originals[partner * size..][..size];
        image.iter_mut().zip(other).for_each(|(own, other)| *own = share * *own + (1.0 - share) * other);
    }
    Mixed { labels: partners.iter().map(|&partner| labels[partner]).collect(), share }
}

/// A draw of the Beta distribution with both parameters `alpha`, above 0 and up to 1, by Jöhnk's method.
fn beta(alpha: f32, random: &mut ChaCha8Rng) -> f32 {
    loop {
        let draws = [(); 2].map(|()| random.random::<f32>());
        let [x, y] = draws.map(|draw| draw.powf(1.0 / alpha));
        if x + y > 1.0 {
            continue;
        }
        if x + y > 0.0 {
            return x / (x + y);
        }
        // Both are too small for f32, as they always are of a very small alpha; their logarithms are not.
        let [x, y] = draws.map(|draw| f64::from(draw).ln() / f64::from(alpha));
        if x != y {
            return (1.0 / (1.0 + (y - x).exp())) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(5)
    }

    #[test]
    fn a_share_is_drawn_however_small_the_parameter() {
        let mut random = random();
        for alpha in [f32::from_bits(1), 1e-40, 1e-10, 1e-6, 0.2, 1.0] {
            let draws: Vec<f32> = (0..400).map(|_| beta(alpha, &mut random)).collect();
            assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)), "{alpha}");
            let mean = draws.iter().sum::<f32>() / 400.0;
            assert!((mean - 0.5).abs() < 0.1, "{alpha}: {mean}");
        }
    }

    #[test]
    fn dropped_tokens_leave_ends_and_something_between() {
        let lengths = [1, 2, 3, 40];
        let ids: Vec<u32> = (0..46).collect();
        let mut random = random();
        let mut kept = 0;
        for _ in 0..200 {
            let mut tokens = Tokens { ids: ids.clone(), segments: Segments::from_lengths(lengths) };
            drop_tokens(&mut tokens, 0.25, &mut random);
            assert_eq!(tokens.segments.rows(), tokens.ids.len());
            assert!(tokens.ids.is_sorted(), "order stays");
            let found: Vec<usize> = tokens.segments.ranges().map(|range| range.len()).collect();
            assert_eq!(found[..3], lengths[..3], "the only token between is the one that stays");
            let last = tokens.segments.range(3);
            assert_eq!((tokens.ids[last.start], tokens.ids[last.end - 1]), (6, 45));
            kept += found[3];
        }
        let share = kept as f32 / (200.0 * 40.0);
        assert!((0.74..0.79).contains(&share), "{share}");
    }

    #[test]
    fn shares_of_a_mix_are_of_the_distribution_asked_for() {
        let mut random = random();
        for alpha in [0.2, 0.5, 1.0] {
            let draws: Vec<f32> = (0..20_000).map(|_| beta(alpha, &mut random)).collect();
            assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)));
            let mean = draws.iter().sum::<f32>() / 20_000.0;
            let variance = draws.iter().map(|draw| (draw - 0.5).powi(2)).sum::<f32>() / 20_000.0;
            // Variance of Beta(a, a): 1 / (4 (2a + 1)).
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.01 && (variance - expected).abs() < 0.006, "{alpha}: {mean}, {variance}");
        }
    }

    #[test]
    fn a_mixed_example_counts_for_both_labels() {
        let config = Config { mixup: 1.0, ..Config::default() };
        let images = Images { pixels: vec![0.0, 0.0, 1.0, 1.0], batch: 2, channels: 1, height: 1, width: 2 };
        let workspace = Workspace::new(1);
        let logits = Tensor::from_vec(vec![0.3, -0.2, 0.1, 0.5, 0.4, -0.6], 2, 3);
        let mut crossed = 0;
        for seed in 0..20 {
            let varied = Varied::new(Input::Images(images.clone()), vec![0, 2], &config, seed);
            let mixed = varied.mixed.as_ref().unwrap();
            let Input::Images(found) = &varied.input else { unreachable!() };
            let (loss, gradient) = varied.loss(&workspace, &logits, 0.0);
            let sum: f32 = gradient.iter().sum();
            assert!(loss > 0.0 && sum.abs() < 1e-6);
            if mixed.labels == [2, 0] {
                crossed += 1;
                assert!((found.pixels[0] - (1.0 - mixed.share)).abs() < 1e-6 && found.pixels[2] == mixed.share);
                let own = cross_entropy(&workspace, &logits, &[0, 2], 0.0).0;
                let other = cross_entropy(&workspace, &logits, &[2, 0], 0.0).0;
                assert!((loss - (mixed.share * own + (1.0 - mixed.share) * other)).abs() < 1e-6);
            }
        }
        assert!(crossed > 3);
    }
}
