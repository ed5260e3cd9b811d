//! Settings of a joint training.

use crate::train::{Config, Error, Method, Norms, Patch, Select};

/// What tasks that are trained together share, and what each has of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Joint TAPS as it is stated (arXiv 2203.16708): every layer is shared, and each task has a gated delta of every
    /// tapped layer over the shared weights. It holds the deltas of all tasks in memory.
    ///
    /// Under a cap on layers or bytes, each task keeps the layers with its highest scores from the middle of the
    /// steps on, their deltas as they are and without gates; the others' deltas are freed, and what they did is left
    /// to the shared weights and to the steps that remain.
    Literal,
    /// Joint TAPS in constant memory: first the shared layers and one head for each task are trained, and then each
    /// task is tuned by itself from the new base.
    Shared,
    /// Simultaneous patches ("K for the Price of 1", arXiv 1810.10703): every layer is shared, and each task has
    /// scales and biases of normalizations over the shared ones.
    Patches,
}

impl Form {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Form::Literal => "literal",
            Form::Shared => "shared",
            Form::Patches => "patches",
        }
    }
}

/// Settings of a joint training.
#[derive(Clone, Debug)]
pub struct JointConfig {
    /// What is shared.
    pub form: Form,
    /// Passes over the examples while tasks are trained together. One lasts until the task with the most batches
    /// has used each once; the others begin anew.
    pub epochs: usize,
    /// Learning rate of the shared weights.
    pub rate: f32,
    /// All other settings. They hold while tasks are trained together, and with [`Form::Shared`] for the fine-tune
    /// of each task after that, which alone `method`, `select` and `epochs` are for. Gradients are clipped for the
    /// shared weights and for each task apart.
    pub tune: Config,
}

impl Default for JointConfig {
    fn default() -> Self {
        let tune = Config::default();
        Self { form: Form::Shared, epochs: tune.epochs, rate: tune.rate, tune }
    }
}

impl JointConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first that is out of range, or that the form has no use for.
    pub fn check(&self) -> Result<(), Error> {
        let tune = &self.tune;
        tune.check()?;
        let positive = self.rate > 0.0 && self.rate.is_finite();
        let own = self.form == Form::Shared;
        let any = matches!(tune.select, Select::ProbeScores | Select::Probe | Select::Scores);
        let checks = [
            ("joint epochs", self.epochs > 0, self.epochs.to_string(), "at least 1"),
            ("shared learning rate", positive, self.rate.to_string(), "above 0"),
            ("head", tune.own_head, "the base's".to_owned(), "one for each task"),
            ("method", own || tune.method == Method::Taps, tune.method_name().to_owned(), "taps, but for form shared"),
            ("choice of layers", own || any, tune.select.name().to_owned(), "left alone, but for form shared"),
            (
                "cap on layers",
                self.form != Form::Patches || !self.is_capped(),
                "given".to_owned(),
                "none, since a patch has no such layers",
            ),
        ];
        let apart = own || tune.budget.max_adapter_bytes.is_none();
        let unhurried = own || (tune.budget.max_time.is_none() && tune.budget.max_steps.is_none());
        let mut checks = checks.into_iter().chain([
            (
                "memory",
                tune.budget.max_memory.is_none(),
                "limited".to_owned(),
                "without limit where tasks train together",
            ),
            ("time or steps", unhurried, "limited".to_owned(), "without limit, but for form shared"),
            ("adapter size", apart, "limited".to_owned(), "without limit, but for form shared"),
        ]);
        match checks.find(|check| !check.1) {
            Some((name, _, found, expected)) => Err(Error::Setting { name, found, expected }),
            None => Ok(()),
        }
    }

    /// Whether the layers that a task may have of its own are limited.
    pub(super) fn is_capped(&self) -> bool {
        self.tune.budget.limits_layers()
    }

    /// Settings while tasks are trained together.
    pub(super) fn together(&self) -> Config {
        let (method, norms) = match self.form {
            Form::Literal => (Method::Taps, self.tune.norms),
            Form::Shared => (Method::Taps, Norms::Frozen),
            Form::Patches => (Method::Patch(Patch::ScaleBias), self.tune.norms),
        };
        Config { method, norms, ..self.tune.clone() }
    }

    /// The method's name in adapters of what was trained together.
    pub(super) fn method_name(&self) -> &'static str {
        match self.form {
            Form::Literal => "joint-taps",
            Form::Shared => "joint-head",
            Form::Patches => "joint-scale-bias",
        }
    }
}
