//! A base opened with what reads its input.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Error;
use crate::base::Base;
use crate::data::{Columns, Dataset, ImageSpec, Options, Tokenizer};
use crate::models::{InputSpec, Model};
use crate::runtime::{Network, Runtime};

/// Which base, and how its input is read.
#[derive(Args)]
pub(super) struct BaseArgs {
    /// The base: a folder in Hugging Face layout or a .safetensors file
    #[arg(long, value_name = "PATH")]
    pub(super) base: PathBuf,
    /// Longest token sequence; what is longer loses its end
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(super) max_tokens: usize,
}

/// Which columns of a text file are read.
#[derive(Args)]
pub(super) struct ColumnArgs {
    /// Column of the text [default: found by its name]
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// Column of the label [default: found by its name]
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
}

impl ColumnArgs {
    pub(super) fn columns(&self) -> Columns {
        Columns { text: self.text_column.clone(), label: self.label_column.clone() }
    }
}

/// A base, its network, and its tokenizer or image size.
pub(super) struct Session {
    pub(super) base: Base,
    pub(super) model: Model,
    pub(super) tokenizer: Option<Tokenizer>,
    pub(super) image: Option<ImageSpec>,
}

impl Session {
    pub(super) fn open(args: &BaseArgs) -> Result<Self, Error> {
        let base = Base::open(&args.base)?;
        let model = Model::open(&base)?;
        let (tokenizer, image) = match model.input() {
            InputSpec::Tokens { max } => {
                let tokenizer = Tokenizer::open(base.folder().join("tokenizer.json"), args.max_tokens.min(max))?;
                (Some(tokenizer), None)
            }
            InputSpec::Images { channels, size, mean, std } => {
                (None, Some(ImageSpec { channels, height: size, width: size, mean, std }))
            }
        };
        Ok(Self { base, model, tokenizer, image })
    }

    /// Reads labelled examples for this base.
    pub(super) fn examples(&self, path: &Path, columns: Columns, labels: Option<&[String]>) -> Result<Dataset, Error> {
        let options = Options { columns, tokenizer: self.tokenizer.as_ref(), image: self.image.as_ref(), labels };
        Ok(crate::data::open(path, &options)?)
    }

    /// One line that says what the base is.
    pub(super) fn describe(&self) -> String {
        let tapped = self.model.layout().tapped().count();
        let size = super::text::bytes(self.base.bytes());
        format!("{} ({}, {tapped} tapped layers, {size} mapped)", self.base.path().display(), self.model.architecture())
    }

    pub(super) fn runtime(self, threads: usize) -> Runtime<Model> {
        Runtime::new(self.base, self.model).with_threads(threads)
    }
}
