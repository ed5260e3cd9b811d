//! `taps predict`.

use std::io::{BufRead, IsTerminal, stdin};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use super::engine::{DeviceArgs, Engine};
use super::session::{BaseArgs, ColumnArgs, Session, TrustArgs};
use super::text::percent;
use super::{Error, Mode};
use crate::data::{Columns, read_images, read_texts};
use crate::kernels::Segments;
use crate::runtime::{Input, Runtime, Tokens};

#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  taps predict --base minilm/ --adapter banking.taps \"where is my card?\"\n  taps predict --base minilm/ --adapter banking.taps --adapter mood.taps < lines.txt"
)]
pub(super) struct Args {
    #[command(flatten)]
    base: BaseArgs,
    /// Adapter to predict with; several are switched between [default: the base itself]
    #[arg(long = "adapter", value_name = "FILE")]
    adapters: Vec<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// File of texts (.txt, one a line; .csv, .tsv, .jsonl)
    #[arg(long, value_name = "FILE", conflicts_with = "inputs")]
    data: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArgs,
    /// Texts, or image files for a base that reads images [default: lines from stdin]
    #[arg(value_name = "INPUT")]
    inputs: Vec<String>,
}

impl Args {
    fn inputs(&self) -> Result<Vec<String>, Error> {
        if let Some(path) = &self.data {
            let columns: Columns = self.columns.columns();
            return Ok(read_texts(path, &columns)?);
        }
        if !self.inputs.is_empty() {
            return Ok(self.inputs.clone());
        }
        if stdin().is_terminal() {
            return Err(Error::Usage("nothing to predict: give texts, --data, or lines on stdin".to_owned()));
        }
        let lines: Result<Vec<String>, _> = stdin().lock().lines().collect();
        let lines = lines.map_err(|error| Error::Failed(format!("stdin: {error}")))?;
        Ok(lines.into_iter().filter(|line| !line.trim().is_empty()).collect())
    }
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    const BATCH: usize = 32;
    let inputs = args.inputs()?;
    let Session { base, model, tokenizer, image } = Session::open(&args.base)?;
    let runtime = args.trust.on(Runtime::new(base, &model).with_threads(mode.threads))?;
    let engine = Engine::open(runtime, &args.adapters, &args.device)?;
    let mut predictions = Vec::new();
    for chunk in inputs.chunks(BATCH) {
        let batch = match (&tokenizer, &image) {
            (Some(tokenizer), _) => {
                let encoded = tokenizer.encode_batch(chunk)?;
                let segments = Segments::from_lengths(encoded.iter().map(Vec::len));
                Input::Tokens(Tokens { ids: encoded.concat(), segments })
            }
            (None, Some(spec)) => Input::Images(read_images(chunk, spec)?),
            (None, None) => return Err(Error::Failed("the base reads neither texts nor images".to_owned())),
        };
        for task in 0..engine.tasks() {
            let name = engine.task(task).0;
            for (input, (label, probability)) in chunk.iter().zip(engine.predict(task, &batch)?) {
                let probability = f64::from(probability);
                let shown = if engine.tasks() > 1 { format!("{name}\t") } else { String::new() };
                mode.say(format_args!("{shown}{label}\t{}\t{input}", percent(probability)));
                predictions.push(json!({ "input": input, "task": name, "label": label, "probability": probability }));
            }
        }
    }
    mode.result(&json!({ "predictions": predictions }));
    Ok(())
}
