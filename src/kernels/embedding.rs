//! Rows gathered from a table, and the gradient of that.

use super::{Tensor, Weight, Workspace, add_assign};

/// Rows `indices` of `table [entries, features]`: `[indices, features]`, added to `onto` where given.
///
/// # Panics
/// If an index is outside the table or the sizes do not agree.
pub fn gather(
    workspace: &Workspace,
    table: Weight<'_>,
    features: usize,
    indices: &[u32],
    onto: Option<Tensor>,
) -> Tensor {
    let entry = |index: u32| index as usize * features..(index as usize + 1) * features;
    match onto {
        None => {
            let mut out = workspace.tensor(indices.len(), features);
            for (row, &index) in out.chunks_exact_mut(features).zip(indices) {
                table.convert(entry(index), row);
            }
            out
        }
        Some(mut out) => {
            assert_eq!((out.rows(), out.cols()), (indices.len(), features));
            let mut scratch = vec![0.0; if table.is_converted() { features } else { 0 }];
            for (row, &index) in out.chunks_exact_mut(features).zip(indices) {
                add_assign(row, table.read(entry(index), &mut scratch));
            }
            out
        }
    }
}

/// Adds each row of `dy` to the row of `table_grad [entries, features]` it was gathered from.
///
/// # Panics
/// If an index is outside the table or the sizes do not agree.
pub fn scatter_add(dy: &Tensor, indices: &[u32], table_grad: &mut [f32]) {
    let features = dy.cols();
    assert_eq!(dy.rows(), indices.len());
    for (row, &index) in dy.chunks_exact(features).zip(indices) {
        let entry = &mut table_grad[index as usize * features..][..features];
        entry.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}
