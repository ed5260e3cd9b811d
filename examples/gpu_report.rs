//! What a device does with this project's work: agreement with the host, times, memory. One command, which needs neither
//! Rust nor a network where it runs:
//!
//! ```text
//! gpu_report [--device cuda|metal|auto|cpu] [--small] [--out FILE.json]
//! ```
//!
//! Bases of MiniLM's and of a small vision transformer's sizes are made of random numbers. On each: the device's logits
//! against the host's; forward passes; training steps of four layers, by the whole trainer, in f32 and bf16; fifty tasks
//! loaded, switched between and their memory. `--small` is for a try without a GPU. `benches/peers/gpu.py` times PyTorch at the same work.

#[path = "../tests/common/adapter.rs"]
#[allow(dead_code)]
mod adapter;
#[path = "../tests/common/base.rs"]
#[allow(dead_code)]
mod base;

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use adapter::AdapterFile;
use base::{Numbers, Sizes, Weights};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use taps::device::{self, DeviceBase, DeviceRuntime};
use taps::format::Encoding;
use taps::kernels::Segments;
use taps::models::InputSpec;
use taps::runtime::{self, Arithmetic, ImageSpec, Images, Processor, Tokens};
use taps::train::{Event, Observer, Select, fine_tune_on};
use taps::{Base, Config, Examples, Input, Model, Network, Runtime};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Largest difference of logits from the host's, as a share of the largest.
const OFF: f32 = 1e-3;
/// The same in 16 bits.
const OFF_IN_16_BITS: f32 = 5e-2;
const TASKS: u64 = 50;
/// Training steps that are counted, and before them ones that are not.
const STEPS: usize = 12;
const WARM: usize = 3;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after =
        |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    let name = after("--device").map_or("auto", String::as_str);
    let processor = Processor::of_name(name).ok_or("--device: cpu, cuda, metal or auto")?;
    let device = device::open(processor)?;
    let small = arguments.iter().any(|argument| argument == "--small");
    let kind = if device.is_cuda() {
        "cuda"
    } else if device.is_metal() {
        "metal"
    } else {
        "cpu"
    };
    let [card, driver] = card().filter(|_| device.is_cuda()).unwrap_or_default();
    println!("{kind} {card} {driver}, taps {}", env!("CARGO_PKG_VERSION"));
    let mut rows = Vec::new();
    for text in [true, false] {
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        match (text, small) {
            (true, true) => bert(folder, Sizes { vocab: 100, hidden: 64, inner: 128, layers: 4, positions: 128 })?,
            (true, false) => bert(folder, Sizes { vocab: 30522, hidden: 384, inner: 1536, layers: 6, positions: 512 })?,
            (false, true) => vit(folder, [64, 4, 2], [8, 32])?,
            (false, false) => vit(folder, [384, 12, 6], [16, 224])?,
        }
        let batch = if small { 4 } else { 32 };
        rows.extend(report(folder, if text { "MiniLM" } else { "ViT-small" }, &device, batch)?);
    }
    let rows: Vec<Value> = rows.into_iter().map(|(what, value, unit)| json!([what, value, unit])).collect();
    let report = json!({ "device": kind, "card": card, "driver": driver, "small": small,
        "version": env!("CARGO_PKG_VERSION"), "rows": rows });
    if let Some(path) = after("--out") {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}

type Row = (String, f64, &'static str);

fn report(folder: &Path, name: &str, device: &device::Device, batch: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut row = |what: String, value: f64, unit: &'static str| {
        println!("{name:<10} {what:<52} {value:>12.4} {unit}");
        rows.push((format!("{name}: {what}"), value, unit));
    };
    for arithmetic in [Arithmetic::F32, Arithmetic::Bf16] {
        let base = Base::open(folder)?;
        let host = Runtime::new(Model::open(&base)?);
        let started = Instant::now();
        let there = DeviceBase::upload_as(&base, host.network().layout(), device, arithmetic)?;
        let uploading = 1e3 * started.elapsed().as_secs_f64();
        let runtime = DeviceRuntime::over(host, Arc::new(there))?;
        let numbers = arithmetic.name();
        row(format!("upload of the base, {numbers}"), uploading, "ms");
        row(format!("base on the device, {numbers}"), runtime.base().bytes() as f64 / 1e6, "MB");
        passes(&runtime, arithmetic, batch, &mut row)?;
        if arithmetic == Arithmetic::F32 {
            tasks(&runtime, &mut row)?;
        }
        steps(&runtime, arithmetic, batch, &mut row)?;
    }
    Ok(rows)
}

/// Agreement of logits with the host's, and forward passes.
fn passes(
    runtime: &DeviceRuntime<Model>,
    arithmetic: Arithmetic,
    batch: usize,
    row: &mut dyn FnMut(String, f64, &'static str),
) -> Result<()> {
    let (host, numbers) = (runtime.host(), arithmetic.name());
    let file = adapter(host, 0);
    let (expected, task) = (host.load_bytes(&file, "made here")?, runtime.load_bytes(&file, "made here")?);
    let few = examples(host.network(), 4).batch(&[0, 1, 2, 3])?;
    let (expected, found) = (host.predict_as(expected, &few)?, runtime.predict_as(task.clone(), &few)?);
    let size = expected.logits().iter().fold(0f32, |size, value| size.max(value.abs()));
    let apart = expected.logits().iter().zip(found.logits().iter()).map(|(a, b)| (a - b).abs());
    let off = apart.fold(0f32, f32::max) / size;
    row(format!("logits off the host's, share of the largest, {numbers}"), f64::from(off), "");
    if off > if arithmetic == Arithmetic::F32 { OFF } else { OFF_IN_16_BITS } {
        return Err(format!("logits in {numbers} are off by {off}").into());
    }
    for batch in [1, batch] {
        let input = examples(host.network(), batch).batch(&(0..batch).collect::<Vec<_>>())?;
        let seconds = median(9, || runtime.predict_as(task.clone(), &input))?;
        row(format!("forward, batch {batch}, {numbers}"), 1e3 * seconds, "ms");
    }
    Ok(())
}

/// Fifty tasks: what they copy and take, and the switch between them.
fn tasks(runtime: &DeviceRuntime<Model>, row: &mut dyn FnMut(String, f64, &'static str)) -> Result<()> {
    let there = runtime.base();
    let uploaded = there.uploaded();
    let before = card_memory();
    let files: Vec<Vec<u8>> = (0..TASKS).map(|seed| adapter(runtime.host(), seed)).collect();
    let started = Instant::now();
    let tasks = files.iter().map(|file| runtime.load_bytes(file, "made here"));
    let tasks = tasks.collect::<std::result::Result<Vec<_>, _>>()?;
    row("load of a task".into(), 1e3 * started.elapsed().as_secs_f64() / TASKS as f64, "ms");
    let own: usize = tasks.iter().map(|task| task.own_bytes()).sum();
    row(format!("{TASKS} tasks on the device"), own as f64 / 1e6, "MB");
    let copied = there.uploaded() - uploaded;
    row(format!("copied to the device for {TASKS} tasks"), copied as f64 / 1e6, "MB");
    if copied > own {
        return Err("loading tasks has copied more than their own layers".into());
    }
    if let (Some(before), Some(after)) = (before, card_memory()) {
        row(format!("{TASKS} tasks, as the driver counts"), after - before, "MB");
    }
    let uploaded = there.uploaded();
    const SWITCHES: usize = 200_000;
    let started = Instant::now();
    for number in 0..SWITCHES {
        std::hint::black_box(runtime.switch(&tasks[number % tasks.len()]).unwrap());
    }
    row("switch".into(), started.elapsed().as_secs_f64() * 1e9 / SWITCHES as f64, "ns");
    if there.uploaded() != uploaded {
        return Err("a switch has copied something".into());
    }
    Ok(())
}

/// Training steps of four layers, by the whole trainer.
fn steps(
    runtime: &DeviceRuntime<Model>,
    arithmetic: Arithmetic,
    batch: usize,
    row: &mut dyn FnMut(String, f64, &'static str),
) -> Result<()> {
    let (host, there, numbers) = (runtime.host(), runtime.base(), arithmetic.name());
    let layout = host.network().layout();
    let tapped: Vec<String> = layout.tapped().map(|id| layout.layer(id).name.clone()).collect();
    let layers = (0..4).map(|number| tapped[(2 * number + 1) * tapped.len() / 8].clone()).collect();
    let config = Config {
        select: Select::Given(layers),
        epochs: 1,
        head_epochs: 1,
        batch,
        validation: 0.0,
        ..Config::default()
    };
    let examples = examples(host.network(), (WARM + STEPS) * batch);
    let (mut clock, uploaded) = (Clock(Vec::new()), there.uploaded());
    fine_tune_on(there, host.base(), host.network(), &examples, &config, &mut clock)?;
    let mut seconds: Vec<f64> = clock.0.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    if seconds.len() != WARM + STEPS {
        return Err(format!("{} training steps in place of {}", seconds.len(), WARM + STEPS).into());
    }
    let steps = &mut seconds[WARM..];
    steps.sort_by(f64::total_cmp);
    row(format!("training step of four layers, batch {batch}, {numbers}"), 1e3 * steps[STEPS / 2], "ms");
    row(format!("copied for the whole fine-tune, {numbers}"), (there.uploaded() - uploaded) as f64 / 1e6, "MB");
    Ok(())
}

/// When tuning began, and when each of its steps was done.
struct Clock(Vec<Instant>);

impl Observer for Clock {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin { .. } => self.0 = vec![Instant::now()],
            Event::Step { .. } => self.0.push(Instant::now()),
            _ => {}
        }
    }
}

/// Median seconds of `count` runs after one that is not counted.
fn median<T, E: Into<Box<dyn Error>>>(count: usize, run: impl Fn() -> std::result::Result<T, E>) -> Result<f64> {
    run().map_err(Into::into)?;
    let mut times = Vec::new();
    for _ in 0..count {
        let started = Instant::now();
        run().map_err(Into::into)?;
        times.push(started.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[count / 2])
}

/// An int8 delta on four layers, and a head.
fn adapter(host: &Runtime<Model>, seed: u64) -> Vec<u8> {
    let layout = host.network().layout();
    let mut file = AdapterFile::new(host.base(), &format!("task {seed}"));
    file.architecture = host.network().architecture().to_owned();
    let tapped: Vec<_> = layout.tapped().collect();
    for number in 0..4 {
        let name = &layout.layer(tapped[(2 * number + 1) * tapped.len() / 8]).weight.name;
        file = file.delta(host.base(), name, Encoding::Int8, seed);
        file.tensor(name).values.iter_mut().for_each(|value| *value *= 0.01);
    }
    let head = &layout.layer(layout.head()).name;
    file = file.head(layout.features(), &["a", "b", "c"], seed);
    for part in ["weight", "bias"] {
        file.tensor(&format!("classifier.{part}")).name = format!("{head}.{part}");
    }
    file.bytes()
}

/// Random examples of three classes: sequences of 128 tokens, or images.
struct Made(InputSpec, usize, Vec<String>);

fn examples(network: &Model, count: usize) -> Made {
    Made(network.input(), count, ["a", "b", "c"].map(str::to_owned).to_vec())
}

impl Examples for Made {
    fn len(&self) -> usize {
        self.1
    }

    fn classes(&self) -> &[String] {
        &self.2
    }

    fn label(&self, index: usize) -> usize {
        index % 3
    }

    fn rows(&self, _: usize) -> usize {
        128
    }

    fn batch(&self, indices: &[usize]) -> std::result::Result<Input, runtime::Error> {
        Ok(match self.0 {
            InputSpec::Tokens(_) => {
                let ids = |&index: &usize| (0..128).map(move |at| (index as u32 * 31 + at * 7) % 100);
                let ids = indices.iter().flat_map(ids).collect();
                Input::Tokens(Tokens { ids, segments: Segments::uniform(indices.len(), 128) })
            }
            InputSpec::Images(ImageSpec { channels, height, width, .. }) => {
                let each = channels * height * width;
                let pixels = indices.iter().flat_map(|&index| Numbers(index as u64).take(each, 1.0)).collect();
                Input::Images(Images { pixels, batch: indices.len(), channels, height, width })
            }
        })
    }
}

fn bert(folder: &Path, sizes: Sizes) -> Result<()> {
    Weights::bert(sizes, 1).write_folder(folder, Dtype::F32);
    // As many heads as MiniLM has, where its width is MiniLM's.
    let heads = if sizes.hidden.is_multiple_of(12) { 12 } else { 4 };
    let config = sizes.config(&[]).replace("_heads\":4", &format!("_heads\":{heads}"));
    Ok(std::fs::write(folder.join("config.json"), config)?)
}

/// A vision transformer in timm's names: width, blocks and heads; side of a patch and of the images.
fn vit(folder: &Path, [hidden, blocks, heads]: [usize; 3], [patch, side]: [usize; 2]) -> Result<()> {
    let mut shapes = vec![
        ("cls_token".to_owned(), vec![1, 1, hidden]),
        ("pos_embed".to_owned(), vec![1, (side / patch).pow(2) + 1, hidden]),
    ];
    let mut layer = |name: String, shape: &[usize]| {
        shapes.push((format!("{name}.weight"), shape.to_vec()));
        shapes.push((format!("{name}.bias"), vec![shape[0]]));
    };
    layer("patch_embed.proj".into(), &[hidden, 3, patch, patch]);
    for block in 0..blocks {
        let [wide, narrow] = [[4 * hidden, hidden], [hidden, 4 * hidden]];
        layer(format!("blocks.{block}.norm1"), &[hidden]);
        layer(format!("blocks.{block}.attn.qkv"), &[3 * hidden, hidden]);
        layer(format!("blocks.{block}.attn.proj"), &[hidden, hidden]);
        layer(format!("blocks.{block}.norm2"), &[hidden]);
        layer(format!("blocks.{block}.mlp.fc1"), &wide);
        layer(format!("blocks.{block}.mlp.fc2"), &narrow);
    }
    layer("norm".into(), &[hidden]);
    let mut numbers = Numbers(2);
    let data: HashMap<String, (Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let width = shape.iter().skip(1).product::<usize>().max(1) as f32;
            let offset = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
            let scale = if shape.len() > 1 { 1.7 / width.sqrt() } else { 0.1 };
            let values = numbers.take(shape.iter().product(), scale);
            (name, (shape, values.iter().flat_map(|value| (value + offset).to_le_bytes()).collect()))
        })
        .collect();
    let views =
        data.iter().map(|(name, (shape, bytes))| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>>>()?;
    safetensors::serialize_to_file(views, None, &folder.join("model.safetensors"))?;
    let config = json!({ "architecture": "vit_small", "num_heads": heads, "image_size": side, "num_classes": 0 });
    Ok(std::fs::write(folder.join("config.json"), config.to_string())?)
}

/// Name and driver of NVIDIA's first card.
fn card() -> Option<[String; 2]> {
    let line = ask("name,driver_version")?;
    let (name, driver) = line.split_once(", ")?;
    Some([name.to_owned(), format!("driver {driver}")])
}

/// Memory in use on it, in MB.
fn card_memory() -> Option<f64> {
    ask("memory.used")?.trim_end_matches(" MiB").parse::<f64>().ok().map(|mebibytes| mebibytes * 1.048_576)
}

fn ask(query: &str) -> Option<String> {
    let query = format!("--query-gpu={query}");
    let output = Command::new("nvidia-smi").args([query.as_str(), "--format=csv,noheader"]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}
