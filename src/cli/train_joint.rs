//! `taps train-joint`.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};

use super::adapter_file::check_names;
use super::image_args::AugmentArgs;
use super::progress::{Progress, stop_on_signals};
use super::session::{BaseArgs, ReadArgs, Session};
use super::text::{bytes, percent};
use super::tune_args::TuneArgs;
use super::{Error, Mode, pictures};
use crate::data::{Dataset, Options};
use crate::runtime::{Examples, Score};
use crate::train::{Data, Form, Joint, JointConfig, JointTask, JointTuned, train_joint};

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  taps train-joint --base minilm/ --task banking=banking.csv --task travel=travel.csv --max-active-layers 4 --out joint"
)]
pub(super) struct Args {
    #[command(flatten)]
    base: BaseArgs,
    /// A task by its name, and its labelled examples, as train reads them; once for each task
    #[arg(long = "task", value_name = "NAME=DATA", required = true, value_parser = named)]
    tasks: Vec<(String, PathBuf)>,
    /// What the tasks share
    #[arg(long, value_enum, default_value_t = FormArg::Shared)]
    form: FormArg,
    /// Passes over the examples while tasks are trained together [default: as --epochs]
    #[arg(long, value_name = "N")]
    joint_epochs: Option<usize>,
    /// Learning rate of the shared weights [default: as --rate]
    #[arg(long, value_name = "RATE")]
    shared_rate: Option<f32>,
    /// Folder to make: the new base in DIR/base, and DIR/NAME.taps for each task
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    augment: AugmentArgs,
    #[command(flatten)]
    tune: TuneArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormArg {
    /// Every layer, while each task has gated deltas over it
    Literal,
    /// Every layer; after that each task is tuned by itself
    Shared,
    /// Every layer, while each task has scales and biases of norms over it
    Patches,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    let parts = text.split_once('=').filter(|(name, data)| !name.is_empty() && !data.is_empty());
    parts.map(|(name, data)| (name.to_owned(), data.into())).ok_or_else(|| "a name and a path, as a=a.csv".to_owned())
}

impl Args {
    fn config(&self, threads: usize) -> Result<JointConfig, Error> {
        let tune = self.tune.config(&self.base.base, threads)?;
        let form = match self.form {
            FormArg::Literal => Form::Literal,
            FormArg::Shared => Form::Shared,
            FormArg::Patches => Form::Patches,
        };
        let (epochs, rate) = (self.joint_epochs.unwrap_or(tune.epochs), self.shared_rate.unwrap_or(tune.rate));
        Ok(JointConfig { form, epochs, rate, tune })
    }
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    if args.tune.storage()?.is_some() {
        let message = "--encoding auto and one-bit are chosen for one task: store each adapter anew with taps recode";
        return Err(Error::Usage(message.to_owned()));
    }
    let config = args.config(mode.threads)?;
    config.check().map_err(|error| Error::Usage(error.to_string()))?;
    check_out(&args.out)?;
    let session = Session::open(&args.base.base, &args.base.how, &[])?;
    let image = session.image.as_ref();
    let how = Options { augment: args.augment.augment(image)?, ..args.read.options(image)? };
    mode.say(format_args!("base    {}", session.describe()));
    let mut examples: Vec<Dataset> = Vec::new();
    for (name, path) in &args.tasks {
        let set = session.examples(path, how.clone())?;
        let (count, classes) = (set.len(), set.classes().len());
        mode.say(format_args!("data    {name}: {}: {count} examples of {classes} classes", path.display()));
        check_names(name, set.classes())?;
        examples.push(set);
    }
    stop_on_signals();
    let named = args.tasks.iter().zip(&examples);
    let tasks: Vec<JointTask<'_>> =
        named.map(|((name, _), examples)| JointTask { name, data: Data::from(examples) }).collect();
    let joint = train_joint(&session.base, &session.model, &tasks, &config, &mut Progress::new(mode.json))?;
    joint.write(&args.out, args.tune.encoding())?;
    if joint.stopped {
        mode.say("stopped: the best so far is kept");
    }
    let mut shown = Vec::new();
    for task in &joint.tasks {
        shown.push(show(task, &joint, &args.out, mode)?);
    }
    let base = args.out.join("base");
    mode.say(format_args!("wrote   {}: {}", base.display(), bytes(joint.base().bytes())));
    mode.result(&json!({
        "form": config.form.name(),
        "base": base.display().to_string(),
        "base_bytes": joint.base().bytes(),
        "tasks": shown,
        "stopped": joint.stopped,
    }));
    Ok(())
}

/// The folder must be new, in one that is there.
fn check_out(out: &Path) -> Result<(), Error> {
    if out.exists() {
        return Err(Error::Usage(format!("--out: there is a {} already; name a new folder", out.display())));
    }
    let parent = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    match parent.filter(|folder| !folder.is_dir()) {
        Some(folder) => Err(Error::Usage(format!("--out: there is no folder {}", folder.display()))),
        None => Ok(()),
    }
}

/// Shows a task's layers and score, and returns them.
fn show(task: &JointTuned, joint: &Joint, out: &Path, mode: Mode) -> Result<Value, Error> {
    let layout = joint.layout();
    let path = out.join(format!("{}.taps", task.name));
    let size = std::fs::metadata(&path).map_err(|source| crate::runtime::Error::Io { path: path.clone(), source })?;
    let active = task.tuned.active_layers(layout);
    let share = |score: Score| (score.examples > 0).then(|| score.accuracy());
    let score = share(task.tuned.validation);
    let said = score.map_or("unknown: no examples were held out".to_owned(), percent);
    mode.say(format_args!("{:<7} {}", task.name, pictures::cells(layout, &active)));
    mode.say(format_args!("        score {said}, {}: {}", path.display(), bytes(size.len() as usize)));
    Ok(json!({
        "task": task.name,
        "out": path.display().to_string(),
        "bytes": size.len(),
        "validation_accuracy": score,
        "head_alone_accuracy": share(task.tuned.head_alone),
        "active_layers": active.iter().map(|&id| &layout.layer(id).name).collect::<Vec<_>>(),
        "tapped_layers": layout.tapped().count(),
        "epoch": task.tuned.epoch,
        "steps": task.tuned.steps,
        "joint_losses": task.losses,
    }))
}
