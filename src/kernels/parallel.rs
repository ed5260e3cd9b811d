//! Splitting rows over threads.

use rayon::prelude::*;

use super::Workspace;

/// Values under which a second thread costs more than it gains.
const SMALL: usize = 16 * 1024;

/// Calls `body(first_row, rows)` on parts of `values` that together are all of it, each a whole number
/// of rows of `cols` values, on as many threads as pay off.
pub(super) fn for_rows<T: Send>(
    workspace: &Workspace,
    values: &mut [T],
    cols: usize,
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    if values.is_empty() {
        return;
    }
    let rows = values.len() / cols;
    let parts = workspace.threads().min(values.len() / SMALL).min(rows);
    if parts <= 1 {
        return body(0, values);
    }
    let rows_each = rows.div_ceil(parts);
    values.par_chunks_mut(rows_each * cols).enumerate().for_each(|(part, values)| body(part * rows_each, values));
}
