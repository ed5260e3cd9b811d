//! Whether a base that was trained jointly needs fewer layers of each task's own, on the three tasks of the demo:
//!
//! ```text
//! cargo run --release --example joint_digits
//! ```
//!
//! prints the accuracy on the 600 held-out digits, by task and in the mean: of the head alone, of head and norms, and
//! of these with 1, 2, 4 and 8 layers. The bases are the demo's as it is, tuned from as long as the demo does, and for
//! 4 layers twice as long, which is what joint training in the form `shared` takes in all; and those made of it by
//! joint training in the forms `shared`, `literal` and `patches`. One thread; every number is the mean over three
//! seeds, with the lowest and the highest for the mean over tasks.

use std::error::Error;

use taps::base::Base;
use taps::data::{ImageSet, read_idx_images, read_idx_labels};
use taps::format::{Adapter, Encoding};
use taps::kernels::Workspace;
use taps::models::Model;
use taps::runtime::{Examples, ImageSpec, Task, evaluate};
use taps::train::{
    Budget, Config, Form, Joint, JointConfig, JointTask, Method, Norms, Patch, Quiet, fine_tune, train_joint,
};

const TASKS: [&str; 3] = ["rotated", "inverted", "strokes"];
/// Layers of a task's own beside its head and norms; `None` for the head alone.
const CAPS: [Option<usize>; 6] = [None, Some(0), Some(1), Some(2), Some(4), Some(8)];
const LONGER: [Option<usize>; 1] = [Some(4)];
const LITERAL: [Option<usize>; 4] = [Some(1), Some(2), Some(4), Some(8)];
const PATCHES: [Option<usize>; 1] = [Some(0)];
const EPOCHS: usize = 14;
const SEEDS: [u64; 3] = [0, 1, 2];
/// Images before this one train; those from it on are held out, and were so when the base was trained.
const HELD_OUT: usize = 1197;

type Accuracies = [f64; TASKS.len()];

fn main() -> Result<(), Box<dyn Error>> {
    let base = Base::open("adapters/digits/base")?;
    let model = Model::open(&base)?;
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    for task in TASKS {
        train.push(digits(task, 0..HELD_OUT)?);
        held_out.push(digits(task, HELD_OUT..1797)?);
    }
    let [mut apart, mut longer, mut shared, mut literal, mut patches]: [Vec<Vec<Accuracies>>; 5] = Default::default();
    for seed in SEEDS {
        let each = |base: &Base, model: &Model, caps: &[Option<usize>], epochs| {
            let tune = |cap| Config { epochs, ..tune(cap, seed) };
            caps.iter().map(|&cap| alone(base, model, &train, &held_out, &tune(cap))).collect::<Result<Vec<_>, _>>()
        };
        let jointly = |form, tune| -> Result<(Joint, Model, Accuracies), Box<dyn Error>> {
            let tasks: Vec<JointTask<'_>> =
                TASKS.into_iter().zip(&train).map(|(name, train)| JointTask { name, data: train.into() }).collect();
            let config = JointConfig { form, epochs: EPOCHS, rate: 1e-3, tune };
            let joint = train_joint(&base, &model, &tasks, &config, &mut Quiet)?;
            let model = Model::open(joint.base())?;
            let mut accuracies = [0.0; TASKS.len()];
            for (number, task) in joint.tasks.iter().enumerate() {
                let adapter = joint.adapter(task, Encoding::F32)?;
                accuracies[number] = accuracy(&model, &adapter, &held_out[number])?;
            }
            Ok((joint, model, accuracies))
        };
        apart.push(each(&base, &model, &CAPS, EPOCHS)?);
        longer.push(each(&base, &model, &LONGER, 2 * EPOCHS)?);
        let (joint, over, _) = jointly(Form::Shared, tune(None, seed))?;
        shared.push(each(joint.base(), &over, &CAPS, EPOCHS)?);
        let capped = |cap| Config { method: Method::Taps, budget: capped_at(cap), ..tune(None, seed) };
        let caps = LITERAL.into_iter().map(|cap| Ok(jointly(Form::Literal, capped(cap))?.2));
        literal.push(caps.collect::<Result<_, Box<dyn Error>>>()?);
        patches.push(vec![jointly(Form::Patches, capped(None))?.2]);
        eprintln!("seed {seed} done");
    }
    println!(
        "| base | own layers | {} | mean | lowest and highest |\n|---|---|---|---|---|---|---|",
        TASKS.join(" | ")
    );
    print("as it is", &CAPS, &apart);
    print("as it is, twice as long", &LONGER, &longer);
    print("shared", &CAPS, &shared);
    print("literal", &LITERAL, &literal);
    print("patches", &PATCHES, &patches);
    Ok(())
}

fn capped_at(cap: Option<usize>) -> Budget {
    Budget { max_active_layers: cap, ..Budget::default() }
}

/// The demo's settings.
fn tune(cap: Option<usize>, seed: u64) -> Config {
    Config {
        method: match cap {
            None => Method::Head,
            Some(0) => Method::Patch(Patch::ScaleBias),
            Some(_) => Method::Taps,
        },
        budget: capped_at(cap),
        epochs: EPOCHS,
        rate: 3e-3,
        head_rate: 3e-3,
        norms: Norms::Affine,
        seed,
        threads: 1,
        ..Config::default()
    }
}

/// Accuracy of each task tuned by itself.
fn alone(
    base: &Base,
    model: &Model,
    train: &[ImageSet],
    held_out: &[ImageSet],
    config: &Config,
) -> Result<Accuracies, Box<dyn Error>> {
    let mut accuracies = [0.0; TASKS.len()];
    for (number, task) in TASKS.into_iter().enumerate() {
        let tuned = fine_tune(base, model, &train[number], config, &mut Quiet)?;
        let adapter = tuned.adapter(base, model, task, Encoding::F32)?;
        accuracies[number] = accuracy(model, &adapter, &held_out[number])?;
    }
    Ok(accuracies)
}

fn accuracy(model: &Model, adapter: &[u8], held_out: &ImageSet) -> Result<f64, Box<dyn Error>> {
    let adapter = Adapter::parse(adapter).map_err(|error| error.to_string())?;
    let task = Task::build(model, &adapter, "memory")?;
    let indices: Vec<usize> = (0..held_out.len()).collect();
    Ok(evaluate(model, &task, held_out, &indices, 64, &Workspace::new(1))?.accuracy())
}

/// One line for each cap; `runs` has one entry a seed.
fn print(base: &str, caps: &[Option<usize>], runs: &[Vec<Accuracies>]) {
    for (at, cap) in caps.iter().enumerate() {
        let seeds = runs.len() as f64;
        let tasks: Vec<String> = (0..TASKS.len())
            .map(|task| format!("{:.1}", 100.0 * runs.iter().map(|run| run[at][task]).sum::<f64>() / seeds))
            .collect();
        let means = runs.iter().map(|run| 100.0 * run[at].iter().sum::<f64>() / TASKS.len() as f64);
        let mean = means.clone().sum::<f64>() / seeds;
        let (lowest, highest) = (means.clone().fold(f64::MAX, f64::min), means.fold(0.0, f64::max));
        let cap = cap.map_or("head alone".to_owned(), |cap| cap.to_string());
        println!("| {base} | {cap} | {} | {mean:.1} | {lowest:.1}–{highest:.1} |", tasks.join(" | "));
    }
}

fn digits(task: &str, range: std::ops::Range<usize>) -> Result<ImageSet, Box<dyn Error>> {
    let images = read_idx_images("adapters/digits/data/digits-images-idx3-ubyte")?;
    let labels = read_idx_labels("adapters/digits/data/digits-labels-idx1-ubyte")?;
    let spec = ImageSpec::new(1, [8, 8], vec![0.3], vec![0.4]);
    let mut pixels = Vec::new();
    for image in images.pixels.chunks_exact(64).skip(range.start).take(range.len()) {
        match task {
            "rotated" => pixels.extend((0..64).map(|at| image[(7 - at % 8) * 8 + at / 8])),
            "inverted" => pixels.extend(image.iter().map(|pixel| 255 - pixel)),
            _ => pixels.extend(image),
        }
    }
    let label = |&digit: &u8| match (task, digit) {
        ("strokes", 0 | 6 | 8 | 9) => 0,
        ("strokes", 1 | 4 | 7) => 1,
        ("strokes", _) => 2,
        (_, digit) => digit.into(),
    };
    let classes = match task {
        "strokes" => ["round", "straight", "curved"].map(str::to_owned).to_vec(),
        _ => (0..10).map(|digit| digit.to_string()).collect(),
    };
    Ok(ImageSet::new(pixels, labels[range].iter().map(label).collect(), classes, spec)?)
}
