//! Which examples are trained on, and in what order: functions of the seed alone.

use std::collections::BTreeMap;

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
    let mut order = indices.to_vec();
    order.shuffle(random);
    cut(&order, size)
}

/// As many examples as there are, every class in turn, so that each is seen equally often: those of a small class
/// several times, and not all of a large one.
pub(super) fn balanced(
    indices: &[usize],
    label: impl Fn(usize) -> usize,
    size: usize,
    random: &mut ChaCha8Rng,
) -> Vec<Vec<usize>> {
    let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    indices.iter().for_each(|&index| classes.entry(label(index)).or_default().push(index));
    let mut classes: Vec<(Vec<usize>, usize)> = classes.into_values().map(|class| (class, 0)).collect();
    let mut order = Vec::with_capacity(indices.len());
    while order.len() < indices.len() {
        // Classes change places, so that the last, cut-off turn falls on any of them.
        classes.shuffle(random);
        for (class, next) in &mut classes {
            if *next == 0 {
                class.shuffle(random);
            }
            order.push(class[*next]);
            *next = (*next + 1) % class.len();
        }
    }
    order.truncate(indices.len());
    cut(&order, size)
}

/// How many batches of `size` that many examples make.
pub(super) fn count(examples: usize, size: usize) -> usize {
    let batches = examples.div_ceil(size.max(1));
    if size > 1 && batches > 1 && examples % size == 1 { batches - 1 } else { batches }
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

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn batches_are_as_many_as_counted() {
        for examples in 1..40 {
            for size in 1..10 {
                let indices: Vec<usize> = (0..examples).collect();
                let found = batches(&indices, size, &mut ChaCha8Rng::seed_from_u64(0));
                assert_eq!(found.len(), count(examples, size), "{examples} by {size}");
                assert_eq!(found.concat().len(), examples);
            }
        }
    }

    #[test]
    fn balanced_batches_see_every_class_equally_often() {
        // 90 of class 0, 9 of class 1, one of class 2.
        let label = |index: usize| if index < 90 { 0 } else { 1 + index / 99 };
        let indices: Vec<usize> = (0..100).collect();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let order: Vec<usize> = (0..30).flat_map(|_| balanced(&indices, label, 8, &mut random)).flatten().collect();
        assert_eq!(order.len(), 3000);
        for class in 0..3 {
            let seen = order.iter().filter(|&&index| label(index) == class).count();
            assert!((985..=1015).contains(&seen), "{seen} of class {class}");
        }
        let rare = (90..99).map(|index| order.iter().filter(|&&seen| seen == index).count());
        assert!(rare.clone().min() >= Some(90) && rare.max() <= Some(130), "within a class as well");
        let batches = balanced(&indices, label, 8, &mut random);
        assert!(batches[..12].iter().all(|batch| batch.len() == 8) && batches[12].len() == 4);
    }
}
