//! A base opened with what reads its input, as the adapters that it is for were made.

use std::path::{Path, PathBuf};

use clap::Args;

use super::adapter_file::AdapterFile;
use super::console::note;
use super::image_args::CacheArgs;
use super::memory;
use super::output::{self, Input};
use super::{Error, Mode};
use crate::base::Base;
use crate::data::{Columns, Dataset, Options, Tokenizer};
use crate::files::Output;
use crate::models::{self, InputSpec, Model, Pooling};
use crate::runtime::{ImageSpec, MAX_SIDE, Network, Runtime, Settings};

/// Tokens of a text where neither a flag, an adapter nor the base says how many.
const MAX_TOKENS: usize = 128;

/// Which base, and how its input is read.
#[derive(Args)]
pub(super) struct BaseArgs {
    /// The base: a folder in Hugging Face layout or a .safetensors file
    #[arg(long, value_name = "PATH")]
    pub(super) base: PathBuf,
    #[command(flatten)]
    pub(super) how: HowArgs,
}

/// How a base is read, in place of what it says itself.
#[derive(Args, Clone, Default)]
pub(super) struct HowArgs {
    /// Architecture, in place of what the base's config.json says: resnet50, mobilenet_v2, vit, …
    #[arg(long, value_name = "NAME")]
    arch: Option<String>,
    /// Size of the images the base is to read: 96, or height x width as 51x40 [default: the adapter's, or the one the base
    /// was trained on]
    #[arg(long, value_name = "PIXELS", value_parser = image_size)]
    image_size: Option<[usize; 2]>,
    /// Longest token sequence; what is longer loses its end [default: the adapter's, the one in the base's
    /// sentence_bert_config.json or tokenizer_config.json, or 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// How the outputs for tokens become one row [default: the adapter's, or as the base's files say]
    #[arg(long, value_name = "POOLING", value_parser = pooling)]
    pooling: Option<Pooling>,
}

impl HowArgs {
    /// How the network of the base, or of another file of it, is read.
    pub(super) fn options(&self) -> models::Options {
        models::Options { architecture: self.arch.clone(), image_size: self.image_size, pooling: self.pooling }
    }

    /// Settings that a flag decides whatever an adapter was made with.
    fn decided(&self) -> Vec<&'static str> {
        let flags = [
            (Settings::IMAGE_SIZE, self.image_size.is_some()),
            // It depends on the size.
            (Settings::IMAGE_RESIZE, self.image_size.is_some()),
            (Settings::MAX_TOKENS, self.max_tokens.is_some()),
            (Settings::POOLING, self.pooling.is_some()),
        ];
        flags.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}

/// Height and width from one number or two.
fn image_size(text: &str) -> Result<[usize; 2], String> {
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    let side = |text: &str| text.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
    side(height)
        .zip(side(width))
        .map(|(height, width)| [height, width])
        .ok_or_else(|| format!("a size in pixels, as 96 or 51x40, and up to {MAX_SIDE} a side"))
}

fn pooling(text: &str) -> Result<Pooling, String> {
    let known = || Pooling::ALL.map(Pooling::name).join(", ");
    Pooling::of_name(text).ok_or_else(|| format!("one of {}", known()))
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
    /// What separates the fields of a CSV or TSV file: a character, or `tab` [default: a comma, a tab]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<char>,
    /// Whether fields of a CSV or TSV file may be quoted with " [default: on for CSV, off for TSV]
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    quoting: Option<bool>,
}

fn delimiter(text: &str) -> Result<char, String> {
    let mut characters = text.chars();
    match (text, characters.next(), characters.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        (_, Some(character), None) => Ok(character),
        _ => Err("one character, or tab".to_owned()),
    }
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off".to_owned()),
    }
}

impl ColumnArgs {
    pub(super) fn columns(&self) -> Columns {
        let Self { text_column, label_column, delimiter, quoting } = self;
        Columns { text: text_column.clone(), label: label_column.clone(), delimiter: *delimiter, quoting: *quoting }
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
    arch: Option<String>,
    /// Settings in which adapters may differ, since a flag decides.
    decided: Vec<&'static str>,
}

impl Session {
    /// Opens a base to use `adapters` with, as they were made where no flag says otherwise.
    pub(super) fn open(base: &Path, how: &HowArgs, adapters: &[AdapterFile]) -> Result<Self, Error> {
        let base = Base::open(base)?;
        let wanted = Wanted::of(adapters, how)?;
        let mut options = how.options();
        let mut model = Model::open_with(&base, &options)?;
        if wanted.adopt(&mut options, &model) {
            if let Some(pooling) = options.pooling {
                note(format_args!(
                    "{}: read with {} pooling, as the adapter was made",
                    base.path().display(),
                    pooling.name()
                ));
            }
            model = Model::open_with(&base, &options)?;
        }
        model.notes().iter().for_each(|what| note(format_args!("{}: {what}", base.path().display())));
        let (tokenizer, image) = match model.input() {
            InputSpec::Tokens(_) if how.image_size.is_some() => {
                return Err(Error::Usage("--image-size: the base reads texts".to_owned()));
            }
            InputSpec::Tokens(texts) => {
                let stated = how.max_tokens.map(|tokens| tokens as usize).or(wanted.max_tokens).or(texts.max_tokens);
                let max_tokens = stated.unwrap_or(MAX_TOKENS).min(texts.longest);
                let tokenizer = Tokenizer::open(base.folder().join("tokenizer.json"), max_tokens)?;
                (Some(tokenizer.with_prompt(&texts.prompt, texts.lowercase)), None)
            }
            InputSpec::Images(_) if how.max_tokens.is_some() => {
                return Err(Error::Usage("--max-tokens: the base reads images".to_owned()));
            }
            InputSpec::Images(spec) => {
                memory::check(&model, &spec)?;
                (None, Some(spec))
            }
        };
        let session = Self { base, model, tokenizer, image, arch: how.arch.clone(), decided: how.decided() };
        adapters.iter().try_for_each(|adapter| session.compare(adapter))?;
        Ok(session)
    }

    /// What an adapter that is made here is bound to.
    pub(super) fn settings(&self) -> Settings {
        let of_texts = self.tokenizer.as_ref().map(Tokenizer::settings).unwrap_or_default();
        self.model.settings().and(&of_texts)
    }

    /// Says in what an adapter was made otherwise than it will be used, where that is not refused.
    fn compare(&self, file: &AdapterFile) -> Result<(), Error> {
        let (adapter, origin) = (file.adapter()?, file.origin());
        let made = file.settings()?;
        if made.is_empty() {
            let message = "its file is of a version that does not say how its inputs were made: it is not checked that they are \
                           the same here";
            note(format_args!("{origin}: {message}"));
        }
        for difference in self.settings().differences(&made) {
            if self.decided.contains(&difference.name.as_str()) || !self.is_refused(&difference.name) {
                note(format_args!("{origin}: {difference}, with which it was made"));
            }
        }
        if adapter.content() != self.base.content() {
            note(format_args!("{origin}: {}", OTHER_BASE));
        }
        Ok(())
    }

    /// Fails where the folder of another checkpoint has a tokenizer that makes other tokens: what was tuned there reads others
    /// than an adapter here would.
    pub(super) fn compare_tokenizer(&self, other: &Base) -> Result<(), Error> {
        let path = other.folder().join("tokenizer.json");
        let Some(own) = self.tokenizer.as_ref().filter(|_| path.is_file()) else { return Ok(()) };
        let theirs = Tokenizer::open(&path, own.max_tokens())?.settings();
        let (key, own) = (Settings::TOKENIZER, own.settings());
        match theirs.get(key) == own.get(key) {
            true => Ok(()),
            false => Err(Error::Failed(format!("{}: it makes other tokens than that of the base", path.display()))),
        }
    }

    /// Whether loading an adapter with another setting of this name is an error.
    fn is_refused(&self, name: &str) -> bool {
        self.model.settings().get(name).is_some()
    }

    /// Fails where [`Session::open`] has a note of what an adapter was made with otherwise.
    pub(super) fn check(&self, file: &AdapterFile) -> Result<(), Error> {
        let (adapter, origin) = (file.adapter()?, file.origin());
        let differences = self.settings().differences(&file.settings()?);
        if let Some(difference) = differences.iter().find(|found| !self.decided.contains(&found.name.as_str())) {
            return Err(Error::Failed(format!("{origin}: {difference}, with which it was made")));
        }
        match adapter.content() != self.base.content() {
            true => Err(Error::Failed(format!("{origin}: {OTHER_BASE}"))),
            false => Ok(()),
        }
    }

    /// Reads labelled examples for this base, whose tokenizer or image size stands in for that of `how`, and says what is
    /// not used of them.
    pub(super) fn examples<'a>(&'a self, path: &Path, how: Options<'a>) -> Result<Dataset, Error> {
        let options = Options { tokenizer: self.tokenizer.as_ref(), image: self.image.as_ref(), ..how };
        let examples = crate::data::open(path, &options)?;
        for (path, reason) in examples.skipped() {
            note(format_args!("skipped {}: {reason}", path.display()));
        }
        examples.notes().iter().for_each(note);
        Ok(examples)
    }

    /// One line that says what the base is.
    pub(super) fn describe(&self) -> String {
        let tapped = self.model.layout().tapped().count();
        let size = super::text::bytes(self.base.bytes());
        format!("{} ({}, {tapped} tapped layers, {size} mapped)", self.base.path().display(), self.model.architecture())
    }

    pub(super) fn runtime(&self, mode: Mode) -> Runtime<&Model> {
        Runtime::new(&self.model).with_threads(mode.threads).with_overridden(self.decided.clone())
    }

    /// A runtime that loads adapters whatever sizes and poolings they are for.
    pub(super) fn any_runtime(&self, mode: Mode) -> Runtime<&Model> {
        let names = [Settings::IMAGE_SIZE, Settings::IMAGE_RESIZE, Settings::POOLING];
        Runtime::new(&self.model).with_threads(mode.threads).with_overridden(names)
    }

    /// The settings of the network as the base alone has it opened.
    pub(super) fn plain_settings(&self) -> Result<Settings, Error> {
        Ok(Model::open_with(&self.base, &models::Options { architecture: self.arch.clone(), ..Default::default() })?
            .settings())
    }
}

const OTHER_BASE: &str =
    "the tensors it changes are those of this base, but others of the base differ from those it was trained with";

/// What adapters want of a base.
#[derive(Default)]
struct Wanted {
    image_size: Option<[usize; 2]>,
    pooling: Option<Pooling>,
    max_tokens: Option<usize>,
}

impl Wanted {
    fn of(adapters: &[AdapterFile], how: &HowArgs) -> Result<Self, Error> {
        let decided = how.decided();
        let one = |name: &'static str, flag: &str| {
            let mut found: Option<(String, String)> = None;
            for adapter in adapters.iter().filter(|_| !decided.contains(&name)) {
                let Some(value) = adapter.settings()?.get(name).map(str::to_owned) else { continue };
                match &found {
                    Some((other, origin)) if *other != value => {
                        let message = format!(
                            "{origin} was made with {name} {other} and {} with {value}: use them one at a time, or pass {flag}",
                            adapter.origin()
                        );
                        return Err(Error::Usage(message));
                    }
                    _ => found = Some((value, adapter.origin())),
                }
            }
            Ok(found.map(|(value, _)| value))
        };
        Ok(Self {
            image_size: one(Settings::IMAGE_SIZE, "--image-size")?.and_then(|size| image_size(&size).ok()),
            pooling: one(Settings::POOLING, "--pooling")?.and_then(|name| Pooling::of_name(&name)),
            max_tokens: one(Settings::MAX_TOKENS, "--max-tokens")?.and_then(|tokens| tokens.parse().ok()),
        })
    }

    /// Changes the options to what the adapters want, where the network is otherwise; whether there is something to change.
    fn adopt(&self, options: &mut models::Options, model: &Model) -> bool {
        match model.input() {
            InputSpec::Images(spec) => {
                let size = self.image_size.filter(|size| *size != [spec.height, spec.width]);
                options.image_size = size.or(options.image_size);
                size.is_some()
            }
            InputSpec::Tokens(_) => {
                let stated = model.settings();
                let pooling = self.pooling.filter(|own| stated.get(Settings::POOLING) != Some(own.name()));
                options.pooling = pooling.or(options.pooling);
                pooling.is_some()
            }
        }
    }
}

/// Files of a base's folder that decide on what is read, whether they are there or not.
const WEIGHTS: [&str; 3] = ["model.safetensors", "model.safetensors.index.json", "config.json"];

impl Session {
    /// As [`output::output`], where the files of the base are inputs, too, and those that it would read if they were there.
    pub(super) fn output(&self, flag: &str, path: &Path, others: &[Input]) -> Result<Output, Error> {
        let (sources, folder) = (self.base.sources(), self.base.folder());
        let weights = WEIGHTS.into_iter().filter(|_| self.base.path().is_dir());
        let names = weights.chain(Base::companion_names()).map(|name| folder.join(name));
        let base = sources.chain(names).map(|path| (path, "a file of the base"));
        output::output(flag, path, &base.chain(others.iter().cloned()).collect::<Vec<_>>())
    }
}
