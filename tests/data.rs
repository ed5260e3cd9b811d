//! Data sets from files to batches, through the public door.
#![cfg(feature = "data")]

use std::path::{Path, PathBuf};
use taps::data::{Augment, Columns, Dataset, Error, Options, Tokenizer, open, read_texts};
use taps::runtime::{Examples, ImageSpec, Input};

const TOKENIZER: &str = r###"{
    "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
    "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, "decoder": null,
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100,
              "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "card": 4, "##s": 5, "lost": 6}}
}"###;

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

fn png(folder: &Path, name: &str, colour: [u8; 3]) {
    let path = write(folder, name, "");
    image::RgbImage::from_pixel(6, 4, image::Rgb(colour)).save(path).unwrap();
}

fn spec() -> ImageSpec {
    ImageSpec::new(3, [2, 2], vec![0.5; 3], vec![0.5; 3])
}

#[test]
fn texts_are_trained_on_evaluated_and_predicted() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = Tokenizer::open(write(folder.path(), "tokenizer.json", TOKENIZER), 4).unwrap();
    let mut how = Options { tokenizer: Some(&tokenizer), ..Options::default() };

    let train = write(folder.path(), "train.csv", "text,category\n\"lost, lost\",b\nCards lost again,a\n");
    let train = open(train, &how).unwrap();
    assert_eq!(train.classes(), ["a", "b"]);
    let Input::Tokens(batch) = train.batch(&[1, 0]).unwrap() else { panic!("texts are tokens") };
    assert_eq!(batch.ids, [2, 4, 5, 3, 2, 6, 1, 3]);
    assert_eq!(batch.segments.ranges().collect::<Vec<_>>(), [0..4, 4..8]);

    how.labels = Some(train.classes());
    let test = write(folder.path(), "test.jsonl", "{\"category\": \"b\", \"text\": \"card\"}\n");
    let set = open(&test, &how).unwrap();
    assert_eq!((set.classes().len(), set.label(0), set.rows(0)), (2, 1, 3));
    let other = write(folder.path(), "other.tsv", "text\tcategory\ncard\ta\ncard\tc\n");
    let error = open(&other, &how).unwrap_err();
    let expected = format!("{}:3: label `c` is none of the adapter's 2 classes", other.display());
    assert!(error.to_string().starts_with(&expected), "{error}");

    assert_eq!(read_texts(&test, &Columns::default()).unwrap().texts, ["card"]);
}

#[test]
fn columns_that_are_not_recognised_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = Tokenizer::open(write(folder.path(), "tokenizer.json", TOKENIZER), 8).unwrap();
    let path = write(folder.path(), "f.csv", "id,what,kind\n1,card,a\n2,lost,b\n");
    let mut how = Options { tokenizer: Some(&tokenizer), ..Options::default() };
    let message = open(&path, &how).unwrap_err().to_string();
    assert!(message.contains("`id`, `what`, `kind`") && message.contains("--text-column"), "{message}");
    how.columns.text = Some("what".into());
    let message = open(&path, &how).unwrap_err().to_string();
    assert!(message.contains("--label-column"), "{message}");
    how.columns.label = Some("kind".into());
    assert_eq!(open(&path, &how).unwrap().classes(), ["a", "b"]);
}

#[test]
fn a_folder_of_images_loses_few_of_them_or_fails() {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..100 {
        png(folder.path(), &format!("black/{index:03}.png"), [0; 3]);
    }
    png(folder.path(), "white/0.png", [255; 3]);
    write(folder.path(), "black/broken.png", "no image");
    let spec = spec();
    let how = Options { image: Some(&spec), ..Options::default() };
    let set = open(folder.path(), &how).unwrap();
    assert_eq!((set.len(), set.classes(), set.label(100)), (101, ["black", "white"].map(String::from).as_slice(), 1));
    let Dataset::Images(images) = &set else { panic!("a folder is images") };
    assert!(images.skipped()[0].0.ends_with("black/broken.png"));
    let Input::Images(batch) = set.batch(&[100, 0]).unwrap() else { panic!("images are images") };
    assert_eq!(batch.pixels, [vec![1.0; 12], vec![-1.0; 12]].concat());

    write(folder.path(), "white/1.png", "no image either");
    let error = open(folder.path(), &how).unwrap_err();
    assert!(matches!(error, Error::SkippedImages { skipped: 2, total: 103, .. }), "{error}");
}

#[test]
fn images_beyond_the_memory_limit_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec();
    for class in ["a", "b"] {
        let path = write(folder.path(), &format!("{class}/0.png"), "");
        image::RgbImage::from_fn(4, 4, |x, y| image::Rgb([x as u8 * 60, y as u8 * 60, 9])).save(path).unwrap();
    }
    let mut how = Options { image: Some(&spec), ..Options::default() };
    let whole = open(folder.path(), &how).unwrap();
    how.cache = 12;
    how.augment = Augment { crop: 1, flip: true };
    let set = open(folder.path(), &how).unwrap();
    let pixels = |input| match input {
        Input::Images(images) => images.pixels,
        Input::Tokens(_) => panic!("images are images"),
    };
    let plain = pixels(whole.batch(&[1, 0]).unwrap());
    assert_eq!(pixels(set.batch(&[1, 0]).unwrap()), plain);
    assert_eq!(pixels(whole.training_batch(&[1, 0], 5).unwrap()), plain);
    let trained: Vec<Vec<f32>> = (0..20).map(|seed| pixels(set.training_batch(&[1, 0], seed).unwrap())).collect();
    assert_eq!(pixels(set.training_batch(&[1, 0], 0).unwrap()), trained[0]);
    assert!(trained.iter().any(|batch| *batch != plain));

    std::fs::remove_file(folder.path().join("b/0.png")).unwrap();
    assert!(set.batch(&[0]).is_ok());
    let message = set.batch(&[0, 1]).unwrap_err().to_string();
    assert!(message.starts_with(&folder.path().join("b/0.png").display().to_string()), "{message}");
}

#[test]
fn an_idx_pair_is_images() {
    let folder = tempfile::tempdir().unwrap();
    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2], &[255; 4][..], &[0; 4]].concat();
    let images = write(folder.path(), "train-images-idx3-ubyte", images);
    write(folder.path(), "train-labels-idx1-ubyte", [0, 0, 8, 1, 0, 0, 0, 2, 7, 3]);
    let spec = spec();
    let how = Options { image: Some(&spec), ..Options::default() };
    for path in [images.as_path(), folder.path()] {
        let set = open(path, &how).unwrap();
        assert_eq!((set.classes(), set.label(0)), (["3", "7"].map(String::from).as_slice(), 1));
        let Input::Images(batch) = set.batch(&[0]).unwrap() else { panic!("images are images") };
        assert_eq!(batch.pixels, [1.0; 12]);
    }
}
