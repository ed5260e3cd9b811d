//! A fine-tune that is under way: what it is of, and what it has come to.

use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::adapted::Adapted;
use super::batches::{balanced, batches, split};
use super::config::{Config, Select};
use super::course::{Best, Counts};
use super::data::{Data, Sets};
use super::error::Error;
use super::head::Head;
use super::place::Place;
use super::plan::Planner;
use super::sizes::Sizes;
use super::tuned::Tuned;
use crate::base::Base;
use crate::format::{Digest, Summary};
use crate::kernels::Workspace;
use crate::runtime::{self, Examples, Input, Network, Score, Settings, Weights, score};

/// A fine-tune that is under way.
pub(super) struct Run<'a, N> {
    pub(super) base: &'a Base,
    pub(super) network: &'a N,
    pub(super) data: Sets<'a>,
    /// What the adapter will be bound to.
    pub(super) settings: Settings,
    /// Digest of the base as it was when the run began.
    content: Digest,
    pub(super) config: &'a Config,
    pub(super) train: Vec<usize>,
    pub(super) validation: Vec<usize>,
    pub(super) workspace: Workspace,
    pub(super) random: ChaCha8Rng,
    pub(super) counts: Counts,
    pub(super) stopped: bool,
    /// When this process took it up.
    pub(super) began: Instant,
    /// Tells what it takes; none where tasks are trained together.
    pub(super) planner: Option<Planner<'a, N>>,
    /// Examples that are computed at once.
    pub(super) sizes: Sizes,
    pub(super) place: Place,
    /// The most bytes that pool and task have had in a phase that has ended.
    pub(super) memory: usize,
}

impl<'a, N: Network> Run<'a, N> {
    /// A run of settings and data that suit the network.
    pub(super) fn checked(base: &'a Base, network: &'a N, data: Data<'a>, config: &'a Config) -> Result<Self, Error> {
        config.check()?;
        data.check(config, network.layout())?;
        if !base.is_same(network.layout().base()) {
            return Err(runtime::Error::OtherBase { task: "to be trained".to_owned() }.into());
        }
        if let Select::Ranked(ranking) = &config.select {
            ranking.worth(network)?;
        }
        let place = Place::open(base, network, config)?;
        place.check(config)?;
        Ok(Self { place, ..Self::new(base, network, data, config)? })
    }

    /// A run that has done nothing but divide the examples.
    pub(super) fn new(base: &'a Base, network: &'a N, data: Data<'a>, config: &'a Config) -> Result<Self, Error> {
        let data = Sets::new(data)?;
        let settings = data.settings(network)?;
        base.check_whole()?;
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        let (train, validation) = match data.validation {
            Some(validation) => ((0..data.train.len()).collect(), (0..validation.len()).collect()),
            None => split(&data.train, config.validation, &mut random),
        };
        let workspace = Workspace::new(config.threads);
        let (counts, stopped, sizes, memory) = (Counts::default(), false, Sizes::new(config, network.layout()), 0);
        let (began, planner) = (Instant::now(), None);
        Ok(Self {
            content: base.content(),
            settings,
            base,
            network,
            data,
            config,
            train,
            validation,
            workspace,
            random,
            counts,
            stopped,
            began,
            planner,
            sizes,
            place: Place::Host,
            memory,
        })
    }
}

impl<N: Network> Run<'_, N> {
    /// Refuses a base whose bytes are not those that the run began with: its adapter would be bound to weights that it was
    /// not trained on.
    pub(super) fn check_base(&self) -> Result<(), Error> {
        Ok(self.base.check_content(self.content)?)
    }

    /// Whether these can be weight and bias of the task's head; nothing where the base's is kept.
    pub(super) fn head_fits(&self, weight: Option<&[f32]>, bias: Option<&[f32]>) -> bool {
        let classes = self.data.train.classes().len();
        let expected =
            [classes * self.network.layout().features(), classes].map(|size| self.config.own_head.then_some(size));
        [weight, bias].map(|values| values.map(<[f32]>::len)) == expected
    }

    /// Class names that an adapter brings.
    pub(super) fn labels(&self) -> &[String] {
        if self.config.own_head { self.data.train.classes() } else { &[] }
    }

    pub(super) fn summary(&self, best: &Best) -> Summary {
        let summary = Tuned::summarize(self.config, self.network.layout(), &best.layers, self.train.len());
        let validation = (best.score.examples > 0).then(|| best.score.accuracy() as f32);
        Summary { steps: self.counts.steps, validation, ..summary }
    }

    /// The batches of a pass over the training examples, of `size` examples each.
    pub(super) fn order(&mut self, size: usize) -> Vec<Vec<usize>> {
        let (label, random) = (|index| self.data.train.label(index), &mut self.random);
        match self.config.balanced {
            true => balanced(&self.train, label, size, random),
            false => batches(&self.train, size, random),
        }
    }

    /// How well what is being trained does on the validation examples.
    pub(super) fn validate(&self, weights: &impl Weights) -> Result<Score, Error> {
        self.scored(weights, self.data.held(), &self.validation)
    }

    /// How well weights do on the examples `indices`.
    pub(super) fn scored(
        &self,
        weights: &impl Weights,
        examples: &dyn Examples,
        indices: &[usize],
    ) -> Result<Score, Error> {
        let ready = self.place.ready(weights)?;
        let logits = |input: &Input| ready.logits(self.network, input, &self.workspace);
        score(examples, indices, self.sizes.validation, &self.workspace, logits)
    }

    pub(super) fn with_head(&self, head: Option<&Head>) -> Adapted {
        let mut adapted = Adapted::new(self.base, self.network.layout());
        if let Some(head) = head {
            adapted.set_head(head.weight.clone(), head.bias.clone());
        }
        adapted
    }

    /// Counts what a phase has taken, `own` bytes beside the pool and batches of up to `examples`, and frees the buffers
    /// that it leaves.
    pub(super) fn end_phase(&mut self, own: usize, examples: usize) {
        if !self.place.is_device() {
            let batch = self.planner.as_ref().map_or(0, |planner| planner.batch_bytes(examples));
            self.memory = self.memory.max(self.workspace.peak_bytes() + own + batch);
        }
        self.workspace.release();
    }
}
