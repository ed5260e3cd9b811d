//! Files for the tests of this module.

use std::path::{Path, PathBuf};

/// A temporary folder, removed when dropped.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and the folders it lies in.
    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Writes a PNG of `width` times `height` pixels of one colour.
    pub(super) fn write_png(&self, name: &str, width: u32, height: u32, colour: [u8; 3]) -> PathBuf {
        let path = self.write(name, "");
        image::RgbImage::from_pixel(width, height, image::Rgb(colour))
            .save_with_format(&path, image::ImageFormat::Png)
            .unwrap();
        path
    }
}

/// A WordPiece tokenizer of a few words, with or without `[CLS]` and `[SEP]` around a sequence.
pub(super) fn tokenizer_json(special: bool) -> String {
    let post_processor =
        if special { r#"{"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}"# } else { "null" };
    format!(
        r###"{{
            "version": "1.0", "truncation": null,
            "padding": {{"strategy": {{"Fixed": 16}}, "direction": "Right", "pad_to_multiple_of": null,
                        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}},
            "added_tokens": [], "normalizer": {{"type": "Lowercase"}}, "pre_tokenizer": {{"type": "Whitespace"}},
            "post_processor": {post_processor}, "decoder": null,
            "model": {{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100,
                      "vocab": {{"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "red": 4, "car": 5, "##s": 6, "blue": 7}}}}
        }}"###
    )
}

/// Images of this size, as their bytes divided by 255.
pub(super) fn spec(channels: usize, height: usize, width: usize) -> crate::runtime::ImageSpec {
    crate::runtime::ImageSpec::new(channels, [height, width], vec![0.0; channels], vec![1.0; channels])
}

/// An IDX file of unsigned bytes.
pub(super) fn idx(sides: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sides.len() as u8];
    bytes.extend(sides.iter().flat_map(|side| side.to_be_bytes()));
    bytes.extend(body);
    bytes
}
