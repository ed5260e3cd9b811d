//! Settings of a fine-tune.

use super::{Budget, Error, Optimizer, Ranking};
use crate::format::Encoding;
use crate::kernels::Precision;
use crate::runtime::{Arithmetic, Layout, Processor};

/// What a task may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The head alone.
    Head,
    /// The head and deltas of a few layers: chosen under a cap and then tuned, or without a cap gated by
    /// scores to the end.
    Taps,
    /// Every layer, without gates.
    Full,
    /// A patch ("K for the Price of 1", arXiv 1810.10703).
    Patch(Patch),
}

/// What a model patch learns anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch {
    /// Scale and bias of every normalization.
    ScaleBias,
    /// The convolutions of each channel by itself.
    Depthwise,
}

/// How the layers that may become active are chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Select {
    /// Under limits on layers, bytes or memory by TAPS scores among the candidates that [`Select::Probe`] finds: twice
    /// what the limits allow is tuned with gates for [`Config::gated_share`] of the steps, a layer whose gate closes is
    /// freed for good, and then as many as the limits allow go on, those with the highest scores. Without limits all
    /// layers have gates to the end.
    ProbeScores,
    /// Those with the largest squared gradient at the base, before any is changed.
    Probe,
    /// Those whose TAPS scores are highest after some epochs with a gate on every layer.
    Scores,
    /// The last ones.
    Last,
    /// Any, drawn by the seed.
    Random,
    /// As a ranking has them.
    Ranked(Ranking),
    /// These, by name.
    Given(Vec<String>),
}

impl Select {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Select::ProbeScores => "probe+taps",
            Select::Probe => "probe",
            Select::Scores => "taps",
            Select::Last => "last",
            Select::Random => "random",
            Select::Ranked(_) => "ranked",
            Select::Given(_) => "given",
        }
    }
}

/// Whether a task has normalization parameters of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// Scale and bias are the task's where statistics are running ones, and the base's elsewhere.
    Auto,
    /// The base's are used.
    Frozen,
    /// Scale and bias are the task's; running statistics stay the base's.
    Affine,
    /// Scale, bias and running statistics are the task's: batches are normalized by their own.
    Statistics,
}

impl Norms {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Norms::Auto => "auto",
            Norms::Frozen => "frozen",
            Norms::Affine => "affine",
            Norms::Statistics => "statistics",
        }
    }
}

/// Settings of a fine-tune. The defaults are meant to be left alone.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the task may change.
    pub method: Method,
    /// What the run may take.
    pub budget: Budget,
    /// How the weights of active layers will be stored, which decides what an adapter takes.
    pub encoding: Encoding,
    /// How all else will be stored, head, biases and norms, which does so as well.
    pub rest_encoding: Encoding,
    /// How the candidates are chosen.
    pub select: Select,
    /// Epochs with a gate on every layer, with [`Select::Scores`].
    pub select_epochs: usize,
    /// Share of the steps in which candidates have gates, with [`Select::ProbeScores`].
    pub gated_share: f32,
    /// Batches of gradients, with [`Select::Probe`] and [`Select::ProbeScores`].
    pub probe_batches: usize,
    /// Weight λ of the penalty (λ / L) Σ |s| on the scores of the L tapped layers, wherever there are
    /// gates: while layers are chosen by [`Select::Scores`], and while they are tuned without a cap.
    pub lambda: f32,
    /// Whether the penalty on a score is in proportion to the bytes of its layer, with λ for one of mean size.
    pub penalty_by_bytes: bool,
    /// Threshold τ at or above which a layer is active.
    pub threshold: f32,
    /// Score each layer starts with.
    pub initial_score: f32,
    /// Share of the steps with gates before the penalty is applied.
    pub penalty_warmup: f32,
    /// Whether normalization parameters are the task's.
    pub norms: Norms,
    /// Share by which running statistics move towards those of each batch, with [`Norms::Statistics`].
    pub momentum: f32,
    /// Whether the task has a head of its own; without one its classes are the base's.
    pub own_head: bool,
    /// Passes over the training examples.
    pub epochs: usize,
    /// Passes over the features of the frozen base to fit the head alone, which a tuned task has to beat.
    pub head_epochs: usize,
    /// Such passes for the head that layers are chosen and tuned with. A head that is fitted to the end
    /// leaves no gradient to choose by.
    pub warm_epochs: usize,
    /// Examples in a step.
    pub batch: usize,
    /// Examples of a step that are computed at once, their gradients added up: less memory, and somewhat more time. By
    /// default a whole batch, or as many as a limit on memory lets be. Batches that are normalized by their own
    /// statistics are always whole.
    pub micro_batch: Option<usize>,
    /// Whether activations between the blocks of a network are computed again on the way back rather than kept: less
    /// memory, and the time of up to another forward pass. A limit on memory that smaller micro-batches do not meet
    /// turns it on. On the CPU alone.
    pub recompute: bool,
    /// How parameters follow their gradients.
    pub optimizer: Optimizer,
    /// How the optimizer keeps its running means: in fewer bits they take less memory, and their rounding adds noise.
    pub states: Precision,
    /// Learning rate of deltas.
    pub rate: f32,
    /// Learning rate of the head.
    pub head_rate: f32,
    /// Learning rate of scores.
    pub score_rate: f32,
    /// Decay of deltas and head weights towards zero.
    pub decay: f32,
    /// Share of the steps in which the learning rate rises.
    pub warmup: f32,
    /// Largest norm of all gradients together; `None` for any.
    pub clip: Option<f32>,
    /// Probability spread evenly over all classes.
    pub smoothing: f32,
    /// Whether every class is seen equally often, however many examples it has.
    pub balanced: bool,
    /// Parameter of the distribution by which images of a batch are mixed in pairs (mixup, arXiv 1710.09412), up
    /// to 1; 0 for none. Texts are left alone.
    pub mixup: f32,
    /// Probability with which a token between the first and the last of a text is left out of a training step.
    /// Images are left alone.
    pub token_dropout: f32,
    /// Share of the examples held out to choose the best epoch.
    pub validation: f32,
    /// Epochs without a better validation score before the run ends; `None` to run all.
    pub patience: Option<usize>,
    /// Seed of every random choice.
    pub seed: u64,
    /// What forward and backward passes are computed on. Memory is planned for the CPU.
    pub processor: Processor,
    /// The numbers that a device computes in; deltas and optimizer are f32.
    pub arithmetic: Arithmetic,
    /// Threads; with one, equal settings give equal bytes.
    pub threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            method: Method::Taps,
            budget: Budget::default(),
            encoding: Encoding::F32,
            rest_encoding: Encoding::F32,
            select: Select::Probe,
            select_epochs: 1,
            gated_share: 0.25,
            probe_batches: 20,
            lambda: 0.1,
            penalty_by_bytes: false,
            threshold: 0.1,
            initial_score: 0.15,
            penalty_warmup: 0.25,
            norms: Norms::Auto,
            momentum: 0.1,
            own_head: true,
            epochs: 5,
            head_epochs: 40,
            warm_epochs: 1,
            batch: 32,
            micro_batch: None,
            recompute: false,
            optimizer: Optimizer::AdamW,
            states: Precision::F32,
            rate: 5e-4,
            head_rate: 1e-3,
            score_rate: 1e-3,
            decay: 0.01,
            warmup: 0.1,
            clip: Some(1.0),
            smoothing: 0.0,
            balanced: false,
            mixup: 0.0,
            token_dropout: 0.0,
            validation: 0.1,
            patience: None,
            seed: 0,
            processor: Processor::Cpu,
            arithmetic: Arithmetic::F32,
            threads: rayon::current_num_threads(),
        }
    }
}

impl Config {
    /// The method's name, as adapters state it.
    pub fn method_name(&self) -> &'static str {
        match (self.method, &self.select) {
            (Method::Head, _) => "head",
            (Method::Taps, Select::Last) => "last-k",
            (Method::Taps, Select::Random) => "random-k",
            (Method::Taps, _) => "taps",
            (Method::Full, _) => "full",
            (Method::Patch(Patch::ScaleBias), _) => "scale-bias",
            (Method::Patch(Patch::Depthwise), _) => "depthwise",
        }
    }

    /// Examples of a step that are computed at once where memory is not limited.
    pub(super) fn at_once(&self, layout: &Layout) -> usize {
        match self.resolved_norms(layout) {
            Norms::Statistics => self.batch,
            _ => self.micro_batch.unwrap_or(self.batch).min(self.batch),
        }
    }

    /// What [`Norms::Auto`] means for a network, and what the method needs.
    pub(super) fn resolved_norms(&self, layout: &Layout) -> Norms {
        match (self.method, self.norms) {
            (Method::Head, _) => Norms::Frozen,
            (Method::Patch(Patch::ScaleBias), Norms::Auto | Norms::Frozen) => Norms::Affine,
            (Method::Patch(Patch::Depthwise), Norms::Auto) => Norms::Frozen,
            (Method::Full, Norms::Auto) => Norms::Affine,
            (_, Norms::Auto) if layout.has_statistics() => Norms::Affine,
            (_, Norms::Auto) => Norms::Frozen,
            (_, norms) => norms,
        }
    }

    /// Whether layers are chosen once and for all: where limits or another choice have decided for them.
    pub(super) fn is_decided(&self) -> bool {
        self.budget.limits_layers() || matches!(self.select, Select::Last | Select::Random)
    }

    /// Whether the head alone may be the outcome, where nothing else scores better: TAPS is to find how little is enough, and
    /// all other methods are there to be compared with it.
    pub(super) fn may_end_as_head(&self) -> bool {
        match self.method {
            Method::Head => true,
            Method::Taps => !matches!(self.select, Select::Last | Select::Random | Select::Given(_)),
            Method::Full | Method::Patch(_) => false,
        }
    }

    /// Whether layers are chosen by scores among candidates while they are tuned.
    pub(super) fn has_candidates(&self) -> bool {
        self.method == Method::Taps && self.select == Select::ProbeScores && self.budget.limits_layers()
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first that is out of range.
    pub fn check(&self) -> Result<(), Error> {
        let positive = |value: f32| value > 0.0 && value.is_finite();
        let share = |value: f32| (0.0..1.0).contains(&value);
        let momentum = match self.optimizer {
            Optimizer::Sgd { momentum } => momentum,
            _ => 0.0,
        };
        let checks = [
            ("batch", self.batch > 0, self.batch.to_string(), "at least 1"),
            ("micro-batch", self.micro_batch != Some(0), "0".to_owned(), "at least 1"),
            ("threads", self.threads > 0, self.threads.to_string(), "at least 1"),
            ("learning rate", positive(self.rate), self.rate.to_string(), "above 0"),
            ("head learning rate", positive(self.head_rate), self.head_rate.to_string(), "above 0"),
            ("score learning rate", positive(self.score_rate), self.score_rate.to_string(), "above 0"),
            ("lambda", self.lambda >= 0.0 && self.lambda.is_finite(), self.lambda.to_string(), "0 or more"),
            ("threshold", self.threshold.is_finite(), self.threshold.to_string(), "a number"),
            (
                "initial score",
                self.initial_score >= self.threshold,
                self.initial_score.to_string(),
                "the threshold or more",
            ),
            ("weight decay", self.decay >= 0.0 && self.decay.is_finite(), self.decay.to_string(), "0 or more"),
            ("warm-up", share(self.warmup), self.warmup.to_string(), "0 or more, under 1"),
            ("gated share", share(self.gated_share), self.gated_share.to_string(), "0 or more, under 1"),
            ("steps", self.budget.max_steps != Some(0), "0".to_owned(), "at least 1"),
            ("penalty warm-up", share(self.penalty_warmup), self.penalty_warmup.to_string(), "0 or more, under 1"),
            ("label smoothing", share(self.smoothing), self.smoothing.to_string(), "0 or more, under 1"),
            ("mixup", (0.0..=1.0).contains(&self.mixup), self.mixup.to_string(), "0 to 1"),
            ("token dropout", share(self.token_dropout), self.token_dropout.to_string(), "0 or more, under 1"),
            ("validation share", share(self.validation), self.validation.to_string(), "0 or more, under 1"),
            (
                "arithmetic",
                self.arithmetic == Arithmetic::F32 || self.processor != Processor::Cpu,
                self.arithmetic.name().to_owned(),
                "f32 on the CPU",
            ),
            ("momentum", share(momentum), momentum.to_string(), "0 or more, under 1"),
            ("probe batches", self.probe_batches > 0, "0".to_owned(), "at least 1"),
            ("momentum of statistics", share(self.momentum), self.momentum.to_string(), "0 or more, under 1"),
            ("gradient clip", self.clip.is_none_or(positive), format!("{:?}", self.clip), "above 0"),
        ];
        match checks.into_iter().find(|check| !check.1) {
            Some((name, _, found, expected)) => Err(Error::Setting { name, found, expected }),
            None => Ok(()),
        }
    }
}
