//! `taps recode`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};

use super::adapter_file::{AdapterFile, TrustArgs};
use super::output::{data, inputs};
use super::session::{BaseArgs, ReadArgs, Session};
use super::text::{bytes, percent};
use super::{Error, Mode, quantity};
use crate::convert::{Kind, Rank, Recode, Recoded, Storage, recode};
use crate::data::Options;
use crate::runtime::{Examples, Network};
use crate::train::Config;

/// Steps of calibration, and examples to measure on, unless others are asked for.
const CALIBRATION: usize = 400;
const EXAMPLES: usize = 4096;

#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  taps recode banking.taps small.taps --base minilm/ --encoding int4\n  taps recode banking.taps small.taps --base minilm/ --encoding auto --max-bytes 64k --data train.csv"
)]
pub(super) struct Args {
    /// Adapter to store anew
    #[arg(value_name = "IN")]
    adapter: PathBuf,
    /// Where to; an existing file is replaced whole
    #[arg(value_name = "OUT")]
    out: PathBuf,
    #[command(flatten)]
    base: BaseArgs,
    /// How the deltas of layers are stored
    #[arg(long, value_enum)]
    encoding: Way,
    /// How the head's weight is stored; --encoding auto chooses that itself
    #[arg(long, value_enum, default_value_t = HeadWay::F32)]
    head_encoding: HeadWay,
    /// Elements that share a scale with int4: even
    #[arg(long, value_name = "N", default_value_t = 32)]
    group: u32,
    /// Rank with low-rank [default: the lowest that keeps --energy]
    #[arg(long, value_name = "N")]
    rank: Option<u32>,
    /// Share of the sum of squares that the rank is to keep with low-rank
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    energy: f32,
    /// Factors in f16 with low-rank
    #[arg(long)]
    half: bool,
    /// Share of the elements that are kept with sparse
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    share: f32,
    /// Bytes of the file with auto, as 64k
    #[arg(long, value_name = "BYTES", value_parser = quantity::bytes, conflicts_with = "max_loss")]
    max_bytes: Option<usize>,
    /// How much higher the mean loss on the examples may be with auto
    #[arg(long, value_name = "LOSS")]
    max_loss: Option<f32>,
    /// Labelled examples to choose encodings and calibrate scales by: those of the training
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Examples of them that are used, at most
    #[arg(long, value_name = "N", default_value_t = EXAMPLES)]
    examples: usize,
    /// Steps in which what one-bit and low-rank deltas lose is made up for, with --data
    #[arg(long, value_name = "N", default_value_t = CALIBRATION)]
    calibration: usize,
    /// Seed of the choice of examples
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    trust: TrustArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Each tensor as costs least under --max-bytes or --max-loss; needs --data
    Auto,
    /// Exact
    F32,
    /// Half the bytes
    F16,
    /// A byte each, with a scale per output channel
    Int8,
    /// Half a byte each, with a scale for each --group
    Int4,
    /// Signs, with a scale per output channel
    OneBit,
    /// Two factors: see --rank and --energy
    LowRank,
    /// The largest elements: see --share
    Sparse,
}

#[derive(Clone, Copy, ValueEnum)]
enum HeadWay {
    /// Exact
    F32,
    /// Half the bytes
    F16,
    /// A byte each, with a scale per class
    Int8,
    /// Half a byte each, with a scale for each --group
    Int4,
}

impl Args {
    fn storage(&self) -> Result<Storage, Error> {
        let share = |name: &str, share: f32| match share > 0.0 && share <= 1.0 {
            true => Ok(share),
            false => Err(Error::Usage(format!("--{name}: {share} is not above 0 and up to 1"))),
        };
        if !self.group.is_multiple_of(2) || self.group == 0 {
            return Err(Error::Usage(format!("--group: {} is not even", self.group)));
        }
        let group = self.group;
        let rank = match self.rank {
            Some(0) => return Err(Error::Usage("--rank: at least 1".to_owned())),
            Some(rank) => Rank::Of(rank),
            None => Rank::Energy(share("energy", self.energy)?),
        };
        let deltas = match self.encoding {
            Way::Auto => {
                if self.data.is_none() {
                    return Err(Error::Usage("--encoding auto needs examples to choose by: name --data".to_owned()));
                }
                return match (self.max_bytes, self.max_loss) {
                    (Some(limit), _) => Ok(Storage::Within(limit)),
                    (_, Some(loss)) if loss >= 0.0 && loss.is_finite() => Ok(Storage::AtLoss(loss)),
                    (_, Some(loss)) => Err(Error::Usage(format!("--max-loss: {loss} is not 0 or more"))),
                    _ => Err(Error::Usage("--encoding auto needs --max-bytes or --max-loss".to_owned())),
                };
            }
            _ if self.max_bytes.is_some() || self.max_loss.is_some() => {
                return Err(Error::Usage("--max-bytes and --max-loss are for --encoding auto".to_owned()));
            }
            Way::F32 => Kind::F32,
            Way::F16 => Kind::F16,
            Way::Int8 => Kind::Int8,
            Way::Int4 => Kind::Int4 { group },
            Way::OneBit => Kind::OneBit,
            Way::LowRank => Kind::LowRank { rank, half: self.half },
            Way::Sparse => Kind::Sparse(share("share", self.share)?),
        };
        let head = match self.head_encoding {
            HeadWay::F32 => Kind::F32,
            HeadWay::F16 => Kind::F16,
            HeadWay::Int8 => Kind::Int8,
            HeadWay::Int4 => Kind::Int4 { group },
        };
        Ok(Storage::Every { deltas, head })
    }
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    let storage = args.storage()?;
    let files = [args.trust.keys()?.read(&args.adapter)?];
    let adapter = files[0].adapter()?;
    let session = Session::open(&args.base.base, &args.base.how, &files)?;
    let read = [inputs([&args.adapter], "the adapter"), data(&args.data)].concat();
    let out = session.output("OUT", &args.out, &read)?;
    let labels: Vec<String> = adapter.labels().map(str::to_owned).collect();
    let labels = if labels.is_empty() { session.model.layout().labels() } else { &labels };
    let how = Options { labels: Some(labels), ..args.read.options(session.image.as_ref())? };
    let examples = args.data.as_ref().map(|data| session.examples(data, how)).transpose()?;
    let settings = Recode {
        storage,
        calibration: args.calibration,
        examples: args.examples,
        seed: args.seed,
        threads: mode.threads,
    };
    let examples = examples.as_ref().map(|examples| examples as &dyn Examples);
    let recoded = recode(&session.base, &session.model, &adapter, &settings, examples)?;
    out.write(&recoded.bytes)?;
    tell(&recoded, mode);
    let (before, after) = (bytes(adapter.len()), bytes(recoded.bytes.len()));
    mode.say(format_args!("wrote   {}: {after} in place of {before}", args.out.display()));
    let mut result = summary(&recoded);
    result["out"] = args.out.display().to_string().into();
    result["bytes_before"] = adapter.len().into();
    mode.result(&result);
    Ok(())
}

/// Stores an adapter that was just tuned anew, by the examples it was tuned on.
pub(super) fn tuned(
    session: &Session,
    exact: &AdapterFile,
    storage: Storage,
    examples: &dyn Examples,
    config: &Config,
) -> Result<Recoded, Error> {
    let (seed, threads) = (config.seed, config.threads);
    let settings = Recode { storage, calibration: CALIBRATION, examples: EXAMPLES, seed, threads };
    Ok(recode(&session.base, &session.model, &exact.adapter()?, &settings, Some(examples))?)
}

/// Prints what became of each tensor, and of the whole.
pub(super) fn tell(recoded: &Recoded, mode: Mode) {
    for tensor in recoded.tensors.iter().filter(|tensor| tensor.encodings[1] != tensor.encodings[0]) {
        let ([from, to], size) = (tensor.encodings.map(|encoding| encoding.to_string()), bytes(tensor.bytes));
        let lost = percent(tensor.error.into());
        mode.say(format_args!("{size:>10}  {from} to {to:<14} {lost:>7} lost  {}", tensor.name));
    }
    if let (Some([before, after]), Some(divergence)) = (recoded.scores, recoded.divergence) {
        let (from, to) = (percent(before.accuracy()), percent(after.accuracy()));
        mode.say(format_args!("score   {to} in place of {from} on {} examples", after.examples));
        mode.say(format_args!("loss    {:.4} in place of {:.4}, divergence {divergence:.5}", after.loss, before.loss));
    }
}

/// The same for a machine.
pub(super) fn summary(recoded: &Recoded) -> Value {
    let tensors = recoded.tensors.iter().map(|tensor| {
        let [from, to] = tensor.encodings.map(|encoding| encoding.to_string());
        json!({ "name": tensor.name, "from": from, "encoding": to, "bytes": tensor.bytes, "error": tensor.error })
    });
    json!({
        "bytes": recoded.bytes.len(),
        "tensors": tensors.collect::<Vec<_>>(),
        "accuracy": recoded.scores.map(|scores| scores.map(|score| score.accuracy())),
        "loss": recoded.scores.map(|scores| scores.map(|score| score.loss)),
        "divergence": recoded.divergence,
    })
}
