//! Where the time of one training step goes, by operation.
//!
//! ```sh
//! cargo run --release --example profile -- BASE [BATCH [TOKENS]] [--threads 2] [--steps 10]
//! ```
//!
//! BASE is a folder with a BERT encoder. Four linear layers spread over the network and a head of 77 classes are trained
//! on sequences of random tokens. For each kind of operation, forward, backward and of the update: the mean milliseconds
//! of a step, their share, and for those made of matrix products the rate of their multiplications and additions. The
//! last line is the rate of one product alone, the best of some shapes: what the machine's product reaches.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use taps::base::Base;
use taps::graph::{Graph, Host, Operation, Pass};
use taps::kernels::{Precision, Segments, Tensor, Weight, Workspace, cross_entropy, linear};
use taps::models::Model;
use taps::runtime::{Error as RuntimeError, Input, LayerId, LayerKind, Layout, Network, Tokens, backward};
use taps::train::{Adapted, Optimizer, Step};

const CLASSES: usize = 77;

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = Vec::new();
    let (mut base, mut threads, mut steps) = (None, 2, 10);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--threads" => threads = arguments.next().ok_or("--threads: a number")?.parse()?,
            "--steps" => steps = arguments.next().ok_or("--steps: a number")?.parse()?,
            path if base.is_none() => base = Some(path.to_owned()),
            number => numbers.push(number.parse::<usize>()?),
        }
    }
    let base = Base::open(base.ok_or("usage: profile BASE [BATCH [TOKENS]] [--threads N] [--steps N]")?)?;
    let (batch, tokens) = (numbers.first().copied().unwrap_or(32), numbers.get(1).copied().unwrap_or(64));
    let network = Model::open(&base)?;
    let layout = network.layout();
    let mut adapted = Adapted::new(&base, layout);
    adapted.set_head(vec![0.01; CLASSES * layout.features()], vec![0.0; CLASSES]);
    let tapped: Vec<LayerId> = layout.tapped().collect();
    (0..4).for_each(|part| adapted.own(tapped[(tapped.len() - 1) * (2 * part + 1) / 8], None));
    let segments = Segments::uniform(batch, tokens);
    let ids = (0..segments.rows()).map(|row| (row * 7919 % 20_000) as u32).collect();
    let input = Input::Tokens(Tokens { ids, segments: segments.clone() });
    let labels: Vec<usize> = (0..batch).map(|example| example % CLASSES).collect();

    let workspace = Workspace::new(threads);
    let shape = Shape { layout: layout.clone(), segments };
    let mut times = Times { shape, kinds: BTreeMap::new(), last: Instant::now() };
    for number in 0..=steps {
        if number == 1 {
            times.kinds.clear();
        }
        step(&network, &mut adapted, &input, &labels, &workspace, &mut times, number as u32 + 1)?;
    }
    times.print(steps);
    println!("{:<26} {:>9} {:>7} {:>9} {:>9.0}", "product alone", "", "", "", best_rate(&workspace, batch * tokens));
    Ok(())
}

fn step(
    network: &Model,
    adapted: &mut Adapted,
    input: &Input,
    labels: &[usize],
    workspace: &Workspace,
    times: &mut Times,
    number: u32,
) -> Result<(), RuntimeError> {
    let wanted = adapted.wanted().to_vec();
    let mut gradients = Vec::new();
    times.last = Instant::now();
    let (shape, timed) = (times.shape.clone(), RefCell::new(times));
    // Weight gradients are told before the operation whose they are.
    let weights = Cell::new(0);
    let watch = |pass: Pass, Operation { name, layers }: &Operation| {
        let (layer, pair) = (shape.products_of(layers), shape.attention());
        match (pass, *name) {
            (Pass::Forward, "attention" | "self_attention") => timed.borrow_mut().add(name, layer + pair),
            (Pass::Forward, _) => timed.borrow_mut().add(name, layer),
            (Pass::Backward, _) => {
                let products = match (*name, &layers[..]) {
                    ("attention", _) => 5 * pair / 2,
                    // What it forms again is among its products.
                    ("self_attention", _) => 2 * layer + 5 * pair / 2,
                    ("feed_forward", [inner, outer]) => shape.products_of(&[*inner, *inner, *outer]),
                    _ => layer,
                };
                timed.borrow_mut().add(&format!("{name} backward"), products + weights.take());
            }
        }
    };
    let mut graph = Graph::new(Host::new(adapted, workspace), &wanted).with_watch(&watch);
    let logits = network.logits(&mut graph, input)?;
    let (_, gradient) = cross_entropy(workspace, logits.value(), labels, 0.0);
    timed.borrow_mut().add("cross_entropy", 0);
    let mut sink = |layer, gradient| {
        weights.set(weights.get() + shape.products(layer));
        gradients.push((layer, gradient));
        Ok(())
    };
    backward(network, input, graph, &logits, gradient, &mut sink)?;
    let times = timed.into_inner();
    drop(logits);
    gradients.into_iter().for_each(|(id, gradient)| adapted.accumulate(id, gradient));
    let (optimizer, rate) = (Optimizer::AdamW, 1e-4);
    let step = Step {
        optimizer,
        states: Precision::F32,
        rate,
        head_rate: rate,
        score_rate: 0.0,
        decay: 0.0,
        lambda: 0.0,
        by_bytes: false,
        clip: None,
        number,
    };
    assert!(adapted.update(workspace, step), "a gradient is not a number");
    times.add("update", 0);
    Ok(())
}

/// What is computed with.
#[derive(Clone)]
struct Shape {
    layout: Arc<Layout>,
    segments: Segments,
}

impl Shape {
    /// Multiplications of a layer's product with all rows.
    fn products(&self, layer: LayerId) -> usize {
        let layer = self.layout.layer(layer);
        match layer.kind {
            LayerKind::Head => CLASSES * self.layout.features() * self.segments.len(),
            LayerKind::Linear => layer.weight.elements() * self.segments.rows(),
            _ => 0,
        }
    }

    fn products_of(&self, layers: &[LayerId]) -> usize {
        layers.iter().map(|&layer| self.products(layer)).sum()
    }

    /// Multiplications of attention's two products.
    fn attention(&self) -> usize {
        self.segments.ranges().map(|rows| 2 * rows.len() * rows.len() * self.layout.features()).sum()
    }
}

/// Time and multiplications of each kind of operation.
struct Times {
    shape: Shape,
    kinds: BTreeMap<String, (f64, usize)>,
    last: Instant,
}

impl Times {
    /// Puts the time since the last call down to `kind`.
    fn add(&mut self, kind: &str, products: usize) {
        let now = Instant::now();
        let entry = self.kinds.entry(kind.to_owned()).or_default();
        entry.0 += (now - self.last).as_secs_f64();
        entry.1 += products;
        self.last = now;
    }

    fn print(&self, steps: usize) {
        let total: f64 = self.kinds.values().map(|(seconds, _)| seconds).sum();
        let line = |name: &str, seconds: f64, products: usize| {
            let (ms, share) = (seconds * 1e3 / steps as f64, 100.0 * seconds / total);
            let (work, rate) = (products as f64 * 2e-9 / steps as f64, products as f64 * 2e-9 / seconds);
            let [work, rate] = [(work, 1), (rate, 0)].map(|(value, digits)| match products {
                0 => String::new(),
                _ => format!("{value:.digits$}"),
            });
            println!("{name:<26} {ms:>9.2} {share:>6.1}% {work:>9} {rate:>9}");
        };
        println!("{:<26} {:>9} {:>7} {:>9} {:>9}", "operation", "ms", "share", "GFLOP", "GFLOP/s");
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
        kinds.iter().for_each(|(name, (seconds, products))| line(name, *seconds, *products));
        let made_of_products = || kinds.iter().filter(|(_, (_, products))| *products > 0).map(|(_, kind)| kind);
        let (seconds, products) =
            (made_of_products().map(|kind| kind.0).sum(), made_of_products().map(|kind| kind.1).sum());
        line("all with products", seconds, products);
        line("step", total, products);
    }
}

/// The best rate of a matrix product by itself.
fn best_rate(workspace: &Workspace, rows: usize) -> f64 {
    let mut best: f64 = 0.0;
    for (rows, inputs, outputs) in [(rows, 384, 1536), (rows, 1536, 384), (rows, 384, 384), (512, 512, 512)] {
        let x = Tensor::from_vec(vec![0.5; rows * inputs], rows, inputs);
        let weight = vec![0.5; inputs * outputs];
        for _ in 0..20 {
            let start = Instant::now();
            drop(linear(workspace, &x, Weight::f32(&weight), None));
            best = best.max((rows * inputs * outputs) as f64 * 2e-9 / start.elapsed().as_secs_f64());
        }
    }
    best
}
