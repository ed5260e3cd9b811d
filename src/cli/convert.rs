//! `taps diff`, `merge`, `import-lora`, `scale` and `combine`.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::json;

use super::adapter_file::{TrustArgs, check_names};
use super::console::note;
use super::output::{data, inputs};
use super::session::{BaseArgs, ReadArgs, Session};
use super::text::{bytes, percent};
use super::{Error, Mode, quantity};
use crate::base::Base;
use crate::convert::{self, Combine, Diff, Lora};
use crate::data::Options;
use crate::files::Output;
use crate::format::Adapter;
use crate::models::Model;
use crate::runtime::{Examples, Network, Settings};

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  taps diff --base minilm/ --tuned finetuned/ --max-active-layers 4 --task banking --out banking.taps"
)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    base: BaseArgs,
    /// Fine-tuned checkpoint of the same network: a folder in Hugging Face layout or a .safetensors file
    #[arg(long, value_name = "PATH")]
    tuned: PathBuf,
    /// Name of the task
    #[arg(long, value_name = "NAME")]
    task: String,
    /// Adapter file to write; an existing one is replaced whole
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The most layers with a delta [default: all that differ]
    #[arg(long, value_name = "K")]
    max_active_layers: Option<usize>,
    /// Bytes of the adapter file, as 5M [default: any]
    #[arg(long, value_name = "BYTES", value_parser = quantity::bytes)]
    max_bytes: Option<usize>,
    /// Labelled examples to rank layers by what the outputs lose without them [default: by the norms of their deltas]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Examples of them that are used, at most
    #[arg(long, value_name = "N", default_value_t = 512)]
    examples: usize,
    /// Seed of the choice of examples
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) fn diff(args: &DiffArgs, mode: Mode) -> Result<(), Error> {
    let session = Session::open(&args.base.base, &args.base.how, &[])?;
    let tuned = Base::open(&args.tuned)?;
    let tuned_model = Model::open_with(&tuned, &args.base.how.options())?;
    tuned_model.notes().iter().for_each(|what| note(format_args!("{}: {what}", tuned.path().display())));
    session.compare_tokenizer(&tuned)?;
    let sources: Vec<PathBuf> = tuned.sources().collect();
    let read = [inputs(&sources, "a file of the checkpoint"), data(&args.data)].concat();
    let out = session.output("--out", &args.out, &read)?;
    check_names(&args.task, tuned_model.layout().labels())?;
    let labels = Some(tuned_model.layout().labels()).filter(|labels| !labels.is_empty());
    let how = Options { labels, ..args.read.options(session.image.as_ref())? };
    let examples = args.data.as_ref().map(|data| session.examples(data, how)).transpose()?;
    let bound = session.settings();
    let settings = Diff {
        settings: &bound,
        task: &args.task,
        max_active_layers: args.max_active_layers,
        max_bytes: args.max_bytes,
        examples: examples.as_ref().map(|examples| examples as &dyn Examples),
        count: args.examples,
        seed: args.seed,
        threads: mode.threads,
    };
    let found = convert::diff(&session.base, &session.model, &tuned, &tuned_model, &settings)?;
    out.write(&found.bytes)?;
    let layout = session.model.layout();
    let name = |id| layout.layer(id).name.as_str();
    for layer in &found.layers {
        let (word, change) = (if layer.kept { "kept   " } else { "dropped" }, percent(layer.change.into()));
        let worth = layer.worth.filter(|_| examples.is_some()).map(|worth| format!(", worth {worth:.5}"));
        mode.say(format_args!("{word} {}: changed by {change}{}", name(layer.layer), worth.unwrap_or_default()));
    }
    if let Some([before, after]) = found.scores {
        let (from, to) = (percent(before.accuracy()), percent(after.accuracy()));
        mode.say(format_args!("score   {to} in place of {from} on {} examples", after.examples));
    }
    mode.say(format_args!("wrote   {}: {}", args.out.display(), bytes(found.bytes.len())));
    let layers = found.layers.iter().map(
        |layer| json!({ "layer": name(layer.layer), "change": layer.change, "worth": layer.worth, "kept": layer.kept }),
    );
    mode.result(&json!({
        "out": args.out.display().to_string(),
        "bytes": found.bytes.len(),
        "layers": layers.collect::<Vec<_>>(),
        "accuracy": found.scores.map(|scores| scores.map(|score| score.accuracy())),
        "divergence": found.divergence,
    }));
    Ok(())
}

#[derive(ClapArgs)]
#[command(after_help = "Example:\n  taps merge --base minilm/ --adapter banking.taps --out merged.safetensors")]
pub(super) struct MergeArgs {
    #[command(flatten)]
    base: BaseArgs,
    /// Adapter file
    #[arg(long, value_name = "FILE")]
    adapter: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// Checkpoint to write: a .safetensors file, or a folder for that and what belongs to it; an existing file is replaced
    /// whole
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
}

pub(super) fn merge(args: &MergeArgs, mode: Mode) -> Result<(), Error> {
    let files = [args.trust.keys()?.read(&args.adapter)?];
    let session = Session::open(&args.base.base, &args.base.how, &files)?;
    for file in convert::merged_files(&session.base, &args.out) {
        // A folder that is not there yet is made.
        if file.parent().is_none_or(Path::is_dir) {
            session.output("--out", &file, &inputs([&args.adapter], "the adapter"))?;
        }
    }
    if let [size @ Some(_), stated] =
        [session.model.settings(), session.plain_settings()?].map(|of| of.get(Settings::IMAGE_SIZE).map(str::to_owned))
        && size != stated
    {
        let size = size.unwrap_or_default();
        note(format_args!(
            "the task reads images of {size}, and no file of the checkpoint says so: pass --image-size with it"
        ));
    }
    for removed in convert::merge(&session.base, &session.model, &files[0].adapter()?, &args.out)? {
        note(format_args!("removed {}, which belonged to another checkpoint", removed.display()));
    }
    mode.say(format_args!("wrote   {}", args.out.display()));
    mode.result(&json!({ "out": args.out.display().to_string() }));
    Ok(())
}

#[derive(ClapArgs)]
#[command(after_help = "Example:\n  taps import-lora --base minilm/ --lora lora/ --task banking --out banking.taps")]
pub(super) struct LoraArgs {
    #[command(flatten)]
    base: BaseArgs,
    /// Folder that PEFT wrote: adapter_config.json and adapter_model.safetensors
    #[arg(long, value_name = "DIR")]
    lora: PathBuf,
    /// Name of the task
    #[arg(long, value_name = "NAME")]
    task: String,
    /// Class names of a head that it brings, in order, with commas [default: the base's, or numbers]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    labels: Vec<String>,
    /// Adapter file to write; an existing one is replaced whole
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn import_lora(args: &LoraArgs, mode: Mode) -> Result<(), Error> {
    let session = Session::open(&args.base.base, &args.base.how, &[])?;
    let read = ["adapter_config.json", "adapter_model.safetensors"].map(|name| args.lora.join(name));
    let out = session.output("--out", &args.out, &inputs(&read, "a file of the LoRA"))?;
    check_names(&args.task, &args.labels)?;
    let settings = session.settings();
    let lora = Lora { folder: &args.lora, task: &args.task, labels: &args.labels, settings: &settings };
    write(&out, &convert::import_lora(&session.base, &session.model, &lora)?, mode)
}

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  taps scale banking.taps scaled.taps --base minilm/ --lines 0.6,0.4\n\nThe deltas of block l of L are scaled by α + β (l - 1) / (L - 1) (LiNeS, arXiv 2410.17146)."
)]
pub(super) struct ScaleArgs {
    /// Adapter to scale
    #[arg(value_name = "IN")]
    adapter: PathBuf,
    /// Where to; an existing file is replaced whole
    #[arg(value_name = "OUT")]
    out: PathBuf,
    #[command(flatten)]
    base: BaseArgs,
    /// Factor of the first block, and what is added up to the last
    #[arg(long, value_name = "α,β", value_parser = pair)]
    lines: (f32, f32),
    #[command(flatten)]
    trust: TrustArgs,
}

fn pair(text: &str) -> Result<(f32, f32), String> {
    let numbers = text.split_once(',').and_then(|(alpha, beta)| Some((alpha.parse().ok()?, beta.parse().ok()?)));
    numbers.ok_or_else(|| "two numbers, as 0.6,0.4".to_owned())
}

pub(super) fn scale(args: &ScaleArgs, mode: Mode) -> Result<(), Error> {
    let files = [args.trust.keys()?.read(&args.adapter)?];
    let session = Session::open(&args.base.base, &args.base.how, &files)?;
    let out = session.output("OUT", &args.out, &inputs([&args.adapter], "the adapter"))?;
    let (alpha, beta) = args.lines;
    write(&out, &convert::scale(&session.base, &session.model, &files[0].adapter()?, alpha, beta)?, mode)
}

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  taps combine a.taps b.taps --base minilm/ --method ties --task both --out both.taps\n\nHeads and statistics do not combine: those of the first adapter stay."
)]
pub(super) struct CombineArgs {
    /// Adapters of one base
    #[arg(value_name = "FILE", num_args = 2.., required = true)]
    adapters: Vec<PathBuf>,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    trust: TrustArgs,
    /// How deltas are combined
    #[arg(long, value_enum, default_value_t = CombineMethod::Sum)]
    method: CombineMethod,
    /// Factor on what comes out
    #[arg(long, value_name = "C", default_value_t = 1.0)]
    factor: f32,
    /// Share of the elements of each delta that ties keeps
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    density: f32,
    /// Name of the task
    #[arg(long, value_name = "NAME")]
    task: String,
    /// Adapter file to write; an existing one is replaced whole
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum CombineMethod {
    /// Their sum
    Sum,
    /// The largest elements of each, the sign by vote, and the mean of those that agree
    Ties,
}

pub(super) fn combine(args: &CombineArgs, mode: Mode) -> Result<(), Error> {
    let files = args.trust.keys()?.read_all(&args.adapters)?;
    let session = Session::open(&args.base.base, &args.base.how, &files)?;
    let out = session.output("--out", &args.out, &inputs(&args.adapters, "an adapter to combine"))?;
    check_names(&args.task, &[])?;
    let adapters: Vec<Adapter<'_>> = files.iter().map(|file| file.adapter()).collect::<Result<_, _>>()?;
    let (factor, density) = (args.factor, args.density);
    let how = match args.method {
        CombineMethod::Sum => Combine::Sum { factor },
        CombineMethod::Ties => Combine::Ties { density, factor },
    };
    write(&out, &convert::combine(&session.base, &session.model, &adapters, &args.task, how)?, mode)
}

fn write(out: &Output, made: &[u8], mode: Mode) -> Result<(), Error> {
    out.write(made)?;
    mode.say(format_args!("wrote   {}: {}", out.path().display(), bytes(made.len())));
    mode.result(&json!({ "out": out.path().display().to_string(), "bytes": made.len() }));
    Ok(())
}
