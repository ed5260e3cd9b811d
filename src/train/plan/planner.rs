//! What the phases of a run take, and which layers it can afford.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::batches::{Drawn, Shape};
use super::run_plan::Plan;
use super::task_shape::TaskShape;
use super::{Memory, file};
use crate::base::Base;
use crate::runtime::{Examples, LayerId, LayerKind, Layout, Network, Settings};
use crate::train::data::Sets;
use crate::train::phase::Phase;
use crate::train::select::{Worth, given};
use crate::train::sizes::Sizes;
use crate::train::{Budget, Config, Error, Method, Norms, Patch, Select, knapsack};

/// Batches that are gone through for an answer that will be used.
pub(super) const ALL: usize = 1024;

/// The same for one of many answers that are compared.
pub(super) const FEW: usize = 8;

/// Tells what a run will take.
pub(in crate::train) struct Planner<'a, N> {
    base: &'a Base,
    pub(super) network: &'a N,
    pub(super) config: &'a Config,
    pub(super) data: Sets<'a>,
    settings: Settings,
    pub(super) train: Vec<usize>,
    pub(super) validation: Vec<usize>,
    pub(super) shape: Shape,
    pub(super) drawn: Drawn,
    pub(in crate::train) sizes: Sizes,
    /// Those with which layers are chosen, which the choice may leave smaller.
    choosing: Sizes,
}

impl<'a, N: Network> Planner<'a, N> {
    /// Of a run that divides its examples into `train` and `validation`, and begins to draw with `random`. Where memory
    /// is limited, what is computed at once is made smaller until it fits.
    ///
    /// # Errors
    /// [`Error::Budget`] if what cannot be left out takes more than the budget.
    pub(in crate::train) fn new(
        base: &'a Base,
        network: &'a N,
        data: Sets<'a>,
        settings: Settings,
        config: &'a Config,
        [train, validation]: [&[usize]; 2],
        random: ChaCha8Rng,
    ) -> Result<Self, Error> {
        let shape = Shape::of(&data.train, train.first().copied().unwrap_or(0))?;
        let drawn = Drawn::new(shape, &data.train, train, network.layout(), config, random);
        let (train, validation, sizes) = (train.to_vec(), validation.to_vec(), Sizes::new(config, network.layout()));
        let choosing = sizes;
        let mut planner =
            Self { base, network, config, data, settings, train, validation, shape, drawn, sizes, choosing };
        if let Err(error) = planner.fit_in() {
            // What micro-batches alone do not make fit may with activations that are computed again.
            let sizes = Sizes { recompute: true, ..Sizes::new(config, network.layout()) };
            match (&error, config.method) {
                (Error::Budget { of: "memory", .. }, method) if method != Method::Head && !config.recompute => {
                    planner.sizes = sizes;
                    planner.fit_in()?;
                }
                _ => return Err(error),
            }
        }
        planner.choosing = planner.sizes;
        Ok(planner)
    }

    /// Bytes of a batch of `examples`; of sequences, which take next to nothing, none.
    pub(in crate::train) fn batch_bytes(&self, examples: usize) -> usize {
        match self.shape {
            Shape::Images(shape) => size_of::<f32>() * examples * shape.iter().product::<usize>(),
            Shape::Tokens => 0,
        }
    }

    pub(super) fn layout(&self) -> &Arc<Layout> {
        self.network.layout()
    }

    pub(super) fn held(&self) -> &dyn Examples {
        self.data.held()
    }

    pub(super) fn classes(&self) -> Option<usize> {
        self.config.own_head.then(|| self.data.train.classes().len())
    }

    /// The base with a head.
    pub(super) fn bare(&self) -> TaskShape<'a> {
        TaskShape::new(self.base, self.layout(), self.classes())
    }

    /// A task with deltas of `layers`, and the norms that the method gives it.
    pub(super) fn task(&self, layers: &[LayerId]) -> TaskShape<'a> {
        let (layout, norms) = (self.layout(), self.config.resolved_norms(self.layout()));
        let own = layout.layers().filter(|(_, layer)| layer.kind == LayerKind::Norm && norms != Norms::Frozen);
        let mut task = self.bare().with(layers.iter().copied().chain(own.map(|(id, _)| id)));
        task.statistics = norms == Norms::Statistics && layout.has_statistics();
        task
    }

    /// The layers that the task has whatever they are worth.
    fn certain(&self) -> Result<Vec<LayerId>, Error> {
        let of = |wanted: &dyn Fn(LayerKind) -> bool| {
            self.layout().layers().filter(|(_, layer)| wanted(layer.kind)).map(|(id, _)| id).collect()
        };
        Ok(match (self.config.method, &self.config.select) {
            (Method::Taps, Select::Given(names)) => {
                given(self.network, names)?.iter().filter(|worth| worth.chosen).map(|worth| worth.layer).collect()
            }
            (Method::Full, _) => of(&|kind| !matches!(kind, LayerKind::Head | LayerKind::Norm)),
            (Method::Patch(Patch::Depthwise), _) => of(&|kind| kind == LayerKind::Depthwise),
            _ => Vec::new(),
        })
    }

    /// Makes what is computed at once smaller until it fits the memory, and refuses what does not.
    fn fit_in(&mut self) -> Result<(), Error> {
        let (budget, method, certain) = (&self.config.budget, self.config.method, self.certain()?);
        let (task, what) = match (method, certain.len()) {
            (Method::Head, _) => (self.bare(), "the head alone".to_owned()),
            (_, 0) => (self.task(&certain), "head and norms without any layer".to_owned()),
            (_, count) => (self.task(&certain), format!("head, norms and {count} layers")),
        };
        budget.check_adapter(self.adapter_bytes(&task)?, &what)?;
        let Some(limit) = budget.max_memory else { return Ok(()) };
        let fitting = |mut size: usize, take: &dyn Fn(usize) -> Result<Memory, Error>| {
            let mut memory = take(size)?.total();
            while memory > limit && size > 1 {
                size /= 2;
                memory = take(size)?.total();
            }
            Ok::<_, Error>((size, memory))
        };
        let mut sizes = self.sizes;
        let (features, memory) = fitting(sizes.features, &|size| self.head(size))?;
        sizes.features = features;
        let examples = self.train.len() + self.validation.len();
        budget.check_memory(memory, format!("the head alone, fitted to features of {examples} examples,"))?;
        match (method, &self.config.select) {
            (Method::Taps, Select::Probe | Select::ProbeScores) => {
                let (size, memory) = fitting(sizes.probe, &|probe| self.probe(Sizes { probe, ..sizes }))?;
                budget.check_memory(memory, "the probe of gradients, one example at a time,")?;
                sizes.probe = size;
            }
            (Method::Taps, Select::Scores) => {
                let memory = self.scores(sizes)?.total();
                budget.check_memory(memory, "the choice by scores, in which all layers have deltas,")?;
            }
            _ => {}
        }
        if method != Method::Head {
            let least = |step| self.tune(&task, Sizes { step, validation: 1, ..sizes }, ALL);
            let (step, memory) = match self.splits() {
                true => fitting(sizes.step, &least)?,
                false => (sizes.step, least(sizes.step)?.total()),
            };
            budget.check_memory(memory, format!("{what}, {step} examples of a step at once,"))?;
            sizes.step = step;
            sizes.validation =
                fitting(sizes.validation, &|validation| self.tune(&task, Sizes { validation, ..sizes }, ALL))?.0;
        }
        self.sizes = sizes;
        Ok(())
    }

    /// What the run takes with deltas of `layers`.
    ///
    /// # Errors
    /// If an example cannot be read.
    pub(in crate::train) fn plan(&self, layers: &[LayerId]) -> Result<Plan, Error> {
        let mut phases = vec![(self.head(self.sizes.features)?, Phase::Head)];
        let task = if self.config.method == Method::Head { self.bare() } else { self.task(layers) };
        if self.config.method != Method::Head {
            match (self.config.method, &self.config.select) {
                (Method::Taps, Select::Probe | Select::ProbeScores) => {
                    phases.push((self.probe(self.choosing)?, Phase::Select))
                }
                (Method::Taps, Select::Scores) => phases.push((self.scores(self.choosing)?, Phase::Select)),
                _ => {}
            }
            phases.push((self.tune(&task, self.sizes, ALL)?, Phase::Tune));
        }
        let highest = phases.into_iter().max_by_key(|(memory, _)| memory.total());
        let (memory, phase) = highest.unwrap_or((Memory::default(), Phase::Head));
        let adapter_bytes = self.adapter_bytes(&task)?;
        let (layers, Sizes { step: at_once, recompute, .. }) = (layers.len(), self.sizes);
        Ok(Plan { memory, phase, adapter_bytes, layers, steps: 0, epochs: 0, at_once, recompute, pace: None })
    }

    /// What the run takes with the layers that are chosen of `worth`, and those that the method has anyway.
    pub(in crate::train) fn chosen(&self, worth: &[Worth]) -> Result<Plan, Error> {
        let chosen = worth.iter().filter(|worth| worth.chosen).map(|worth| worth.layer).collect();
        let layers = if self.config.method == Method::Taps { chosen } else { self.certain()? };
        self.plan(&layers)
    }

    /// Whether a step may be computed some examples at a time: not where they are normalized together.
    fn splits(&self) -> bool {
        self.config.resolved_norms(self.layout()) != Norms::Statistics
    }

    /// Chooses of `worth` what `budget` can afford. Where memory leaves out what other limits do not, a step is computed
    /// fewer examples at a time, and then with activations that are computed again, if that affords more.
    pub(in crate::train) fn choose(&mut self, worth: &mut [Worth], budget: &Budget) -> Result<(), Error> {
        let value = |items: &[usize]| items.iter().map(|&item| f64::from(worth[item].value)).sum::<f64>();
        let all = value(&self.affordable(worth, &Budget { max_memory: None, ..*budget })?);
        let first = self.sizes;
        let mut best = (self.affordable(worth, budget)?, first);
        let halved = |step: &usize| (self.splits() && *step > 1).then_some(step / 2);
        let steps: Vec<usize> = std::iter::successors(Some(first.step), halved).collect();
        let again = steps.iter().filter(|_| !first.recompute).map(|&step| Sizes { step, recompute: true, ..first });
        let fewer = steps.iter().skip(1).map(|&step| Sizes { step, ..first });
        for sizes in fewer.chain(again).collect::<Vec<_>>() {
            if value(&best.0) >= all {
                break;
            }
            self.sizes = sizes;
            let items = self.affordable(worth, budget)?;
            if value(&items) > value(&best.0) {
                best = (items, sizes);
            }
        }
        self.sizes = best.1;
        best.0.into_iter().for_each(|item| worth[item].chosen = true);
        Ok(())
    }

    /// Those of `worth` that `budget` can afford with steps as they are.
    fn affordable(&self, worth: &[Worth], budget: &Budget) -> Result<Vec<usize>, Error> {
        let values: Vec<f32> = worth.iter().map(|worth| worth.value).collect();
        let layers = |items: &[usize]| items.iter().map(|&item| worth[item].layer).collect::<Vec<_>>();
        let memory = |items: &[usize], count| match budget.max_memory {
            Some(_) => Ok(self.tune(&self.task(&layers(items)), self.sizes, count)?.total()),
            None => Ok::<_, Error>(0),
        };
        let adapter = |items: &[usize]| match budget.max_adapter_bytes {
            Some(_) => self.adapter_bytes(&self.task(&layers(items))),
            None => Ok(0),
        };
        let share = |cost: usize, of: Option<usize>| cost as f64 / of.unwrap_or(usize::MAX).max(1) as f64;
        let least = [memory(&[], FEW)?, adapter(&[])?];
        let cost = |item| {
            let more = [memory(&[item], FEW)?.saturating_sub(least[0]), adapter(&[item])?.saturating_sub(least[1])];
            Ok::<_, Error>(share(more[0], budget.max_memory) + share(more[1], budget.max_adapter_bytes))
        };
        let within = |cost: usize, limit: Option<usize>| limit.is_none_or(|limit| cost <= limit);
        let bare = self.bare();
        let fits = |items: &[usize]| {
            let bytes = layers(items).iter().map(|&id| size_of::<f32>() * bare.delta(id)).sum();
            Ok(within(items.len(), budget.max_active_layers)
                && within(bytes, budget.max_layer_bytes)
                && within(adapter(items)?, budget.max_adapter_bytes)
                && within(memory(items, FEW)?, budget.max_memory))
        };
        let mut items = knapsack::fill(&values, cost, fits)?;
        while !items.is_empty() && !within(memory(&items, ALL)?, budget.max_memory) {
            items.pop();
        }
        Ok(items)
    }

    fn adapter_bytes(&self, task: &TaskShape<'_>) -> Result<usize, Error> {
        file::adapter_bytes(
            self.network,
            task,
            self.config,
            self.data.train.classes(),
            &self.settings,
            self.train.len(),
        )
    }
}
