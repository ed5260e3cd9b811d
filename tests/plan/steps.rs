//! Steps over the goldens' networks.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taps::graph::{Graph, Host, LayerGrad};
use taps::kernels::{Precision, Segments, Workspace, cross_entropy};
use taps::models::InputSpec;
use taps::runtime::{ImageSpec, Images, Input, LayerId, LayerKind, Network, TextSpec, Tokens, backward};
use taps::train::{Adapted, Config, Norms, Optimizer, Step, plan_step};
use taps::{Base, Model};

use crate::alone;
use crate::common::folder;
use crate::common::networks::NETWORKS;

/// What a step is taken with.
#[derive(Debug)]
struct Setting {
    batch: usize,
    classes: usize,
    active: Vec<LayerId>,
    norms: Norms,
    optimizer: Optimizer,
    states: Precision,
    recompute: bool,
    threads: usize,
}

impl Setting {
    fn draw(model: &Model, random: &mut ChaCha8Rng) -> Self {
        let mut tapped: Vec<LayerId> = model.layout().tapped().collect();
        tapped.shuffle(random);
        let count = random.random_range(0..=tapped.len());
        let count = if random.random_bool(0.5) { count.min(4) } else { count };
        tapped.truncate(count);
        Self {
            batch: *[1, 2, 3, 8, 17, 32].choose(random),
            classes: random.random_range(2..40),
            active: tapped,
            norms: *[Norms::Frozen, Norms::Affine, Norms::Statistics].choose(random),
            optimizer: *[Optimizer::AdamW, Optimizer::Sgd { momentum: 0.9 }].choose(random),
            states: *[Precision::F32, Precision::Bf16, Precision::Int8].choose(random),
            threads: random.random_range(1..=2),
            recompute: random.random_bool(0.5),
        }
    }

    fn input(&self, model: &Model, random: &mut ChaCha8Rng) -> Input {
        match model.input() {
            InputSpec::Tokens(TextSpec { longest: max, .. }) => {
                let segments = Segments::from_lengths((0..self.batch).map(|_| random.random_range(1..=max.min(20))));
                Input::Tokens(Tokens { ids: vec![1; segments.rows()], segments })
            }
            InputSpec::Images(ImageSpec { channels, height, width, .. }) => {
                let pixels = vec![0.5; self.batch * channels * height * width];
                Input::Images(Images { pixels, batch: self.batch, channels, height, width })
            }
        }
    }
}

trait Choose<T> {
    fn choose(&self, random: &mut ChaCha8Rng) -> &T;
}

impl<T, const N: usize> Choose<T> for [T; N] {
    fn choose(&self, random: &mut ChaCha8Rng) -> &T {
        &self[random.random_range(0..N)]
    }
}

/// Bytes that three steps took: of the pool, and of the task.
fn measured(base: &Base, model: &Model, input: &Input, setting: &Setting) -> usize {
    let (layout, workspace) = (model.layout(), Workspace::new(setting.threads));
    let mut adapted = Adapted::new(base, layout);
    let head = vec![0.01; setting.classes * layout.features()];
    adapted.set_head(head, vec![0.0; setting.classes]);
    setting.active.iter().for_each(|&id| adapted.own(id, None));
    let norms = layout.layers().filter(|(_, layer)| layer.kind == LayerKind::Norm);
    for (id, layer) in norms.filter(|_| setting.norms != Norms::Frozen) {
        adapted.own(id, None);
        if setting.norms == Norms::Statistics && layer.statistics.is_some() {
            adapted.own_statistics(id);
        }
    }
    let labels: Vec<usize> = (0..input.len()).map(|number| number % setting.classes).collect();
    for number in 1..=3 {
        let (gradients, _moments) = {
            let graph = Graph::new(Host::new(&adapted, &workspace), adapted.wanted());
            let graph = graph.with_batch_statistics(setting.norms == Norms::Statistics);
            let mut graph = graph.with_recomputation(setting.recompute);
            let logits = model.logits(&mut graph, input).unwrap();
            let (_, gradient) = cross_entropy(&workspace, logits.value(), &labels, 0.0);
            let (moments, mut gradients) = (graph.take_moments(), Vec::<(LayerId, LayerGrad)>::new());
            let mut sink = |id, gradient: LayerGrad| {
                match gradients.iter_mut().find(|(of, _)| *of == id) {
                    Some((_, sum)) => sum.add(&gradient),
                    None => gradients.push((id, gradient)),
                }
                Ok(())
            };
            backward(model, input, graph, &logits, gradient, &mut sink).unwrap();
            (gradients, moments)
        };
        gradients.into_iter().for_each(|(id, gradient)| adapted.accumulate(id, gradient));
        let (rate, head_rate, score_rate) = (1e-4, 1e-4, 0.0);
        let (optimizer, states) = (setting.optimizer, setting.states);
        let (decay, lambda, by_bytes, clip) = (0.0, 0.0, false, None);
        assert!(adapted.update(
            &workspace,
            Step { optimizer, states, rate, head_rate, score_rate, decay, lambda, by_bytes, clip, number }
        ));
    }
    workspace.peak_bytes() + adapted.own_bytes()
}

#[test]
fn a_step_takes_what_is_planned() {
    let _alone = alone();
    const DRAWS: u64 = 24;
    let mut worst: (f64, String) = (1.0, String::new());
    let mut failed = Vec::new();
    for name in NETWORKS {
        let base = Base::open(folder(name)).unwrap();
        let model = Model::open(&base).unwrap();
        for seed in 0..DRAWS {
            let random = &mut ChaCha8Rng::seed_from_u64(seed);
            let setting = Setting::draw(&model, random);
            let input = setting.input(&model, random);
            let Setting { classes, norms, optimizer, states, recompute, threads, .. } = setting;
            let config = Config { norms, optimizer, states, recompute, threads, ..Config::default() };
            let plan = plan_step(&base, &model, &input, classes, &setting.active, &config).unwrap();
            let (planned, measured) = (plan.total() - plan.batch, measured(&base, &model, &input, &setting));
            let ratio = planned as f64 / measured as f64;
            let what = format!("{name}: {planned} planned, {measured} measured, {ratio:.3}: {plan}; {setting:?}");
            if ratio > worst.0 {
                worst = (ratio, what.clone());
            }
            // A step's own code has told it, buffer by buffer.
            if planned != measured {
                failed.push(what);
            }
        }
    }
    println!("furthest off: {}", worst.1);
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), DRAWS as usize * NETWORKS.len(), failed.join("\n"));
}
