//! A base opened with what reads its input.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Error;
use super::image_args::CacheArgs;
use super::keys::public_keys;
use crate::base::Base;
use crate::data::{Columns, Dataset, ImageSpec, Options, Tokenizer};
use crate::models::{self, InputSpec, Model};
use crate::runtime::{Network, Runtime};

/// Which base, and how its input is read.
#[derive(Args)]
pub(super) struct BaseArgs {
    /// The base: a folder in Hugging Face layout or a .safetensors file
    #[arg(long, value_name = "PATH")]
    pub(super) base: PathBuf,
    /// Architecture, in place of what the base's config.json says: resnet50, mobilenet_v2, vit, …
    #[arg(long, value_name = "NAME")]
    arch: Option<String>,
    /// Size of the images the base is to read, in place of the one it was trained on: 96, or height x width as 51x40
    #[arg(long, value_name = "PIXELS", value_parser = image_size)]
    image_size: Option<[usize; 2]>,
    /// Longest token sequence; what is longer loses its end
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(super) max_tokens: usize,
}

impl BaseArgs {
    /// How the network of the base, or of another file of it, is read.
    pub(super) fn options(&self) -> models::Options {
        models::Options { architecture: self.arch.clone(), image_size: self.image_size }
    }

    /// A base that reads images, as its configuration says.
    pub(super) fn of(base: &Path) -> Self {
        Self { base: base.to_owned(), arch: None, image_size: None, max_tokens: 1 }
    }
}

/// Height and width from one number or two.
fn image_size(text: &str) -> Result<[usize; 2], String> {
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    let side = |text: &str| text.parse().ok().filter(|side| (1..=1 << 14).contains(side));
    side(height)
        .zip(side(width))
        .map(|(height, width)| [height, width])
        .ok_or("a size in pixels, as 96 or 51x40".into())
}

/// Which adapters are accepted.
#[derive(Args)]
pub(super) struct TrustArgs {
    /// Public key; only adapters signed by one of those named are accepted [default: any]
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
}

impl TrustArgs {
    pub(super) fn on<N: Network>(&self, runtime: Runtime<N>) -> Result<Runtime<N>, Error> {
        match self.trust.is_empty() {
            true => Ok(runtime),
            false => Ok(runtime.with_trusted(public_keys(&self.trust)?)),
        }
    }
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

/// How labelled examples are read.
#[derive(Args)]
pub(super) struct ReadArgs {
    #[command(flatten)]
    columns: ColumnArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

impl ReadArgs {
    /// The same, for a base that reads `image`.
    pub(super) fn options(&self, image: Option<&ImageSpec>) -> Result<Options<'static>, Error> {
        Ok(Options { columns: self.columns.columns(), cache: self.cache.bytes(image)?, ..Options::default() })
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
        let model = Model::open_with(&base, &args.options())?;
        for tensor in model.layout().unused(&base) {
            // What training leaves in a file and no network reads.
            if !tensor.ends_with("num_batches_tracked") && !tensor.ends_with("position_ids") {
                eprintln!("note: {}: tensor {tensor} is not used", base.path().display());
            }
        }
        let (tokenizer, image) = match model.input() {
            InputSpec::Tokens { max } => {
                let tokenizer = Tokenizer::open(base.folder().join("tokenizer.json"), args.max_tokens.min(max))?;
                (Some(tokenizer), None)
            }
            InputSpec::Images { channels, height, width, mean, std } => {
                (None, Some(ImageSpec { channels, height, width, mean, std }))
            }
        };
        Ok(Self { base, model, tokenizer, image })
    }

    /// Reads labelled examples for this base, whose tokenizer or image size stands in for that of `how`.
    pub(super) fn examples<'a>(&'a self, path: &Path, how: Options<'a>) -> Result<Dataset, Error> {
        let options = Options { tokenizer: self.tokenizer.as_ref(), image: self.image.as_ref(), ..how };
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
