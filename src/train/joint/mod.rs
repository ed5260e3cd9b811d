//! Training several tasks and the weights they share together: joint TAPS (arXiv 2203.16708, section 3) and
//! simultaneous patches (arXiv 1810.10703).
//!
//! A step is a batch of every task and one update of everything after all of them. A task's weight is W̄ + I(s) δ over
//! the shared W̄, so a gradient flows to both where the task has a delta: to its δ as it is, and to W̄ the mean over
//! tasks, with which rate and clipping mean the same for any number of tasks. A norm that a task has of its own is a
//! delta that is always in use, so the shared norms follow what tasks have in common.

mod config;
mod member;
mod outcome;
mod over;
mod task;
mod together;
mod view;

use std::path::Path;

pub use config::{Form, JointConfig};
pub use outcome::{Joint, JointTuned};
pub use task::JointTask;

use over::Over;
use together::{Together, Trained};

use super::{Error, Event, Observer, fine_tune};
use crate::base::Base;
use crate::files;
use crate::runtime::Network;

/// Trains the shared weights of `network`, from those of `base`, together with what each task has of its own. The
/// result is a new base, which lies in memory until it is written, and a task over it for each of `tasks`.
///
/// The best epoch is the one with the highest mean accuracy over tasks. One thread and one seed give the same bytes.
///
/// # Errors
/// If there is no task or two have one name, a setting is out of range, and as [`fine_tune`] for each task. If it is
/// stopped before the first pass is over that could be kept, there is nothing to keep.
pub fn train_joint(
    base: &Base,
    network: &impl Network,
    tasks: &[JointTask<'_>],
    config: &JointConfig,
    observer: &mut dyn Observer,
) -> Result<Joint, Error> {
    config.check()?;
    task::check(tasks, network, config)?;
    let together = config.together();
    let trained = Together::start(base, network, tasks, config, &together, observer)?.train(observer)?;
    let Trained { base: (file, settings), tasks: mut tuned, mut stopped } = trained;
    let new = Base::from_bytes(Path::new("the joint base"), &file, Some(settings))?;
    drop(file);
    let over = Over::new(network, &new)?;
    if config.form == Form::Shared && !stopped {
        for (task, (tuned, _)) in tasks.iter().zip(&mut tuned) {
            observer.event(&Event::Task { name: task.name });
            match fine_tune(&new, &over, task.data, &config.tune, observer) {
                Ok(own) => *tuned = own,
                // What was trained together is a task over the new base already.
                Err(Error::Stopped) => tuned.stopped = true,
                Err(error) => return Err(error.of_task(task.name)),
            }
            stopped |= tuned.stopped;
        }
    }
    // Read before the tasks are written: the earlier base may be gone by then.
    let companions = base.companions().map(|name| Ok((name, files::read(&base.folder().join(name))?)));
    let companions = companions.collect::<Result<_, Error>>()?;
    let tasks = tasks.iter().zip(tuned);
    let named = |(task, (tuned, losses)): (&JointTask<'_>, _)| JointTuned { name: task.name.to_owned(), tuned, losses };
    Ok(Joint {
        architecture: network.architecture().to_owned(),
        layout: over.layout().clone(),
        companions,
        tasks: tasks.map(named).collect(),
        base: new,
        stopped,
    })
}
