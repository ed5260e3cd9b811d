//! Random changes of training images.

/// Random changes that a training image may undergo without losing its class.
///
/// By default there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augment {
    /// Pixels by which an image is extended on every side before it is cut back to its size at a random place;
    /// 0 for none, and no more count than the side has. The new pixels repeat those of the edge: black borders
    /// would be like nothing that the base has seen.
    pub crop: usize,
    /// Whether every other image, at random, is mirrored left to right. Not for classes that this would change,
    /// such as characters.
    pub flip: bool,
}

impl Augment {
    /// `image`, `[channels, height, width]`, changed as the draws of `stream` say.
    pub(super) fn apply(self, image: &[u8], height: usize, width: usize, stream: &mut Stream) -> Vec<u8> {
        let rows = self.cut(height, stream);
        let mut columns = self.cut(width, stream);
        if self.flip && stream.below(2) == 1 {
            columns.reverse();
        }
        let mut out = Vec::with_capacity(image.len());
        for plane in image.chunks_exact(height * width) {
            for &row in &rows {
                let row = &plane[row * width..(row + 1) * width];
                out.extend(columns.iter().map(|&column| row[column]));
            }
        }
        out
    }

    /// Where each pixel of a side comes from.
    fn cut(self, side: usize, stream: &mut Stream) -> Vec<usize> {
        let crop = self.crop.min(side);
        let start = stream.below(2 * crop + 1);
        (0..side).map(|at| (start + at).saturating_sub(crop).min(side - 1)).collect()
    }
}

/// Random numbers of one image of a batch: SplitMix64, by Steele, Lea and Flood.
pub(super) struct Stream(u64);

impl Stream {
    /// The stream of the image at `position` in the batch of `seed`.
    pub(super) fn new(seed: u64, position: usize) -> Self {
        // Mixed first: batches of consecutive seeds would share all their streams but one.
        Self(Self(seed).next().wrapping_add(position as u64))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const HEIGHT: usize = 3;
    const WIDTH: usize = 4;

    /// Two channels of pixels that are all different.
    fn image() -> Vec<u8> {
        (0..2 * HEIGHT * WIDTH).map(|at| at as u8).collect()
    }

    fn apply(augment: Augment, seed: u64) -> Vec<u8> {
        augment.apply(&image(), HEIGHT, WIDTH, &mut Stream::new(seed, 0))
    }

    fn mirrored(image: &[u8]) -> Vec<u8> {
        image.chunks(WIDTH).flat_map(|row| row.iter().rev().copied()).collect()
    }

    /// What is cut at `(top, left)` out of the image with `crop` pixels more on every side.
    fn cut(crop: usize, top: usize, left: usize) -> Vec<u8> {
        let image = image();
        let padded = |plane: &[u8]| -> Vec<Vec<u8>> {
            let mut rows: Vec<Vec<u8>> = plane.chunks(WIDTH).map(<[u8]>::to_vec).collect();
            for row in &mut rows {
                let (first, last) = (row[0], row[WIDTH - 1]);
                *row = [vec![first; crop], row.clone(), vec![last; crop]].concat();
            }
            let (first, last) = (rows[0].clone(), rows[HEIGHT - 1].clone());
            [vec![first; crop], rows, vec![last; crop]].concat()
        };
        let rows = image.chunks(HEIGHT * WIDTH).flat_map(|plane| padded(plane)[top..top + HEIGHT].to_vec());
        rows.flat_map(|row| row[left..left + WIDTH].to_vec()).collect()
    }

    #[test]
    fn nothing_to_change_is_the_identity() {
        assert!((0..100).all(|seed| apply(Augment::default(), seed) == image()));
    }

    #[test]
    fn about_half_of_the_images_are_mirrored() {
        let flips = (0..1000).map(|seed| apply(Augment { crop: 0, flip: true }, seed));
        let flipped = flips.filter(|flip| {
            assert!(*flip == image() || *flip == mirrored(&image()));
            *flip != image()
        });
        assert!((450..=550).contains(&flipped.count()));
    }

    #[test]
    fn crops_are_those_of_the_padded_image_and_all_of_them() {
        let places = |crop| (0..=2 * crop).flat_map(move |top| (0..=2 * crop).map(move |left| (top, left)));
        for crop in 1..=3 {
            let cuts: BTreeSet<Vec<u8>> = places(crop).map(|(top, left)| cut(crop, top, left)).collect();
            let straight = (0..2000).map(|seed| apply(Augment { crop, flip: false }, seed));
            assert_eq!(straight.collect::<BTreeSet<_>>(), cuts);
            let both: BTreeSet<Vec<u8>> = cuts.iter().cloned().chain(cuts.iter().map(|cut| mirrored(cut))).collect();
            let flipped = (0..4000).map(|seed| apply(Augment { crop, flip: true }, seed));
            assert_eq!(flipped.collect::<BTreeSet<_>>(), both);
        }
    }

    #[test]
    fn crops_of_any_size_keep_that_of_the_image() {
        for crop in [WIDTH, 1 << 20, usize::MAX] {
            assert!((0..100).all(|seed| apply(Augment { crop, flip: true }, seed).len() == image().len()));
        }
    }

    #[test]
    fn a_seed_and_a_position_are_one_stream() {
        let augment = Augment { crop: 3, flip: true };
        assert_eq!(apply(augment, 7), apply(augment, 7));
        let first = |seed, position| Stream::new(seed, position).next();
        let all: BTreeSet<u64> = (0..32).flat_map(|seed| (0..32).map(move |at| first(seed, at))).collect();
        assert_eq!(all.len(), 32 * 32);
    }

    #[test]
    fn the_generator_is_splitmix64() {
        let mut stream = Stream(1_234_567);
        let numbers = [stream.next(), stream.next(), stream.next()];
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
