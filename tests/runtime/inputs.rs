//! Input that is not the network's.

use taps::runtime::Images;

use super::*;
use crate::common::folder;

fn ready() -> (Runtime<Model>, TempDir) {
    let folder = Weights::bert(TINY, 1).folder(Dtype::F32);
    let runtime = open(&folder);
    let task = runtime.load_bytes(&sentiment(runtime.base()).bytes(), "memory").unwrap();
    runtime.switch(&task).unwrap();
    (runtime, folder)
}

fn refuses(runtime: &Runtime<Model>, input: &Input, parts: &[&str]) {
    let error = runtime.predict(input).unwrap_err();
    assert!(matches!(error, Error::Input { .. }), "{error}");
    let message = error.to_string();
    parts.iter().for_each(|part| assert!(message.contains(part), "no {part:?} in {message:?}"));
}

fn images(pixels: usize, batch: usize, size: usize) -> Input {
    Input::Images(Images { pixels: vec![0.5; pixels], batch, channels: 1, height: size, width: size })
}

#[test]
fn tokens_outside_the_vocabulary() {
    let (runtime, _folder) = ready();
    for task in [runtime.pin(), runtime.load_bytes(&head_only(&runtime), "memory").unwrap()] {
        runtime.switch(&task).unwrap();
        let parts = ["embeddings.word_embeddings.weight", "entry 40", "table of 40"];
        refuses(&runtime, &tokens(&[1, 40], &[2]), &parts);
        assert!(runtime.predict(&tokens(&[1, 39], &[2])).is_ok());
    }
}

fn head_only(runtime: &Runtime<Model>) -> Vec<u8> {
    AdapterFile::new(runtime.base(), "head").head(TINY.hidden, &LABELS, 7).bytes()
}

#[test]
fn sequences_that_are_empty_too_long_or_do_not_add_up() {
    let (runtime, _folder) = ready();
    assert!(runtime.predict(&tokens(&[3; 12], &[12])).is_ok());
    refuses(&runtime, &tokens(&[3; 13], &[13]), &["13 tokens", "1 to 12"]);
    refuses(&runtime, &tokens(&[3; 2], &[2, 0]), &["0 tokens", "1 to 12"]);
    refuses(&runtime, &tokens(&[3; 4], &[2, 3]), &["4 token ids", "5 tokens"]);
    let nothing = runtime.predict(&tokens(&[], &[])).unwrap();
    assert_eq!((nothing.logits().rows(), nothing.logits().len()), (0, 0), "no example, no scores");
}

#[test]
fn images_for_a_text_network_and_text_for_images() {
    let (runtime, _folder) = ready();
    refuses(&runtime, &images(64, 1, 8), &["reads text", "images"]);
    let base = Base::open(folder("vit")).unwrap();
    let vit = Model::open(&base).unwrap();
    let vit = Runtime::new(vit).with_threads(1);
    refuses(&vit, &input(), &["reads images", "text"]);
    assert!(vit.predict(&images(128, 2, 8)).is_ok());
    refuses(&vit, &images(49, 1, 7), &["[1, 7, 7]", "[1, 8, 8]"]);
    refuses(&vit, &images(100, 2, 8), &["100 values", "2 images"]);
}

#[test]
fn images_whose_sizes_overflow() {
    let base = Base::open("adapters/digits/base").unwrap();
    let runtime = Runtime::new(Model::open(&base).unwrap()).with_threads(1);
    for batch in [usize::MAX, usize::MAX / 64 + 2, 1 << 58] {
        refuses(&runtime, &images(64, batch, 8), &["images"]);
    }
    assert!(runtime.predict(&images(64, 1, 8)).is_ok());
}

/// Whose fault it is that a result is no number: the base's, the task's, or the input's.
#[test]
fn what_is_no_number_is_told_and_whose() {
    let says = |runtime: &Runtime<Model>, input: &Input, part: &str| {
        let error = runtime.predict(input).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::NotFinite { .. }) && message.contains(part), "no {part:?} in {message:?}");
    };
    for value in [f32::NAN, f32::INFINITY] {
        let mut weights = Weights::bert(TINY, 1);
        weights.put(QUERY, &[TINY.hidden, TINY.hidden], &vec![value; TINY.hidden * TINY.hidden]);
        let folder = weights.folder(Dtype::F32);
        let runtime = open(&folder);
        let task = runtime.load_bytes(&head_only(&runtime), "memory").unwrap();
        runtime.switch(&task).unwrap();
        says(&runtime, &input(), QUERY);
    }
    let (runtime, _folder) = ready();
    let mut large = sentiment(runtime.base());
    for piece in &mut large.tensors {
        piece.encoding = Encoding::F32;
        if piece.name.ends_with("weight") {
            piece.values = vec![3e38; piece.shape.iter().product()];
        }
    }
    let task = runtime.load_bytes(&large.bytes(), "memory").unwrap();
    runtime.switch(&task).unwrap();
    says(&runtime, &input(), task.name());

    let base = Base::open("adapters/digits/base").unwrap();
    let digits = Runtime::new(Model::open(&base).unwrap()).with_threads(1);
    let mut pixels = vec![0.5; 2 * 64];
    pixels[100] = f32::NAN;
    says(
        &digits,
        &Input::Images(Images { pixels, batch: 2, channels: 1, height: 8, width: 8 }),
        "image 1 of the input",
    );
}
