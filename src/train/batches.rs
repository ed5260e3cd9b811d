//! Which examples are trained on, and in what order: functions of the seed alone.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::runtime::Examples;

/// Splits the examples into training and validation, the share `validation` of each class to the latter.
/// Every class keeps at least one training example.
pub fn split(examples: &dyn Examples, validation: f32, random: &mut ChaCha8Rng) -> (Vec<usize>, Vec<usize>) {
    let mut classes = vec![Vec::new(); examples.classes().len()];
    for index in 0..examples.len() {
        classes[examples.label(index)].push(index);
    }
    let (mut train, mut held) = (Vec::new(), Vec::new());
    // What rounding leaves over in one class is taken in a later one, so that the total share holds.
    let mut owed = 0.0;
    for mut class in classes {
        class.shuffle(random);
        owed += class.len() as f32 * validation;
        let count = (owed.floor() as usize).min(class.len().saturating_sub(1));
        owed -= count as f32;
        held.extend(class.drain(..count));
        train.extend(class);
    }
    train.sort_unstable();
    held.sort_unstable();
    (train, held)
}

/// The examples in a new order, cut into batches of `size`; a last one of a single example joins the one
/// before it.
pub fn batches(indices: &[usize], size: usize, random: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    cut(&shuffled(indices, random), size)
}

/// The examples in a new order.
pub(super) fn shuffled(indices: &[usize], random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order = indices.to_vec();
    order.shuffle(random);
    order
}

/// Examples cut into batches as [`batches`] does.
pub(super) fn cut(order: &[usize], size: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = order.chunks(size.max(1)).map(<[usize]>::to_vec).collect();
    if size > 1
        && batches.len() > 1
        && let Some(last) = batches.pop_if(|last| last.len() == 1)
        && let Some(previous) = batches.last_mut()
    {
        previous.extend(last);
    }
    batches
}
