//! What a phase of a run would hold at its highest: its own code over a dry workspace, and what it owns beside.

use std::cell::RefCell;

use super::Memory;
use crate::kernels::{Usage, Workspace};

/// A dry workspace, and what is owned beside it.
pub(super) struct DryRun {
    pub(super) workspace: Workspace,
    /// What was owned after each change, the last of which holds.
    owned: RefCell<Vec<Memory>>,
}

/// The most that `work` holds with so many threads.
///
/// # Errors
/// The first of `work`.
pub(super) fn highest<E>(threads: usize, work: impl Fn(&DryRun) -> Result<(), E>) -> Result<Memory, E> {
    let dry = DryRun { workspace: Workspace::dry(threads), owned: RefCell::new(vec![Memory::default()]) };
    work(&dry)?;
    let Usage { pool: [scratch, activations, gradients, features], said, .. } = dry.workspace.usage();
    Ok(Memory { scratch, activations, gradients, features, ..dry.owned.borrow()[said] })
}

impl DryRun {
    /// Changes what is owned beside the workspace.
    pub(super) fn own(&self, change: impl FnOnce(&mut Memory)) {
        let mut owned = self.owned.borrow_mut();
        let mut now = owned.last().copied().unwrap_or_default();
        change(&mut now);
        self.workspace.set_beside(now.total());
        owned.push(now);
    }
}
