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
