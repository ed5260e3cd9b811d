//! Earlier examples among those of a task, against forgetting.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Error;
use crate::kernels::Segments;
use crate::runtime::{self, Examples, Images, Input, Tokens};

/// The examples of a task and, after them, some that are replayed: of the same classes, as the base was trained on or as
/// an earlier session had them. Head, choice of layers, tuning and validation see both, so that what is gained on the
/// first is not paid for with the others.
pub struct Replay<'a> {
    own: &'a dyn Examples,
    earlier: &'a dyn Examples,
    /// Those of `earlier` that are replayed.
    drawn: Vec<usize>,
}

impl<'a> Replay<'a> {
    /// All of `own`, and of `earlier` as many as are `share` of those, drawn by `seed`; all where there are fewer.
    ///
    /// # Errors
    /// If their classes differ, or the share is no positive number.
    pub fn new(own: &'a dyn Examples, earlier: &'a dyn Examples, share: f32, seed: u64) -> Result<Self, Error> {
        if own.classes() != earlier.classes() {
            return Err(Error::Classes { whose: "the replayed examples", found: earlier.classes().join(", ") });
        }
        if !(share > 0.0 && share.is_finite()) {
            return Err(Error::Setting { name: "replay share", found: share.to_string(), expected: "above 0" });
        }
        let mut drawn: Vec<usize> = (0..earlier.len()).collect();
        drawn.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        drawn.truncate((share * own.len() as f32).ceil() as usize);
        Ok(Self { own, earlier, drawn })
    }

    /// How many are replayed.
    pub fn replayed(&self) -> usize {
        self.drawn.len()
    }

    /// The set that an example is of, and its index there.
    fn find(&self, index: usize) -> (&'a dyn Examples, usize) {
        match index.checked_sub(self.own.len()) {
            Some(replayed) => (self.earlier, self.drawn[replayed]),
            None => (self.own, index),
        }
    }

    /// The batches that `read` makes of each set, as one in the order of `indices`.
    fn mixed(
        &self,
        indices: &[usize],
        read: impl Fn(&dyn Examples, &[usize]) -> Result<Input, runtime::Error>,
    ) -> Result<Input, runtime::Error> {
        let replayed: Vec<bool> = indices.iter().map(|&index| index >= self.own.len()).collect();
        let of = |wanted| indices.iter().filter(move |&&index| (index >= self.own.len()) == wanted);
        let own: Vec<usize> = of(false).map(|&index| self.find(index).1).collect();
        let earlier: Vec<usize> = of(true).map(|&index| self.find(index).1).collect();
        match (own.is_empty(), earlier.is_empty()) {
            (_, true) => read(self.own, &own),
            (true, false) => read(self.earlier, &earlier),
            (false, false) => interleaved(&replayed, read(self.own, &own)?, read(self.earlier, &earlier)?),
        }
    }
}

impl Examples for Replay<'_> {
    fn len(&self) -> usize {
        self.own.len() + self.drawn.len()
    }

    fn classes(&self) -> &[String] {
        self.own.classes()
    }

    fn label(&self, index: usize) -> usize {
        let (examples, index) = self.find(index);
        examples.label(index)
    }

    fn rows(&self, index: usize) -> usize {
        let (examples, index) = self.find(index);
        examples.rows(index)
    }

    fn batch(&self, indices: &[usize]) -> Result<Input, runtime::Error> {
        self.mixed(indices, |examples, indices| examples.batch(indices))
    }

    fn training_batch(&self, indices: &[usize], seed: u64) -> Result<Input, runtime::Error> {
        self.mixed(indices, |examples, indices| examples.training_batch(indices, seed))
    }
}

/// Two batches as one: the next example of the second where `second` is true, and of the first elsewhere.
fn interleaved(second: &[bool], a: Input, b: Input) -> Result<Input, runtime::Error> {
    match (a, b) {
        (Input::Tokens(a), Input::Tokens(b)) => {
            let mut ranges = [a.segments.ranges(), b.segments.ranges()];
            let (mut ids, mut lengths) = (Vec::with_capacity(a.ids.len() + b.ids.len()), Vec::new());
            for &second in second {
                let of = if second { &b.ids } else { &a.ids };
                let sequence = ranges[usize::from(second)].next().map_or(&[][..], |range| &of[range]);
                ids.extend_from_slice(sequence);
                lengths.push(sequence.len());
            }
            Ok(Input::Tokens(Tokens { ids, segments: Segments::from_lengths(lengths) }))
        }
        (Input::Images(a), Input::Images(b)) if a.size() == b.size() => {
            let [channels, height, width] = a.size();
            let each = channels * height * width;
            let mut images = [a.pixels.chunks(each.max(1)), b.pixels.chunks(each.max(1))];
            let mut pixels = Vec::with_capacity(a.pixels.len() + b.pixels.len());
            second.iter().for_each(|&second| pixels.extend(images[usize::from(second)].next().into_iter().flatten()));
            Ok(Input::Images(Images { pixels, batch: second.len(), channels, height, width }))
        }
        _ => {
            Err(runtime::Error::Input { message: "the replayed examples are not of the kind of the others".to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Texts(Vec<Vec<u32>>, Vec<String>);

    impl Examples for Texts {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn classes(&self) -> &[String] {
            &self.1
        }

        fn label(&self, index: usize) -> usize {
            self.0[index][0] as usize % self.1.len()
        }

        fn rows(&self, index: usize) -> usize {
            self.0[index].len()
        }

        fn batch(&self, indices: &[usize]) -> Result<Input, runtime::Error> {
            let ids = indices.iter().flat_map(|&index| self.0[index].clone()).collect();
            let segments = Segments::from_lengths(indices.iter().map(|&index| self.0[index].len()));
            Ok(Input::Tokens(Tokens { ids, segments }))
        }
    }

    fn texts(first: u32, count: usize) -> Texts {
        let text = |number: usize| vec![first + number as u32; 1 + number % 3];
        Texts((0..count).map(text).collect(), vec!["a".to_owned(), "b".to_owned()])
    }

    #[test]
    fn a_batch_of_both_has_each_example_in_its_place() {
        let (own, earlier) = (texts(0, 6), texts(100, 50));
        let replay = Replay::new(&own, &earlier, 0.5, 1).unwrap();
        assert_eq!((replay.len(), replay.replayed()), (9, 3));
        let alone: Vec<Vec<u32>> = (0..9)
            .map(|index| match replay.batch(&[index]).unwrap() {
                Input::Tokens(tokens) => tokens.ids,
                Input::Images(_) => unreachable!(),
            })
            .collect();
        for (index, ids) in alone.iter().enumerate() {
            assert_eq!(ids[0] >= 100, index >= 6);
            assert_eq!((replay.rows(index), replay.label(index)), (ids.len(), ids[0] as usize % 2));
        }
        for order in [vec![0, 7, 1, 8, 6, 5], vec![8, 2], vec![6, 7], vec![3]] {
            let Input::Tokens(tokens) = replay.batch(&order).unwrap() else { unreachable!() };
            assert_eq!(tokens.ids, order.iter().flat_map(|&index| alone[index].clone()).collect::<Vec<_>>());
            let lengths = tokens.segments.ranges().map(|range| range.len());
            assert_eq!(lengths.collect::<Vec<_>>(), order.iter().map(|&index| alone[index].len()).collect::<Vec<_>>());
        }
        assert_eq!(Replay::new(&own, &earlier, 100.0, 1).unwrap().replayed(), 50);
    }

    #[test]
    fn images_keep_their_places_too() {
        let images = |values: &[f32]| {
            let pixels = values.iter().flat_map(|&value| [value, -value]).collect();
            Input::Images(Images { pixels, batch: values.len(), channels: 1, height: 1, width: 2 })
        };
        let Input::Images(all) =
            interleaved(&[true, false, false, true], images(&[1.0, 2.0]), images(&[3.0, 4.0])).unwrap()
        else {
            unreachable!()
        };
        assert_eq!((all.pixels, all.batch), (vec![3.0, -3.0, 1.0, -1.0, 2.0, -2.0, 4.0, -4.0], 4));
        let text = Input::Tokens(Tokens { ids: vec![1], segments: Segments::from_lengths([1]) });
        assert!(interleaved(&[false, true], images(&[1.0]), text).is_err());
    }

    #[test]
    fn other_classes_and_shares_are_refused() {
        let (own, mut other) = (texts(0, 6), texts(0, 6));
        assert!(Replay::new(&own, &other, 0.0, 0).is_err() && Replay::new(&own, &other, f32::NAN, 0).is_err());
        other.1.push("c".to_owned());
        assert!(matches!(Replay::new(&own, &other, 1.0, 0), Err(Error::Classes { .. })));
    }
}
