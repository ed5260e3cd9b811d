//! `taps predict`.

use std::io::{BufRead, IsTerminal, stdin};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use super::adapter_file::TrustArgs;
use super::console::note;
use super::engine::{DeviceArgs, Engine};
use super::session::{BaseArgs, ColumnArgs, Session};
use super::text::percent;
use super::{Error, Mode};
use crate::data::{read_images, read_texts};
use crate::kernels::Segments;
use crate::runtime::{Input, Tokens};

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
            let found = read_texts(path, &self.columns.columns())?;
            found.notes.iter().for_each(note);
            return Ok(found.texts);
        }
        if !self.inputs.is_empty() {
            return Ok(self.inputs.clone());
        }
        if stdin().is_terminal() {
            return Err(Error::Usage("nothing to predict: give texts, --data, or lines on stdin".to_owned()));
        }
        // A blank line is a text, too: what is printed are as many lines.
        let lines: Result<Vec<String>, _> = stdin().lock().lines().collect();
        let mut lines = lines.map_err(|error| Error::Failed(format!("stdin: {error}")))?;
        // As files may begin with.
        if let Some(rest) = lines.first().and_then(|first| first.strip_prefix('\u{feff}')) {
            lines[0] = rest.to_owned();
        }
        Ok(lines)
    }
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    const BATCH: usize = 32;
    let inputs = args.inputs()?;
    let adapters = args.trust.keys()?.read_all(&args.adapters)?;
    let session = Session::open(&args.base.base, &args.base.how, &adapters)?;
    let engine = Engine::open(session.runtime(mode), &adapters, &args.device)?;
    let (mut predictions, mut cut) = (Vec::new(), 0);
    for chunk in inputs.chunks(BATCH) {
        let batch = match (&session.tokenizer, &session.image) {
            (Some(tokenizer), _) => {
                let encoded = tokenizer.encode_batch(chunk)?;
                cut += encoded.iter().filter(|text| text.is_cut).count();
                let segments = Segments::from_lengths(encoded.iter().map(|text| text.ids.len()));
                Input::Tokens(Tokens { ids: encoded.into_iter().flat_map(|text| text.ids).collect(), segments })
            }
            (None, Some(spec)) => Input::Images(read_images(chunk, spec)?),
            (None, None) => return Err(Error::Failed("the base reads neither texts nor images".to_owned())),
        };
        for task in 0..engine.tasks() {
            let name = engine.task(task).0;
            for (input, (label, probability)) in chunk.iter().zip(engine.predict(task, &batch)?) {
                let probability = f64::from(probability);
                let fields = [name, &label, &percent(probability), input];
                mode.row(if engine.tasks() > 1 { &fields } else { &fields[1..] });
                predictions.push(json!({ "input": input, "task": name, "label": label, "probability": probability }));
            }
        }
    }
    if let Some(tokenizer) = session.tokenizer.as_ref().filter(|_| cut > 0) {
        note(format_args!("{cut} {}", tokenizer.cut_off()));
    }
    mode.result(&json!({ "predictions": predictions, "cut_off": cut }));
    Ok(())
}
