//! Options of a fine-tune.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::quantity::Limit;
use super::{Error, quantity, rank};
use crate::convert::{Kind, Storage};
use crate::format::Encoding;
use crate::kernels::Precision;
use crate::train::{Budget, Config, Method, Norms, Optimizer, Patch, Select};

/// Active layers where nothing else limits them.
const LAYERS: usize = 8;

/// What a task may change, and how it is tuned.
#[derive(Args)]
pub(super) struct TuneArgs {
    /// What the task may change
    #[arg(long, value_enum, default_value_t = MethodArg::Taps)]
    method: MethodArg,
    /// What --method patch learns anew
    #[arg(long, value_enum, default_value_t = PatchArg::ScaleBias)]
    patch: PatchArg,
    /// Keep the base's head, whose classes the data must have
    #[arg(long)]
    no_head: bool,
    /// Hard cap on layers with a delta, or `all` [default: 8 for `train` where nothing else limits the layers]
    #[arg(long, value_name = "K", value_parser = quantity::limit)]
    max_active_layers: Option<Limit>,
    /// Bytes that deltas of layers may take in f32; layers that do not fit are passed over [default: any]
    #[arg(long, value_name = "BYTES", value_parser = quantity::bytes)]
    max_layer_bytes: Option<usize>,
    /// Bytes of the adapter file, as 64k or 20M; layers are chosen so that it holds [default: any]
    #[arg(long, value_name = "BYTES", value_parser = quantity::bytes)]
    max_adapter_bytes: Option<usize>,
    /// Bytes of memory beside the mapped base and the data, as 64M; layers are chosen so that it holds [default: any]
    #[arg(long, value_name = "BYTES", value_parser = quantity::bytes)]
    max_memory: Option<usize>,
    /// Time for the run, in seconds or as 90s, 5m, 2h [default: any]
    #[arg(long, value_name = "TIME", value_parser = quantity::time)]
    max_time: Option<Duration>,
    /// Steps of the optimizer in all [default: any]
    #[arg(long, value_name = "N")]
    max_steps: Option<usize>,
    /// How the layers that may change are chosen
    #[arg(long, value_enum, default_value_t = SelectArg::Probe)]
    select: SelectArg,
    /// Ranking to choose layers by, which `taps rank` wrote; without one, --select ranked uses ranking.json in the folder
    /// of the base
    #[arg(long, value_name = "FILE")]
    ranking: Option<PathBuf>,
    /// Layers to change, by name or by a prefix of whole name parts; replaces --select
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with = "select")]
    layers: Vec<String>,
    /// How the weights of active layers are stored
    #[arg(long, value_enum, default_value_t = EncodingArg::F32)]
    encoding: EncodingArg,
    /// Bytes of the adapter file with --encoding auto, as 64k; layers are chosen that can be stored within it
    #[arg(long, value_name = "BYTES", value_parser = quantity::bytes)]
    max_bytes: Option<usize>,
    /// Whether the task has normalization parameters of its own
    #[arg(long, value_enum, default_value_t = NormsArg::Auto)]
    norms: NormsArg,
    /// Passes over the examples
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Examples in a step
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Examples of a step that are computed at once [default: all, or as many as --max-memory lets be]
    #[arg(long, value_name = "N")]
    micro_batch: Option<usize>,
    /// Compute activations again on the way back rather than keep them: less memory, more time [default: where
    /// --max-memory needs it]
    #[arg(long)]
    recompute: bool,
    /// Learning rate of deltas
    #[arg(long, value_name = "RATE")]
    rate: Option<f32>,
    /// Learning rate of the head
    #[arg(long, value_name = "RATE")]
    head_rate: Option<f32>,
    /// Weight λ of the penalty on active layers
    #[arg(long, value_name = "λ")]
    lambda: Option<f32>,
    /// Penalize a layer in proportion to its bytes
    #[arg(long)]
    penalty_by_bytes: bool,
    /// Probability spread evenly over all classes
    #[arg(long, value_name = "SHARE")]
    smoothing: Option<f32>,
    /// See every class equally often, however many examples it has
    #[arg(long)]
    balanced: bool,
    /// Mix training images in pairs, by shares of the Beta distribution with this parameter, up to 1
    #[arg(long, value_name = "ALPHA", default_value_t = 0.0)]
    mixup: f32,
    /// Leave out tokens of training texts with this probability
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    token_dropout: f32,
    /// Gradient descent with this momentum in place of AdamW
    #[arg(long, value_name = "SHARE")]
    momentum: Option<f32>,
    /// How the optimizer keeps its running means: in fewer bits they take less memory
    #[arg(long, value_enum, default_value_t = StatesArg::F32)]
    states: StatesArg,
    /// Share of the examples held out to choose the best epoch
    #[arg(long, value_name = "SHARE")]
    validation: Option<f32>,
    /// End after this many epochs without a better validation score
    #[arg(long, value_name = "N")]
    patience: Option<usize>,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum MethodArg {
    /// The head alone
    Head,
    /// The head and gated deltas of a few layers
    Taps,
    /// Every layer
    Full,
    /// Scales and biases of the norms, or depthwise convolutions: see --patch
    Patch,
    /// The last layers
    LastK,
    /// Layers drawn by the seed
    RandomK,
}

#[derive(Clone, Copy, ValueEnum)]
enum PatchArg {
    /// Scale and bias of every normalization
    ScaleBias,
    /// The convolutions of each channel by itself
    Depthwise,
}

#[derive(Clone, Copy, ValueEnum)]
enum SelectArg {
    /// By TAPS's scores among candidates with large gradients, while they are tuned
    #[value(name = "probe+taps")]
    ProbeScores,
    /// By the gradient of each layer at the base
    Probe,
    /// By TAPS's scores after an epoch with a gate on every layer
    #[value(name = "taps", alias = "scores")]
    Scores,
    /// By a ranking that was made before: see --ranking
    Ranked,
    /// The last ones
    Last,
    /// Any, drawn by the seed
    Random,
}

#[derive(Clone, Copy, ValueEnum)]
enum NormsArg {
    /// Scale and bias are the task's where the base has running statistics
    Auto,
    /// The base's are used
    Frozen,
    /// Scale and bias are the task's
    Affine,
    /// Scale, bias and running statistics are the task's
    Statistics,
}

#[derive(Clone, Copy, ValueEnum)]
enum StatesArg {
    /// Exact
    F32,
    /// Half the bytes
    Bf16,
    /// A quarter of the bytes, with a scale for each 256
    Int8,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EncodingArg {
    /// Exact
    F32,
    /// Half the bytes
    F16,
    /// A quarter of the bytes, with a scale per output channel
    Int8,
    /// An eighth of the bytes and a scale for each 32
    Int4,
    /// A bit each and a scale per output channel, which are calibrated by the training examples
    OneBit,
    /// Each tensor of the file as costs least within --max-bytes
    Auto,
}

impl TuneArgs {
    /// The settings, for a base at `base`.
    pub(super) fn config(&self, base: &Path, threads: usize) -> Result<Config, Error> {
        let (default, auto) = (Config::default(), self.encoding == EncodingArg::Auto);
        if !self.layers.is_empty() && !matches!(self.method, MethodArg::Taps) {
            return Err(Error::Usage("--layers: only --method taps tunes layers that are named".to_owned()));
        }
        Ok(Config {
            method: match (self.method, self.patch) {
                (MethodArg::Head, _) => Method::Head,
                (MethodArg::Full, _) => Method::Full,
                (MethodArg::Patch, PatchArg::ScaleBias) => Method::Patch(Patch::ScaleBias),
                (MethodArg::Patch, PatchArg::Depthwise) => Method::Patch(Patch::Depthwise),
                (MethodArg::Taps | MethodArg::LastK | MethodArg::RandomK, _) => Method::Taps,
            },
            select: match (self.method, self.select) {
                _ if !self.layers.is_empty() => Select::Given(self.layers.clone()),
                (MethodArg::LastK, _) | (_, SelectArg::Last) => Select::Last,
                (MethodArg::RandomK, _) | (_, SelectArg::Random) => Select::Random,
                (_, SelectArg::Ranked) => Select::Ranked(rank::read(self.ranking.as_deref(), base)?),
                _ if self.ranking.is_some() => Select::Ranked(rank::read(self.ranking.as_deref(), base)?),
                (_, SelectArg::ProbeScores) => Select::ProbeScores,
                (_, SelectArg::Probe) => Select::Probe,
                (_, SelectArg::Scores) => Select::Scores,
            },
            norms: match self.norms {
                NormsArg::Auto => Norms::Auto,
                NormsArg::Frozen => Norms::Frozen,
                NormsArg::Affine => Norms::Affine,
                NormsArg::Statistics => Norms::Statistics,
            },
            own_head: !self.no_head,
            optimizer: self.momentum.map_or(default.optimizer, |momentum| Optimizer::Sgd { momentum }),
            states: match self.states {
                StatesArg::F32 => Precision::F32,
                StatesArg::Bf16 => Precision::Bf16,
                StatesArg::Int8 => Precision::Int8,
            },
            budget: Budget {
                max_active_layers: self.max_active_layers.and_then(|limit| limit.0),
                max_layer_bytes: self.max_layer_bytes,
                max_adapter_bytes: [self.max_bytes, self.max_adapter_bytes].into_iter().flatten().min(),
                max_memory: self.max_memory,
                max_time: self.max_time,
                max_steps: self.max_steps,
            },
            // With auto, as little as layers are worth keeping in.
            encoding: if auto { Encoding::OneBit } else { self.encoding() },
            rest_encoding: if auto { Encoding::INT4 } else { Encoding::F32 },
            epochs: self.epochs.unwrap_or(default.epochs),
            batch: self.batch.unwrap_or(default.batch),
            micro_batch: self.micro_batch,
            recompute: self.recompute,
            rate: self.rate.unwrap_or(default.rate),
            head_rate: self.head_rate.unwrap_or(default.head_rate),
            lambda: self.lambda.unwrap_or(default.lambda),
            penalty_by_bytes: self.penalty_by_bytes,
            smoothing: self.smoothing.unwrap_or(default.smoothing),
            balanced: self.balanced,
            mixup: self.mixup,
            token_dropout: self.token_dropout,
            validation: self.validation.unwrap_or(default.validation),
            patience: self.patience,
            seed: self.seed,
            threads,
            ..default
        })
    }

    /// The file of a ranking, where one is named.
    pub(super) fn ranking(&self) -> Option<&PathBuf> {
        self.ranking.as_ref()
    }

    /// The same settings; where nothing limits the layers, and they are not named, with a cap that suits most tasks.
    pub(super) fn capped(&self, config: Config) -> Config {
        let free = self.max_active_layers.is_none() && !config.budget.limits_layers();
        let cap = free && config.method == Method::Taps && !matches!(config.select, Select::Given(_));
        let max_active_layers = if cap { Some(LAYERS) } else { config.budget.max_active_layers };
        Config { budget: Budget { max_active_layers, ..config.budget }, ..config }
    }

    /// How the weights of active layers are stored.
    pub(super) fn encoding(&self) -> Encoding {
        match self.encoding {
            EncodingArg::F32 | EncodingArg::Auto => Encoding::F32,
            EncodingArg::F16 => Encoding::F16,
            EncodingArg::Int8 => Encoding::Int8,
            EncodingArg::Int4 => Encoding::INT4,
            EncodingArg::OneBit => Encoding::OneBit,
        }
    }

    /// How the tuned adapter is to be stored anew, where it is: with what is measured on the training examples.
    pub(super) fn storage(&self) -> Result<Option<Storage>, Error> {
        match (self.encoding, self.max_bytes) {
            (EncodingArg::Auto, Some(limit)) => Ok(Some(Storage::Within(limit))),
            (EncodingArg::Auto, None) => Err(Error::Usage("--encoding auto needs --max-bytes".to_owned())),
            (_, Some(_)) => Err(Error::Usage("--max-bytes is for --encoding auto".to_owned())),
            (EncodingArg::OneBit, None) => Ok(Some(Storage::Every { deltas: Kind::OneBit, head: Kind::F32 })),
            _ => Ok(None),
        }
    }
}
