//! A base from random weights: a small residual network.

use std::collections::BTreeMap;
use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, json};
use taps::base::Base;
use taps::files::write_atomically;
use taps::format::Encoding;
use taps::models::Model;
use taps::runtime::Runtime;
use taps::train::{Config, Method, Norms, Quiet, bake, fine_tune};

use super::{Result, Signals, Subset};

/// How a base is made.
pub struct Start {
    /// Channels of the three stages of the network.
    pub widths: [usize; 3],
    /// Blocks of two layers in each stage.
    pub blocks: usize,
    /// Passes over the examples.
    pub epochs: usize,
    /// Learning rate.
    pub rate: f32,
    /// Seed of the weights, and of the training.
    pub seed: u64,
}

impl Start {
    /// Trains a network on all examples and opens it as a base. The best epoch on a tenth of them that is held out
    /// is kept.
    pub fn train(&self, examples: &Subset) -> Result<Runtime<Model>> {
        let (random, folder) = (tempfile::tempdir()?, tempfile::tempdir()?);
        self.write(&examples.signals, random.path())?;
        let base = Base::open(random.path())?;
        let model = Model::open(&base)?;
        let config = Config {
            method: Method::Full,
            norms: Norms::Statistics,
            // The features of random weights are no place to fit a head.
            warm_epochs: 0,
            head_epochs: 1,
            epochs: self.epochs,
            rate: self.rate,
            head_rate: self.rate,
            decay: 0.05,
            smoothing: 0.1,
            seed: self.seed,
            ..Config::default()
        };
        let tuned = fine_tune(&base, &model, examples, &config, &mut Quiet)?;
        let adapter = tuned.adapter(&base, &model, "base", Encoding::F32)?;
        let runtime = Runtime::new(model);
        let task = runtime.load_bytes(&adapter, "base")?;
        bake(runtime.base(), runtime.network(), &*task, task.labels(), folder.path())?;
        // Read and not mapped: the folder goes when this returns.
        let base = Base::open_in_memory(folder.path())?;
        let model = Model::open(&base)?;
        Ok(Runtime::new(model))
    }

    /// Writes `config.json` and `model.safetensors` for signals like these: convolutions of deviation √(2 / inputs)
    /// (He et al. 2015), normalizations that change nothing.
    fn write(&self, signals: &Signals, folder: &Path) -> Result<()> {
        let [channels, steps] = signals.shape;
        let labels: Map<_, _> =
            signals.classes.iter().enumerate().map(|(class, name)| (class.to_string(), json!(name))).collect();
        let config = json!({
            "architecture": "resnet_cifar",
            "num_channels": channels,
            "image_size": [steps, 1],
            "image_mean": signals.mean,
            "image_std": signals.deviation,
            "batch_norm_eps": 1e-5,
            "id2label": labels,
        });
        let mut tensors = Tensors { random: ChaCha8Rng::seed_from_u64(self.seed), of: BTreeMap::new() };
        tensors.unit("conv1", "bn1", self.widths[0], channels);
        let mut inputs = self.widths[0];
        for (stage, outputs) in (1..).zip(self.widths) {
            for block in 0..self.blocks {
                let name = |part: &str| format!("layer{stage}.{block}.{part}");
                tensors.unit(&name("conv1"), &name("bn1"), outputs, inputs);
                tensors.unit(&name("conv2"), &name("bn2"), outputs, outputs);
                inputs = outputs;
            }
        }
        tensors.add("linear.weight".to_owned(), &[signals.classes.len(), inputs], 0.01, 0.0);
        tensors.add("linear.bias".to_owned(), &[signals.classes.len()], 0.0, 0.0);
        let mut views = Vec::new();
        for (name, (shape, bytes)) in &tensors.of {
            views.push((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?));
        }
        write_atomically(&folder.join("model.safetensors"), &safetensors::serialize(views, None)?)?;
        write_atomically(&folder.join("config.json"), config.to_string().as_bytes())?;
        Ok(())
    }
}

/// Tensors by name: shape and little-endian f32.
struct Tensors {
    random: ChaCha8Rng,
    of: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
}

impl Tensors {
    fn add(&mut self, name: String, shape: &[usize], deviation: f32, mean: f32) {
        // The sum of twelve uniform numbers is nearly normal.
        let mut normal = || (0..12).map(|_| self.random.random::<f32>()).sum::<f32>() - 6.0;
        let values = (0..shape.iter().product()).flat_map(|_| (mean + deviation * normal()).to_le_bytes()).collect();
        self.of.insert(name, (shape.to_vec(), values));
    }

    /// A convolution of 3 × 3 and its normalization.
    fn unit(&mut self, conv: &str, norm: &str, outputs: usize, inputs: usize) {
        let deviation = (2.0 / (inputs * 9) as f32).sqrt();
        self.add(format!("{conv}.weight"), &[outputs, inputs, 3, 3], deviation, 0.0);
        for (part, mean) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
            self.add(format!("{norm}.{part}"), &[outputs], 0.0, mean);
        }
    }
}
