//! `taps report`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use super::adapter_file::TrustArgs;
use super::console::note;
use super::folder::{Folder, Tuned};
use super::output::{inputs, output};
use super::pictures::{HeatMap, Page, Row, curves, scatter, table};
use super::session::{HowArgs, Session};
use super::{Error, Mode};
use crate::models::Model;
use crate::runtime::Network;

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  taps train --base minilm/ --data train.csv --task banking --out runs/banking.taps --record\n  taps report runs/ --base minilm/"
)]
pub(super) struct Args {
    /// Folder of adapters (*.taps) and records of runs (*.run.json)
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Base of the adapters, to show its layers in network order and changes as shares of their norms
    #[arg(long, value_name = "PATH")]
    base: Option<PathBuf>,
    /// Page to write; an existing one is replaced whole [default: report.html in DIR]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    how: HowArgs,
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    if !args.folder.is_dir() {
        return Err(Error::Usage(format!("there is no folder {}", args.folder.display())));
    }
    let out = args.out.clone().unwrap_or_else(|| args.folder.join("report.html"));
    let session = args.base.as_ref().map(|path| Session::open(path, &args.how, &[])).transpose()?;
    let read: Vec<PathBuf> = Folder::files(&args.folder)?;
    let read = inputs(&read, "a file to report on");
    let place = match &session {
        Some(session) => session.output("--out", &out, &read)?,
        None => output("--out", &out, &read)?,
    };
    let folder = Folder::read(&args.folder, &args.trust.keys()?, session.as_ref(), mode)?;
    folder.problems.iter().for_each(|problem| note(format_args!("left out {problem}")));
    let page = page(args, &folder, session.as_ref().map(|session| &session.model))?;
    place.write(page.html().as_bytes())?;
    let (adapters, runs) = (folder.adapters.len(), folder.runs.len());
    mode.say(format_args!("wrote   {}: {adapters} adapters, {runs} runs", out.display()));
    mode.result(&json!({
        "out": out.display().to_string(),
        "adapters": adapters,
        "runs": runs,
        "problems": folder.problems,
    }));
    Ok(())
}

fn page(args: &Args, folder: &Folder, model: Option<&Model>) -> Result<Page, Error> {
    let note = match &args.base {
        Some(base) => format!("{}, over the base {}", args.folder.display(), base.display()),
        None => args.folder.display().to_string(),
    };
    let mut page = Page::new("Tasks and runs", &note);
    if !folder.problems.is_empty() {
        page.problems(&folder.problems);
    }
    if !folder.adapters.is_empty() {
        let map = heat_map(&folder.adapters, model);
        let note = match map.relative {
            true => {
                "A row is a task, a column a layer of the network in the order data flows. Grey layers are the \
                 base's own, shared by every such task; the darker a layer, the more the task changes its weight."
            }
            false => {
                "A row is a task, a column a layer that some task changes, in the order of names: name the base with \
                 --base for all layers in network order. Grey layers are the base's own; the darker a layer, the more \
                 the task changes its weight."
            }
        };
        let svg = match map.layers.is_empty() {
            true => "<p>No task changes a layer: each has a head alone.</p>".to_owned(),
            false => format!("<div class=\"wide heat-map\">{}</div>", map.svg()?),
        };
        page.section("layers", "Layers that each task changes", note, &svg);
    }
    if let Some(svg) = scatter(&folder.runs)? {
        let note = "What a task's own parameters buy. A mark is a run, on test examples where taps eval --record \
                    measured them and else on the validation examples that its best epoch was chosen by.";
        let svg = format!("<div class=\"wide half\">{svg}</div>");
        page.section("accuracy", "Accuracy against parameters", note, &svg);
    }
    let mut charts = Vec::new();
    for run in &folder.runs {
        let title = match run.record.resumed_after {
            Some(steps) => format!("{}, resumed after {steps} steps", run.file),
            None => run.file.clone(),
        };
        charts.extend(curves(&run.record)?.map(|svg| (title, svg)));
    }
    if !charts.is_empty() {
        let note =
            "Mean cross-entropy without the penalty on scores; before the first step, validation is of the head alone.";
        page.curves(note, &charts);
    }
    let note = "An adapter without a record tells less. Hold the pointer over a heading for what it means.";
    page.section("table", "Runs", note, &table(&folder.runs));
    Ok(page)
}

/// All tapped layers where the network is known, else those that some adapter changes.
fn heat_map(adapters: &[Tuned], model: Option<&Model>) -> HeatMap {
    let layers: Vec<String> = match model {
        Some(model) => {
            let layout = model.layout();
            layout.tapped().map(|id| layout.layer(id).name.clone()).collect()
        }
        None => {
            let mut names: Vec<String> =
                adapters.iter().flat_map(|adapter| &adapter.changes).map(|(layer, _)| layer.clone()).collect();
            names.sort_by(|a, b| parts(a).cmp(&parts(b)));
            names.dedup();
            names
        }
    };
    let row = |adapter: &Tuned| {
        let alone = adapters.iter().filter(|other| other.task == adapter.task).count() == 1;
        let task = if alone { adapter.task.clone() } else { format!("{} ({})", adapter.task, adapter.file) };
        let change = |layer: &String| adapter.changes.iter().find(|(name, _)| name == layer).map(|found| found.1);
        Row { task, changes: layers.iter().map(change).collect() }
    };
    let rows = adapters.iter().map(row).collect();
    HeatMap { rows, relative: model.is_some(), layers }
}

/// The parts of a layer's name so that its numbers sort as numbers.
fn parts(name: &str) -> Vec<(Option<u32>, &str)> {
    name.split('.').map(|part| (part.parse().ok(), part)).collect()
}
