//! `taps inspect`.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::text::{bytes, percent};
use super::{Error, Mode, change, pictures};
use crate::base::Base;
use crate::format::{Adapter, Role};
use crate::models::Model;
use crate::runtime::{self, Network};

#[derive(ClapArgs)]
#[command(after_help = "Example:\n  taps inspect banking.taps --base minilm/")]
pub(super) struct Args {
    /// Adapter file
    #[arg(value_name = "FILE")]
    adapter: PathBuf,
    /// Its base, to draw the layers in network order and say how much each was changed
    #[arg(long, value_name = "PATH")]
    base: Option<PathBuf>,
    /// Draw the layers and how much each was changed into this SVG file; an existing one is replaced whole
    #[arg(long, value_name = "FILE", requires = "base")]
    svg: Option<PathBuf>,
}

/// Reads and parses an adapter, with errors that name the file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| runtime::Error::Io { path: path.to_owned(), source }.into())
}

pub(super) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<Adapter<'a>, Error> {
    let origin = path.display().to_string();
    Adapter::parse(bytes).map_err(|source| runtime::Error::Format { origin, source }.into())
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    let file = read(&args.adapter)?;
    let adapter = parse(&args.adapter, &file)?;
    let base = match &args.base {
        Some(path) => {
            let base = Base::open(path)?;
            let model = Model::open(&base)?;
            runtime::Task::build(&base, &model, &adapter, &args.adapter.display().to_string())?;
            Some((base, model))
        }
        None => None,
    };
    let summary = adapter.summary();
    let score =
        summary.validation.map_or("no validation".to_owned(), |share| format!("validation {}", percent(share.into())));
    let cap = summary.max_active_layers.map_or("no cap".to_owned(), |cap| format!("cap {cap}"));
    mode.say(format_args!("task          {} ({}, {})", adapter.task(), adapter.architecture(), adapter.method()));
    mode.say(format_args!("bytes         {} ({})", adapter.len(), bytes(adapter.len())));
    mode.say(format_args!("base          {}", adapter.base()));
    mode.say(format_args!("labels        {}", adapter.labels().len()));
    mode.say(format_args!("active        {} of {} layers, {cap}", summary.active_layers, summary.layers));
    mode.say(format_args!(
        "training      {} examples, {} steps, λ {}, τ {}, seed {}, {score}",
        summary.examples, summary.steps, summary.lambda, summary.tau, summary.seed
    ));
    if let Some((_, model)) = &base {
        let mut active: Vec<_> =
            adapter.entries().filter_map(|entry| model.layout().find(entry.name)).map(|found| found.0).collect();
        active.retain(|&id| model.layout().layer(id).kind.is_tapped());
        mode.say(format_args!("layers        {}", pictures::cells(model.layout(), &active)));
    }
    mode.say(format_args!("\n{:>10}  {:<8} {:<6} {:>8}  tensor", "bytes", "role", "as", "change"));
    let mut entries = Vec::new();
    for entry in adapter.entries() {
        let change = base.as_ref().and_then(|(base, _)| change::relative(base, &entry));
        let role = match entry.role {
            Role::Delta => "delta",
            Role::Replacement => "replaced",
            _ => "other",
        };
        let encoding = entry.encoding.to_string();
        let shown = change.map_or("-".to_owned(), |share| percent(share.into()));
        mode.say(format_args!("{:>10}  {role:<8} {encoding:<7} {shown:>8}  {}", entry.payload.len(), entry.name));
        entries.push(json!({
            "tensor": entry.name,
            "role": role,
            "encoding": encoding,
            "shape": entry.shape.dims(),
            "bytes": entry.payload.len(),
            "change": change,
        }));
    }
    if let (Some(out), Some((base, model))) = (&args.svg, &base) {
        runtime::write_atomically(out, picture(&adapter, base, model)?.as_bytes())?;
        mode.say(format_args!("\nwrote         {}", out.display()));
    }
    mode.result(&json!({
        "task": adapter.task(),
        "architecture": adapter.architecture(),
        "method": adapter.method(),
        "base": adapter.base().to_string(),
        "bytes": adapter.len(),
        "labels": adapter.labels().collect::<Vec<_>>(),
        "active_layers": summary.active_layers,
        "tapped_layers": summary.layers,
        "max_active_layers": summary.max_active_layers,
        "validation_accuracy": summary.validation.map_or(Value::Null, |share| json!(share)),
        "steps": summary.steps,
        "examples": summary.examples,
        "seed": summary.seed,
        "lambda": summary.lambda,
        "tau": summary.tau,
        "entries": entries,
    }));
    Ok(())
}

/// The tapped layers in network order as an SVG.
fn picture(adapter: &Adapter<'_>, base: &Base, model: &Model) -> Result<String, Error> {
    let changes = change::layers(adapter, Some((base, model)));
    let layout = model.layout();
    let layers: Vec<String> = layout.tapped().map(|id| layout.layer(id).name.clone()).collect();
    let changed = |layer: &String| changes.iter().find(|(name, _)| name == layer).map(|found| found.1);
    let (active, all, size) = (changes.len(), layers.len(), bytes(adapter.len()));
    pictures::Strip {
        task: adapter.task(),
        note: &format!("{} · {active} of {all} layers changed · {size}", adapter.method()),
        changes: &layers.iter().map(changed).collect::<Vec<_>>(),
        layers: &layers,
    }
    .svg()
}
