//! `taps inspect`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::adapter_file::TrustArgs;
use super::output::{inputs, output};
use super::session::{HowArgs, Session};
use super::text::{bytes, percent};
use super::{Error, Mode, change, pictures};
use crate::base::Base;
use crate::format::{Adapter, Role};
use crate::models::Model;
use crate::runtime::Network;

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
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    how: HowArgs,
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    let files = [args.trust.keys()?.read(&args.adapter)?];
    let [file] = &files;
    let adapter = file.adapter()?;
    let session = args.base.as_ref().map(|path| Session::open(path, &args.how, &files)).transpose()?;
    if let Some(session) = &session {
        session.runtime(mode).load_bytes(&file.bytes, &file.origin())?;
    }
    let read = [inputs([&args.adapter], "the adapter"), args.trust.files()].concat();
    let out = args.svg.as_ref().map(|out| match &session {
        Some(session) => session.output("--svg", out, &read),
        None => output("--svg", out, &read),
    });
    let out = out.transpose()?;
    let base = session.as_ref().map(|session| (&session.base, &session.model));
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
    if let Some((_, model)) = base {
        let mut active: Vec<_> =
            adapter.entries().filter_map(|entry| model.layout().find(entry.name)).map(|found| found.0).collect();
        active.retain(|&id| model.layout().layer(id).kind.is_tapped());
        mode.say(format_args!("layers        {}", pictures::cells(model.layout(), &active)));
    }
    for setting in file.settings()?.iter() {
        mode.say(format_args!("{:<13} {}", setting.name, setting.value));
    }
    mode.say("");
    mode.say(format_args!("{:>10}  {:<8} {:<6} {:>8}  tensor", "bytes", "role", "as", "change"));
    let mut entries = Vec::new();
    for entry in adapter.entries() {
        let change = base.and_then(|(base, _)| change::relative(base, &entry));
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
    if let (Some(out), Some((base, model))) = (&out, base) {
        out.write(picture(&adapter, base, model)?.as_bytes())?;
        mode.say("");
        mode.say(format_args!("wrote         {}", out.path().display()));
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
        "settings": file.settings_json()?,
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
