//! The demo's base and digits.

use std::ops::Range;

use taps::data::{ImageSet, read_idx_images, read_idx_labels};
use taps::runtime::ImageSpec;
use taps::{Base, Model};

pub fn open() -> (Base, Model) {
    let base = Base::open("adapters/digits/base").unwrap();
    let model = Model::open(&base).unwrap();
    (base, model)
}

/// Digits in inverted contrast, which the base does not know.
pub fn digits(count: usize) -> ImageSet {
    changed(0..count, |pixel| 255 - pixel)
}

/// Some of the digits, their pixels changed.
pub fn changed(range: Range<usize>, change: impl Fn(u8) -> u8) -> ImageSet {
    let images = read_idx_images("adapters/digits/data/digits-images-idx3-ubyte").unwrap();
    let labels = read_idx_labels("adapters/digits/data/digits-labels-idx1-ubyte").unwrap();
    let spec = ImageSpec::new(1, [8, 8], vec![0.3], vec![0.4]);
    let pixels = images.pixels[range.start * 64..range.end * 64].iter().map(|&pixel| change(pixel)).collect();
    let labels = labels[range].iter().map(|&digit| digit.into()).collect();
    ImageSet::new(pixels, labels, (0..10).map(|digit| digit.to_string()).collect(), spec).unwrap()
}
