//! The `taps` command: one file a subcommand.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong use. With `--json` a command prints one object on stdout and
//! nothing else; progress and notes go to stderr. Outputs are checked before the work whose result they take, and no
//! command replaces what it reads.

mod adapter_file;
mod change;
mod console;
mod convert;
mod demo;
mod digits;
mod engine;
mod error;
mod eval;
mod folder;
mod image_args;
mod inspect;
mod keys;
mod memory;
mod output;
mod pictures;
mod planned;
mod predict;
mod progress;
mod quantity;
mod rank;
mod recode;
mod record;
mod report;
mod session;
mod sign;
mod signals;
mod text;
mod train;
mod train_joint;
mod tune_args;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::Error;

/// One frozen base model, many tasks: fine-tune small adapters on this machine and switch between them.
#[derive(Parser)]
#[command(name = "taps", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Threads to compute with [default: one per core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
}

#[derive(Subcommand)]
enum Command {
    /// Fine-tune three tasks on a small shipped base, here and now, and switch between them
    Demo(demo::Args),
    /// Fine-tune an adapter of a base on labelled examples
    Train(Box<train::Args>),
    /// Train several tasks and a base that they share together
    TrainJoint(Box<train_joint::Args>),
    /// Rank the layers of a base by what they are worth to tasks like one
    Rank(rank::Args),
    /// Measure an adapter's accuracy on labelled examples
    Eval(eval::Args),
    /// Classify texts or images
    Predict(predict::Args),
    /// Show what an adapter changes and what each layer costs
    Inspect(inspect::Args),
    /// Draw the tasks and runs of a folder as one page: layers by task, accuracy against parameters, losses
    Report(report::Args),
    /// Store an adapter anew in fewer bytes
    Recode(Box<recode::Args>),
    /// Make an adapter of a fine-tuned checkpoint: of the layers that matter most
    Diff(Box<convert::DiffArgs>),
    /// Make a plain checkpoint of a base and an adapter
    Merge(convert::MergeArgs),
    /// Make an adapter of a LoRA that PEFT wrote
    ImportLora(convert::LoraArgs),
    /// Scale an adapter's deltas by depth
    Scale(convert::ScaleArgs),
    /// Make one adapter of several
    Combine(convert::CombineArgs),
    /// Make a key to sign adapters with
    Keygen(sign::KeygenArgs),
    /// Sign an adapter
    Sign(sign::SignArgs),
    /// Check an adapter file, and that it belongs to a base
    Verify(verify::Args),
}

/// How a command prints and computes.
#[derive(Clone, Copy)]
struct Mode {
    json: bool,
    threads: usize,
}

/// Runs the command that the process was started with, and ends the process where its arguments are wrong.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let threads = threads(&cli);
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
        Ok(()) => execute(cli, threads),
        Err(error) => {
            console::error(error);
            ExitCode::from(1)
        }
    }
}

/// Runs a command within a program, on the threads that it has: `args` are a name of the program, and the arguments.
///
/// # Errors
/// If the arguments are wrong; also if they ask for help or the version, as the text to print. What fails later is told
/// on standard error, and the code is not that of success.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<ExitCode, clap::Error> {
    let cli = Cli::try_parse_from(args)?;
    let threads = threads(&cli);
    Ok(execute(cli, threads))
}

/// How many threads a command computes on: those that were asked for, and no more than there are cores.
fn threads(cli: &Cli) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let asked = cli.threads.map_or(cores, |threads| threads as usize);
    if asked > cores {
        console::note(format_args!("--threads {asked}: this machine has {cores} cores, and so many threads are used"));
    }
    asked.min(cores)
}

fn execute(cli: Cli, threads: usize) -> ExitCode {
    let mode = Mode { json: cli.json, threads };
    let done = match cli.command {
        Command::Demo(args) => demo::run(&args, mode),
        Command::Train(args) => train::run(&args, mode),
        Command::TrainJoint(args) => train_joint::run(&args, mode),
        Command::Rank(args) => rank::run(&args, mode),
        Command::Eval(args) => eval::run(&args, mode),
        Command::Predict(args) => predict::run(&args, mode),
        Command::Inspect(args) => inspect::run(&args, mode),
        Command::Report(args) => report::run(&args, mode),
        Command::Recode(args) => recode::run(&args, mode),
        Command::Diff(args) => convert::diff(&args, mode),
        Command::Merge(args) => convert::merge(&args, mode),
        Command::ImportLora(args) => convert::import_lora(&args, mode),
        Command::Scale(args) => convert::scale(&args, mode),
        Command::Combine(args) => convert::combine(&args, mode),
        Command::Keygen(args) => sign::keygen(&args, mode),
        Command::Sign(args) => sign::sign(&args, mode),
        Command::Verify(args) => verify::run(&args, mode),
    };
    match (done, console::unsaid()) {
        (Ok(()), None) => ExitCode::SUCCESS,
        (Ok(()), Some(reason)) => {
            console::error(format_args!("standard output: {reason}; what the command was to do is done"));
            ExitCode::from(1)
        }
        (Err(error), _) => {
            console::error(chain(&error));
            ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
        }
    }
}

/// An error and its causes, as far as they say more.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}
