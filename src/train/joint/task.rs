//! What tasks that are trained together learn from.

use std::ffi::OsStr;
use std::path::Path;

use super::JointConfig;
use crate::format::{Draft, Summary};
use crate::runtime::Network;
use crate::train::{Data, Error};

/// One of the tasks that are trained together.
#[derive(Clone, Copy)]
pub struct JointTask<'a> {
    /// Its name, kept in its adapter and that of the file.
    pub name: &'a str,
    /// What it learns from.
    pub data: Data<'a>,
}

/// Checks that there are tasks, that each has a name of its own which a file can have, and something to learn.
pub(super) fn check(tasks: &[JointTask<'_>], network: &impl Network, config: &JointConfig) -> Result<(), Error> {
    const LONGEST: usize = 128;
    if tasks.is_empty() {
        return Err(Error::NoTasks);
    }
    for (number, &JointTask { name, data }) in tasks.iter().enumerate() {
        if tasks[..number].iter().any(|task| task.name == name) {
            return Err(Error::SameTask { name: name.to_owned() });
        }
        if name.len() > LONGEST || Path::new(name).file_name() != Some(OsStr::new(name)) {
            let (found, expected) = (format!("{name:?}"), "the name of a file, of at most 128 bytes");
            return Err(Error::Setting { name: "name of a task", found, expected });
        }
        check_one(name, data, network, config).map_err(|error| error.of_task(name))?;
    }
    Ok(())
}

fn check_one(name: &str, data: Data<'_>, network: &impl Network, config: &JointConfig) -> Result<(), Error> {
    data.check(&config.tune, network.layout())?;
    let labels: Vec<&str> = data.train.classes().iter().map(String::as_str).collect();
    // What an adapter cannot hold is found before anything is trained.
    let draft = Draft {
        task: name,
        architecture: network.architecture(),
        method: config.method_name(),
        base: crate::format::Digest::of(&[]),
        content: crate::format::Digest::of(&[]),
        summary: Summary::default(),
        labels: &labels,
        settings: &[],
        tensors: &[],
    };
    draft.encoded_len()?;
    Ok(())
}
