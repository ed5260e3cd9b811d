//! A task: the base seen through an adapter in flash. Changing the task is changing one reference.

use taps::format::{Adapter, Error, Role};

use crate::base;

/// An adapter that was checked once, or the base itself.
pub type Task<'a> = Option<&'a Adapter<'a>>;

/// Writes the weight of this name to the front of `out`: the base's, with the task's delta added to it where it has one, or
/// the task's own. Returns how many values it has.
///
/// # Errors
/// If a value of the adapter is not allowed.
pub fn weight(task: Task<'_>, name: &str, out: &mut [f32]) -> Result<usize, Error> {
    let entry = task.and_then(|adapter| adapter.entry(name));
    let base = base::tensor(name);
    let length = entry.as_ref().map_or(base.len(), |entry| entry.elements());
    let Some(out) = out.get_mut(..length) else { return Ok(0) };
    match entry {
        Some(entry) if entry.role != Role::Delta => entry.decode_into(out)?,
        entry => {
            out.iter_mut().zip(base).for_each(|(out, bytes)| *out = f32::from_le_bytes(*bytes));
            if let Some(entry) = entry {
                entry.add_to(out)?;
            }
        }
    }
    Ok(length)
}
