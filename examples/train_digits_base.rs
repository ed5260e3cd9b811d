//! Trains the base of the demo from random weights and writes it to a folder:
//!
//! ```text
//! cargo run --release --example train_digits_base -- adapters/digits/base
//! ```
//!
//! A small vision transformer on the first 1197 of scikit-learn's handwritten digits, upright and in
//! their usual contrast, each also moved by one pixel each way. On one thread the same bytes come out on every run.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use taps::base::Base;
use taps::data::{ImageSet, read_idx_images, read_idx_labels};
use taps::files::write_atomically;
use taps::format::Encoding;
use taps::models::Model;
use taps::runtime::{ImageSpec, Runtime};
use taps::train::{Config, Event, Method, Observer, bake, fine_tune};

const SIZE: usize = 8;
const PATCH: usize = 2;
const HIDDEN: usize = 64;
const INNER: usize = 128;
const LAYERS: usize = 4;
const TRAINING_IMAGES: usize = 1197;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: train_digits_base FOLDER")?;
    let folder = Path::new(&folder);
    let config = json!({
        "model_type": "vit",
        "hidden_act": "gelu",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "image_size": SIZE,
        "patch_size": PATCH,
        "num_channels": 1,
        "image_mean": [0.3],
        "image_std": [0.4],
        "layer_norm_eps": 1e-6,
        "id2label": (0..10).map(|digit| (digit.to_string(), json!(digit.to_string()))).collect::<serde_json::Map<_, _>>(),
    });
    let random = std::env::temp_dir().join(format!("digits-base-{}", std::process::id()));
    std::fs::create_dir_all(&random)?;
    std::fs::create_dir_all(folder)?;
    write(&random, &config, &random_weights())?;

    let base = Base::open(&random)?;
    let model = Model::open(&base)?;
    let settings = Config {
        method: Method::Full,
        epochs: 24,
        warm_epochs: 0,
        head_epochs: 1,
        rate: 1e-3,
        head_rate: 1e-3,
        decay: 0.05,
        smoothing: 0.1,
        threads: 1,
        ..Config::default()
    };
    let tuned = fine_tune(&base, &model, &digits()?, &settings, &mut Lines)?;
    let adapter = tuned.adapter(&base, &model, "digits", Encoding::F32)?;
    let runtime = Runtime::new(model);
    let task = runtime.load_bytes(&adapter, "digits")?;

    bake(runtime.base(), runtime.network(), &*task, task.labels(), folder)?;
    std::fs::remove_dir_all(&random)?;
    Ok(())
}

/// Weights of deviation 1 / √inputs, norms of one, biases of zero, small tables.
fn random_weights() -> Tensors {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut tensors = Tensors::new();
    let mut add = |name: String, shape: &[usize], deviation: f32, mean: f32| {
        // The sum of twelve uniform numbers is nearly normal.
        let mut normal = || (0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0;
        let values = (0..shape.iter().product()).map(|_| mean + deviation * normal()).collect();
        tensors.insert(name, (shape.to_vec(), values));
    };
    let mut layer = |name: &str, shape: &[usize]| {
        let inputs: usize = shape[1..].iter().product();
        let norm = shape.len() == 1;
        let deviation = if norm { 0.0 } else { (inputs as f32).powf(-0.5) };
        add(format!("{name}.weight"), shape, deviation, f32::from(u8::from(norm)));
        add(format!("{name}.bias"), &shape[..1], 0.0, 0.0);
    };
    layer("vit.embeddings.patch_embeddings.projection", &[HIDDEN, 1, PATCH, PATCH]);
    for number in 0..LAYERS {
        let name = |part: &str| format!("vit.encoder.layer.{number}.{part}");
        layer(&name("layernorm_before"), &[HIDDEN]);
        for part in ["attention.query", "attention.key", "attention.value", "output.dense"] {
            layer(&name(&format!("attention.{part}")), &[HIDDEN, HIDDEN]);
        }
        layer(&name("layernorm_after"), &[HIDDEN]);
        layer(&name("intermediate.dense"), &[INNER, HIDDEN]);
        layer(&name("output.dense"), &[HIDDEN, INNER]);
    }
    layer("vit.layernorm", &[HIDDEN]);
    layer("classifier", &[10, HIDDEN]);
    let positions = (SIZE / PATCH) * (SIZE / PATCH) + 1;
    add("vit.embeddings.cls_token".to_owned(), &[1, 1, HIDDEN], 0.02, 0.0);
    add("vit.embeddings.position_embeddings".to_owned(), &[1, positions, HIDDEN], 0.02, 0.0);
    tensors
}

fn digits() -> Result<ImageSet, Box<dyn Error>> {
    let images = read_idx_images("adapters/digits/data/digits-images-idx3-ubyte")?;
    let labels = read_idx_labels("adapters/digits/data/digits-labels-idx1-ubyte")?;
    let spec = ImageSpec::new(1, [SIZE, SIZE], vec![0.3], vec![0.4]);
    let (mut pixels, mut classes) = (Vec::new(), Vec::new());
    for shift in [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)] {
        for (image, &digit) in images.pixels.chunks_exact(SIZE * SIZE).zip(&labels[..TRAINING_IMAGES]) {
            pixels.extend(shifted(image, shift));
            classes.push(digit.into());
        }
    }
    Ok(ImageSet::new(pixels, classes, (0..10).map(|digit| digit.to_string()).collect(), spec)?)
}

/// The image moved by some pixels down and to the right, with black where nothing moved to.
fn shifted(image: &[u8], (down, right): (isize, isize)) -> Vec<u8> {
    let size = SIZE as isize;
    let pixel = |at: isize| {
        let (y, x) = (at / size - down, at % size - right);
        let inside = (0..size).contains(&y) && (0..size).contains(&x);
        if inside { image[(y * size + x) as usize] } else { 0 }
    };
    (0..size * size).map(pixel).collect()
}

fn write(folder: &Path, config: &serde_json::Value, tensors: &Tensors) -> Result<(), Box<dyn Error>> {
    let bytes: BTreeMap<&str, Vec<u8>> = tensors
        .iter()
        .map(|(name, (_, values))| (name.as_str(), values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let mut views = Vec::new();
    for (name, (shape, _)) in tensors {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), &bytes[name.as_str()])?;
        views.push((name.as_str(), view));
    }
    write_atomically(&folder.join("model.safetensors"), &safetensors::serialize(views, None)?)?;
    write_atomically(&folder.join("config.json"), serde_json::to_string_pretty(config)?.as_bytes())?;
    Ok(())
}

struct Lines;

impl Observer for Lines {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Epoch { epoch, of, loss, validation, .. } = event {
            println!("epoch {epoch}/{of}: loss {loss:.4}, validation {:.4}", validation.accuracy());
        }
    }
}
