//! This project's side of a comparison with another runtime: reads one JSON command a line and answers each with one
//! JSON line. `benches/peers/images.py` and `text.py` speak to it.
//!
//! ```text
//! {"cmd":"open","base":PATH,"size":96,"threads":2}           -> {"ok":true,"classes":1001}
//! {"cmd":"input","path":FILE,"shape":[N,3,H,W]}              -> {"ok":true}
//! {"cmd":"tokens","path":FILE,"shape":[N,TOKENS]}            -> {"ok":true}
//! {"cmd":"forward","repeat":5}                               -> {"seconds":0.012}
//! {"cmd":"logits"}                                           -> {"values":[...]}
//! {"cmd":"train","layers":[NAMES],"norms":false,"steps":3}   -> {"seconds":0.034,"loss":6.9}
//! {"cmd":"memory"}                                           -> {"peak":123456789,"now":12345678}
//! ```
//!
//! - `open`: `size` in place of the `image_size` of the base's `config.json`, where it is given.
//! - `input`: little-endian f32, the values of all images in turn. `tokens`: little-endian u32, the vocabulary indices
//!   of sequences of one length.
//! - `forward`, `train`: one pass or step untimed, then the mean seconds of `repeat` passes or `steps` steps.
//! - `train`: every time anew from the base; the head and the named layers are trained, with `norms` scale and bias of
//!   every normalization too. A step is forward, cross entropy, backward and an AdamW update. The label of example `i` is
//!   `i` modulo the number of classes. `loss` is that of the last step, before its update.
//! - `memory` (Linux): bytes of anonymous memory, which the mapped base is no part of: now (`RssAnon`), and at the peak
//!   since the last such command. The kernel keeps the peak of all resident memory (`VmHWM`); what is mapped from files
//!   and shared now is taken off it, which is exact where the base was as resident at the peak as it is now.
//!
//! A command that fails is answered with `{"error":"..."}`.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use taps::base::Base;
use taps::graph::{Graph, Host};
use taps::kernels::{Precision, Segments, Workspace, cross_entropy};
use taps::models::Model;
use taps::runtime::{Images, Input, LayerId, LayerKind, Network, Part, Runtime, Tokens, Weights, backward};
use taps::train::{Adapted, Optimizer, Step};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut peer = Peer::default();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = serde_json::from_str(&line?).map_err(Into::into).and_then(|command| peer.answer(&command));
        let answer = answer.unwrap_or_else(|error| json!({ "error": error.to_string() }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

#[derive(Default)]
struct Peer {
    network: Option<Opened>,
    input: Option<Input>,
}

struct Opened {
    runtime: Runtime<Model>,
    workspace: Workspace,
}

impl Peer {
    fn answer(&mut self, command: &Value) -> Result<Value> {
        match text(command, "cmd")? {
            "open" => {
                let opened = Opened::new(command)?;
                let classes = opened.runtime.base_task().labels().len();
                (self.network, self.input) = (Some(opened), None);
                Ok(json!({ "ok": true, "classes": classes }))
            }
            "input" => {
                self.input = Some(read_images(command)?);
                Ok(json!({ "ok": true }))
            }
            "tokens" => {
                self.input = Some(read_tokens(command)?);
                Ok(json!({ "ok": true }))
            }
            "memory" => memory(),
            "forward" => {
                let (opened, input) = self.ready()?;
                let seconds = opened.forward(input, count(command, "repeat").unwrap_or(1))?;
                Ok(json!({ "seconds": seconds }))
            }
            "logits" => {
                let (opened, input) = self.ready()?;
                Ok(json!({ "values": opened.runtime.predict(input)?.logits()[..] }))
            }
            "train" => {
                let (opened, input) = self.ready()?;
                let (seconds, loss) = opened.train(input, command)?;
                Ok(json!({ "seconds": seconds, "loss": loss }))
            }
            other => Err(format!("no command {other}").into()),
        }
    }

    fn ready(&self) -> Result<(&Opened, &Input)> {
        let opened = self.network.as_ref().ok_or("no base is open")?;
        Ok((opened, self.input.as_ref().ok_or("no input")?))
    }
}

impl Opened {
    fn new(command: &Value) -> Result<Self> {
        let (path, threads) = (Path::new(text(command, "base")?), count(command, "threads")?);
        let base = match command.get("size") {
            Some(size) => open_at(path, size)?,
            None => Base::open(path)?,
        };
        let model = Model::open(&base)?;
        let runtime = Runtime::new(model).with_threads(threads);
        Ok(Self { runtime, workspace: Workspace::new(threads) })
    }

    /// Mean seconds of `repeat` forward passes.
    fn forward(&self, input: &Input, repeat: usize) -> Result<f64> {
        self.runtime.predict(input)?;
        let start = Instant::now();
        for _ in 0..repeat {
            black_box(self.runtime.predict(input)?);
        }
        Ok(start.elapsed().as_secs_f64() / repeat as f64)
    }

    /// Mean seconds of the steps after the first, and the last one's loss.
    fn train(&self, input: &Input, command: &Value) -> Result<(f64, f32)> {
        let names = command.get("layers").and_then(Value::as_array).ok_or("layers: expected a list of names")?;
        let names = names.iter().map(|name| name.as_str().ok_or("layers: expected names"));
        let names = names.collect::<std::result::Result<Vec<_>, _>>()?;
        let norms = command.get("norms").and_then(Value::as_bool).unwrap_or(false);
        let steps = count(command, "steps")?;
        let mut adapted = self.adapted(&names, norms)?;
        let classes = self.runtime.base_task().labels().len();
        let labels: Vec<usize> = (0..input.len()).map(|image| image % classes).collect();
        self.step(&mut adapted, input, &labels, 1)?;
        let (start, mut loss) = (Instant::now(), 0.0);
        for number in 0..steps {
            loss = self.step(&mut adapted, input, &labels, number + 2)?;
        }
        Ok((start.elapsed().as_secs_f64() / steps as f64, loss))
    }

    /// The base with its head, the named layers and perhaps all norms to be trained.
    fn adapted(&self, names: &[&str], norms: bool) -> Result<Adapted> {
        let layout = self.runtime.network().layout();
        let mut adapted = Adapted::new(self.runtime.base(), layout);
        for name in names {
            let (id, _) = layout.layers().find(|(_, layer)| layer.name == *name).ok_or(format!("no layer {name}"))?;
            adapted.own(id, None);
        }
        if norms {
            let norms = layout.layers().filter(|(_, layer)| layer.kind == LayerKind::Norm);
            norms.for_each(|(id, _)| adapted.own(id, None));
        }
        let values = |part| -> Result<Vec<f32>> {
            let param = self.runtime.base_task().param(layout.head(), part).ok_or("the base has no head")?;
            Ok(param.floats(&self.workspace).to_vec())
        };
        adapted.set_head(values(Part::Weight)?, values(Part::Bias)?);
        Ok(adapted)
    }

    fn step(&self, adapted: &mut Adapted, input: &Input, labels: &[usize], number: usize) -> Result<f32> {
        let wanted = adapted.wanted().to_vec();
        let mut gradients = Vec::new();
        let (network, mut graph) = (self.runtime.network(), Graph::new(Host::new(adapted, &self.workspace), &wanted));
        let logits = network.logits(&mut graph, input)?;
        let (loss, gradient) = cross_entropy(&self.workspace, logits.value(), labels, 0.0);
        let mut sink = |id: LayerId, gradient| {
            gradients.push((id, gradient));
            Ok(())
        };
        backward(network, input, graph, &logits, gradient, &mut sink)?;
        drop(logits);
        gradients.into_iter().for_each(|(id, gradient)| adapted.accumulate(id, gradient));
        let step = Step {
            optimizer: Optimizer::AdamW,
            states: Precision::F32,
            rate: 1e-4,
            head_rate: 1e-4,
            score_rate: 0.0,
            decay: 0.0,
            lambda: 0.0,
            by_bytes: false,
            clip: None,
            number: number as u32,
        };
        match adapted.update(&self.workspace, step) {
            true => Ok(loss),
            false => Err("a gradient is not a number".into()),
        }
    }
}

/// The base of a folder with another `image_size` in its configuration.
fn open_at(path: &Path, size: &Value) -> Result<Base> {
    let mut config: Value = serde_json::from_slice(&fs::read(path.join("config.json"))?)?;
    if config.get("image_size") == Some(size) {
        return Ok(Base::open(path)?);
    }
    config["image_size"] = size.clone();
    let folder = tempfile::tempdir()?;
    let (weights, copy) = (path.join("model.safetensors"), folder.path().join("model.safetensors"));
    fs::hard_link(&weights, &copy).or_else(|_| fs::copy(&weights, &copy).map(drop))?;
    fs::write(folder.path().join("config.json"), serde_json::to_vec(&config)?)?;
    // What is mapped outlives the folder's entry for it.
    Ok(Base::open(folder.path())?)
}

fn read_images(command: &Value) -> Result<Input> {
    let ([batch, channels, height, width], words) = read(command)?;
    let pixels = words.into_iter().map(f32::from_le_bytes).collect();
    Ok(Input::Images(Images { pixels, batch, channels, height, width }))
}

fn read_tokens(command: &Value) -> Result<Input> {
    let ([batch, tokens], words) = read(command)?;
    let ids = words.into_iter().map(u32::from_le_bytes).collect();
    Ok(Input::Tokens(Tokens { ids, segments: Segments::uniform(batch, tokens) }))
}

/// The shape of an input and the words of its file, as many as the shape says.
fn read<const N: usize>(command: &Value) -> Result<([usize; N], Vec<[u8; 4]>)> {
    let wrong = || format!("shape: expected {N} numbers");
    let shape = command.get("shape").and_then(Value::as_array).ok_or_else(wrong)?;
    let shape: Vec<usize> = shape.iter().filter_map(Value::as_u64).map(|size| size as usize).collect();
    let shape = <[usize; N]>::try_from(shape).map_err(|_| wrong())?;
    let bytes = fs::read(text(command, "path")?)?;
    let (words, rest) = bytes.as_chunks::<4>();
    if words.len() != shape.iter().product::<usize>() || !rest.is_empty() {
        return Err(format!("{} bytes for an input of shape {shape:?}", bytes.len()).into());
    }
    Ok((shape, words.to_vec()))
}

/// Anonymous memory now and at its peak; the next peak is counted from now on.
fn memory() -> Result<Value> {
    let status = fs::read_to_string("/proc/self/status")?;
    let bytes = |key: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or(format!("no {key}"))?;
        Ok(kilobytes.parse::<u64>()? * 1024)
    };
    fs::write("/proc/self/clear_refs", "5")?;
    let peak = bytes("VmHWM")?.saturating_sub(bytes("RssFile")? + bytes("RssShmem")?);
    Ok(json!({ "peak": peak, "now": bytes("RssAnon")? }))
}

fn text<'a>(command: &'a Value, key: &str) -> Result<&'a str> {
    command.get(key).and_then(Value::as_str).ok_or_else(|| format!("{key}: expected a string").into())
}

/// A positive integer.
fn count(command: &Value, key: &str) -> Result<usize> {
    let count = command.get(key).and_then(Value::as_u64).filter(|&count| count > 0);
    count.map(|count| count as usize).ok_or_else(|| format!("{key}: expected a positive integer").into())
}
