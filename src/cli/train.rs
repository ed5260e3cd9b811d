//! `taps train`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::json;

use super::adapter_file::{AdapterFile, check_names};
use super::engine::DeviceArgs;
use super::image_args::AugmentArgs;
use super::output::{self, inputs};
use super::planned::Planned;
use super::progress::{Progress, stop_on_signals};
use super::record::{self, Record, Recorder};
use super::session::{BaseArgs, ReadArgs, Session};
use super::text::{bytes, percent};
use super::tune_args::TuneArgs;
use super::{Error, Mode, pictures, recode};
use crate::data::{Dataset, Options};
use crate::files::Lock;
use crate::format::Encoding;
use crate::runtime::{Examples, Network, Score};
use crate::train::{Checkpoint, Config, Data, Replay, fine_tune};

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  taps train --base minilm/ --data train.csv --task banking --max-active-layers 4 --out banking.taps"
)]
pub(super) struct Args {
    #[command(flatten)]
    base: BaseArgs,
    /// Labelled examples: .csv, .tsv or .jsonl, a folder of class folders of images, or IDX images
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Labelled examples to choose the best epoch by, in place of a share of those in --data
    #[arg(long, value_name = "PATH")]
    validation_data: Option<PathBuf>,
    /// Labelled examples of an earlier set to learn along with, so that they are not forgotten: those of the base, with
    /// --no-head, or of an earlier session
    #[arg(long, value_name = "PATH")]
    replay: Option<PathBuf>,
    /// How many of them there are for each example of --data
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, requires = "replay")]
    replay_share: f32,
    /// Name of the task, kept in the adapter
    #[arg(long, value_name = "NAME")]
    task: String,
    /// Adapter file to write; an existing one is replaced whole
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// File to keep the run's state in as it goes; where it is there, from an earlier run with the same data and
    /// settings that was killed or stopped, the run goes on from it. Removed when the adapter is written
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Seconds between checkpoints
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, requires = "checkpoint")]
    checkpoint_every: f64,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    augment: AugmentArgs,
    #[command(flatten)]
    tune: TuneArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Write the run's settings, scores and losses beside the adapter: x.taps has x.run.json
    #[arg(long)]
    record: bool,
}

impl Args {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let every = Duration::try_from_secs_f64(self.checkpoint_every);
        let every = every.map_err(|error| Error::Usage(format!("--checkpoint-every: {error}")))?;
        Ok(self.checkpoint.as_ref().map(|path| Checkpoint::at(path).every(every)))
    }
}

/// The classes of several sets together.
fn all_classes(session: &Session, sets: [&Path; 2], how: &Options<'_>) -> Result<Vec<String>, Error> {
    let mut classes = BTreeSet::new();
    for path in sets {
        classes.extend(session.examples(path, how.clone())?.classes().to_vec());
    }
    Ok(classes.into_iter().collect())
}

pub(super) fn run(args: &Args, mode: Mode) -> Result<(), Error> {
    let storage = args.tune.storage()?;
    let config = args.tune.capped(args.tune.config(&args.base.base, mode.threads)?);
    let (processor, arithmetic) = (args.device.processor(), args.device.arithmetic());
    let config = Config { processor, arithmetic, ..config };
    config.check().map_err(|error| Error::Usage(error.to_string()))?;
    let session = Session::open(&args.base.base, &args.base.how, &[])?;
    // All that is written is checked before the work whose result it takes.
    let data = [Some(&args.data), args.validation_data.as_ref(), args.replay.as_ref()].into_iter().flatten();
    let mut read = output::data(data);
    read.extend(inputs(args.tune.ranking(), "the ranking"));
    let out = session.output("--out", &args.out, &read)?;
    read.push((args.out.clone(), "the adapter to write"));
    let record_path = record::path(&args.out);
    let record_out = args.record.then(|| session.output("--record", &record_path, &read)).transpose()?;
    read.push((record_path.clone(), "the record to write"));
    let locked = args.checkpoint.as_ref().map(|path| {
        session.output("--checkpoint", path, &read)?;
        Lock::of(path).map_err(|error| Error::Usage(format!("--checkpoint: {error}")))
    });
    let _locked = locked.transpose()?;
    check_names(&args.task, &[])?;
    let image = session.image.as_ref();
    let how = Options { augment: args.augment.augment(image)?, ..args.read.options(image)? };
    // Without a head of its own the task speaks of the base's classes.
    let kept = (!config.own_head).then(|| session.model.layout().labels());
    let classes = match (&args.replay, kept) {
        (Some(replay), None) => Some(all_classes(&session, [&args.data, replay], &how)?),
        (_, kept) => kept.map(<[String]>::to_vec),
    };
    let read = |path: &Path| session.examples(path, Options { labels: classes.as_deref(), ..how.clone() });
    let own = read(&args.data)?;
    let earlier = args.replay.as_deref().map(read).transpose()?;
    let replay =
        earlier.as_ref().map(|earlier| Replay::new(&own, earlier, args.replay_share, config.seed)).transpose()?;
    let examples = replay.as_ref().map_or(&own as &dyn Examples, |replay| replay);
    let validation = match &args.validation_data {
        Some(path) => Some(session.examples(path, Options { labels: Some(examples.classes()), ..how })?),
        None => None,
    };
    check_names(&args.task, examples.classes())?;
    mode.say(format_args!("base    {}", session.describe()));
    let (count, classes) = (own.len(), own.classes().len());
    mode.say(format_args!("data    {}: {count} examples of {classes} classes", args.data.display()));
    if let (Some(replay), Some(path)) = (&replay, &args.replay) {
        mode.say(format_args!("replay  {}: {} examples", path.display(), replay.replayed()));
    }
    let skipped: Vec<_> = [Some(&own), earlier.as_ref()].into_iter().flatten().flat_map(Dataset::skipped).collect();
    stop_on_signals();
    let data = Data { train: examples, validation: validation.as_ref().map(|examples| examples as &dyn Examples) };
    let mut progress = Recorder::new(Progress::new(mode.json), &config);
    let (base, model) = (&session.base, &session.model);
    let checkpoint = args.checkpoint()?;
    let tuned = match &checkpoint {
        Some(checkpoint) => checkpoint.fine_tune(base, model, data, &config, &mut progress)?,
        None => fine_tune(base, model, data, &config, &mut progress)?,
    };
    let course = progress.finish();
    let recoded = storage.map(|storage| {
        let exact = tuned.adapter(base, model, &args.task, Encoding::F32)?;
        recode::tuned(&session, &AdapterFile::made(&args.out, exact), storage, examples, &config)
    });
    let recoded = recoded.transpose()?;
    let adapter = match &recoded {
        Some(recoded) => recoded.bytes.clone(),
        None => tuned.adapter(base, model, &args.task, args.tune.encoding())?,
    };
    out.write(&adapter)?;
    let adapter = AdapterFile::made(&args.out, adapter);
    let layout = session.model.layout();
    let active = tuned.active_layers(layout);
    let names: Vec<&str> = active.iter().map(|&id| layout.layer(id).name.as_str()).collect();
    if let Some(out) = &record_out {
        Record::of_run(&adapter.adapter()?, &names, &config, &tuned, course).write(out)?;
    }
    match (&checkpoint, tuned.stopped) {
        (None, true) => mode.say("stopped: the best adapter so far is kept"),
        (Some(checkpoint), true) => mode.say(format_args!(
            "stopped: the best adapter so far is kept, and the same command goes on from {}",
            checkpoint.path().display()
        )),
        (Some(checkpoint), false) => checkpoint.remove()?,
        (None, false) => {}
    }
    mode.say(format_args!("layers  {}", pictures::cells(layout, &active)));
    names.iter().for_each(|name| mode.say(format_args!("        {name}")));
    let (head, best) = (tuned.head_alone, tuned.validation);
    let share = |score: Score| (score.examples > 0).then(|| score.accuracy());
    match (share(best), share(head)) {
        (Some(best), Some(head)) => {
            mode.say(format_args!(
                "score   {} on held-out examples, {} with the head alone",
                percent(best),
                percent(head)
            ));
        }
        _ => mode.say("score   unknown: no examples were held out"),
    }
    if tuned.head_was_better() {
        mode.say("        the head alone scored better: what was asked for is kept, and --method head gives that");
    }
    if let Some(recoded) = &recoded {
        recode::tell(recoded, mode);
    }
    mode.say(format_args!("wrote   {}: {}", args.out.display(), bytes(adapter.bytes.len())));
    if !skipped.is_empty() {
        mode.say(format_args!("skipped {} images that could not be read", skipped.len()));
    }
    if let Some(record) = &record_out {
        mode.say(format_args!("wrote   {}", record.path().display()));
    }
    mode.result(&json!({
        "task": args.task,
        "out": args.out.display().to_string(),
        "bytes": adapter.bytes.len(),
        "validation_accuracy": share(best),
        "head_alone_accuracy": share(head),
        "head_alone_was_better": tuned.head_was_better(),
        "active_layers": names,
        "tapped_layers": layout.tapped().count(),
        "epoch": tuned.epoch,
        "steps": tuned.steps,
        "dropped_steps": tuned.dropped,
        "seconds_per_step": tuned.seconds_per_step,
        "stopped": tuned.stopped,
        "skipped": skipped.len(),
        "notes": own.notes().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "replayed": replay.as_ref().map_or(0, Replay::replayed),
        "plan": tuned.plan.as_ref().map(|plan| Planned::new(plan, tuned.memory)),
        "recoded": recoded.as_ref().map(recode::summary),
        "record": record_out.map(|record| record.path().display().to_string()),
    }));
    Ok(())
}
