//! Spoken digits, and which of them are whose.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Start;

/// The data.
pub const DATA: &str = "../shared/data/spoken-digits/spoken-digits.safetensors";
/// Who speaks, as the data numbers them.
pub const SPEAKERS: [&str; 4] = ["jackson", "nicolas", "theo", "yweweler"];
/// The classes.
pub const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
/// Utterances of each digit by the new speaker.
pub const OWN: usize = 5;
/// Largest move of an utterance in a training step: bands and frames.
pub const SHIFT: [usize; 2] = [2, 5];
/// How a base of three speakers is made.
pub const BASE: Start = Start { widths: [16, 32, 64], blocks: 2, epochs: 20, rate: 1e-2, seed: 0 };

/// Which utterances are for what.
#[derive(Default)]
pub struct Split {
    /// The others', to train the base on.
    pub train: Vec<usize>,
    /// The others', to measure on: a fifth of each speaker's utterances of each digit.
    pub held: Vec<usize>,
    /// The new speaker's, to tune the task on, digit by digit.
    pub own: Vec<usize>,
    /// The new speaker's, to measure on.
    pub rest: Vec<usize>,
}

impl Split {
    /// Divides utterances for the speaker `new`.
    pub fn new(digits: &[usize], speakers: &[usize], new: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut split = Self::default();
        for speaker in 0..SPEAKERS.len() {
            for digit in 0..DIGITS.len() {
                let is_one = |&index: &usize| speakers[index] == speaker && digits[index] == digit;
                let mut those: Vec<usize> = (0..digits.len()).filter(is_one).collect();
                those.shuffle(&mut random);
                let (few, many) = those.split_at(if speaker == new { OWN } else { those.len() / 5 });
                let [to_few, to_many] = match speaker == new {
                    true => [&mut split.own, &mut split.rest],
                    false => [&mut split.held, &mut split.train],
                };
                to_few.extend(few);
                to_many.extend(many);
            }
        }
        split
    }

    /// The utterances to tune on without one of each digit, and these.
    pub fn fold(&self, fold: usize) -> [Vec<usize>; 2] {
        let (test, train): (Vec<_>, Vec<_>) = self.own.iter().enumerate().partition(|(place, _)| place % OWN == fold);
        [train, test].map(|part| part.into_iter().map(|(_, &index)| index).collect())
    }
}
