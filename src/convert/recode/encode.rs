//! The file of an adapter that is stored anew.

use super::coded::Coded;
use super::opened::Opened;
use crate::convert::Error;
use crate::format::{Adapter, Draft, TensorDraft};
use crate::runtime::Network;

/// The file of `adapter` with its tensors as they are coded.
pub(super) fn encode(
    adapter: &Adapter<'_>,
    opened: &Opened<'_, impl Network>,
    coded: &[Coded],
) -> Result<Vec<u8>, Error> {
    let tensors: Vec<TensorDraft<'_>> =
        opened.pieces.iter().zip(coded).map(|(piece, coded)| coded.draft(piece)).collect();
    let labels: Vec<&str> = adapter.labels().collect();
    let draft = Draft {
        task: adapter.task(),
        architecture: adapter.architecture(),
        method: adapter.method(),
        base: adapter.base(),
        content: adapter.content(),
        summary: adapter.summary(),
        labels: &labels,
        settings: &adapter.settings().collect::<Vec<_>>(),
        tensors: &tensors,
    };
    let mut bytes = vec![0; draft.encoded_len()?];
    draft.encode(&mut bytes)?;
    Ok(bytes)
}
