//! The layers of a network as a row of cells.

use crate::runtime::{LayerId, Layout};

/// One cell for each tapped layer in network order, filled where it is active, with a gap where the
/// number in the layers' names changes.
pub(in crate::cli) fn cells(layout: &Layout, active: &[LayerId]) -> String {
    let mut picture = String::new();
    let mut block = None;
    for id in layout.tapped() {
        let number = number(&layout.layer(id).name);
        if block.is_some_and(|block| block != number) {
            picture.push(' ');
        }
        block = Some(number);
        picture.push(if active.contains(&id) { '■' } else { '·' });
    }
    picture
}

/// The first number between dots in a layer's name: which of the equal blocks of a network it is in.
pub(super) fn number(name: &str) -> Option<u32> {
    name.split('.').find_map(|part| part.parse().ok())
}
