//! How soon a fine-tune has an adapter that is of use: accuracy on test examples against seconds from the start.
//!
//! ```text
//! cargo run --release --example useful -- BASE TRAIN.csv TEST.csv [LAYERS] [EPOCHS] [RATE] [SEED]
//! ```
//!
//! The clock starts before the base is opened and stands still while an adapter is measured: after the head is fitted, and
//! after every epoch. Nothing is held out, so that every epoch is measured and no test example is used otherwise. One
//! line of JSON each; `benches/peers/useful.py` reads them.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use serde_json::json;
use taps::data::{self, Options, Tokenizer};
use taps::format::Encoding;
use taps::kernels::Workspace;
use taps::runtime::{Examples, Task, evaluate};
use taps::train::{Budget, Event, Observer};
use taps::{Adapter, Base, Config, Model, fine_tune};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Clock<'a> {
    began: Instant,
    stood: Duration,
    model: &'a Model,
    test: &'a dyn Examples,
    threads: usize,
    failed: RefCell<Option<Box<dyn std::error::Error>>>,
}

impl Clock<'_> {
    fn measure(&self, adapter: &[u8]) -> Result<f64> {
        let task = Task::build(self.model, &Adapter::parse(adapter)?, "so far")?;
        let order: Vec<usize> = (0..self.test.len()).collect();
        Ok(evaluate(self.model, &task, self.test, &order, 64, &Workspace::new(self.threads))?.accuracy())
    }
}

impl Observer for Clock<'_> {
    fn event(&mut self, event: &Event<'_>) {
        let Event::Improved(improved) = event else { return };
        let now = Instant::now();
        let seconds = (now - self.began - self.stood).as_secs_f64();
        let found = improved.adapter("t", Encoding::F32).map_err(Into::into).and_then(|adapter| self.measure(&adapter));
        match found {
            Ok(accuracy) => {
                println!("{}", json!({ "epoch": improved.epoch(), "seconds": seconds, "accuracy": accuracy }));
            }
            Err(error) => *self.failed.borrow_mut() = Some(error),
        }
        self.stood += now.elapsed();
    }

    fn stop(&self) -> bool {
        self.failed.borrow().is_some()
    }
}

fn main() -> Result<()> {
    let began = Instant::now();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, train, test, ..] = arguments.as_slice() else { return Err("BASE TRAIN.csv TEST.csv".into()) };
    let number = |at: usize, default: f64| arguments.get(at).map_or(Ok(default), |word| word.parse());
    let (layers, epochs, rate, seed) = (number(3, 4.0)?, number(4, 5.0)?, number(5, 5e-4)?, number(6, 0.0)?);
    let base = Base::open(folder)?;
    let model = Model::open(&base)?;
    let tokenizer = Tokenizer::open(base.folder().join("tokenizer.json"), 128)?;
    let how = Options { tokenizer: Some(&tokenizer), ..Options::default() };
    let train = data::open(train, &how)?;
    let before = Instant::now();
    let test = data::open(test, &Options { labels: Some(train.classes()), ..how.clone() })?;
    let stood = before.elapsed();
    let config = Config {
        budget: Budget::layers(layers as usize),
        epochs: epochs as usize,
        rate: rate as f32,
        seed: seed as u64,
        validation: 0.0,
        ..Config::default()
    };
    let (threads, failed) = (config.threads, RefCell::new(None));
    let mut clock = Clock { began, stood, model: &model, test: &test, threads, failed };
    fine_tune(&base, &model, &train, &config, &mut clock)?;
    clock.failed.into_inner().map_or(Ok(()), Err)
}
