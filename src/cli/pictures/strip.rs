//! One task: its network's layers in order, as bars.

use super::canvas::{Side, font, svg};
use super::columns::Columns;
use super::palette::{FAINT, GRID, SHARED, strength};
use super::text::{change, measure, shortened, width};
use crate::cli::Error;

const LEFT: i32 = 96;
const TOP: i32 = 124;
const TALL: i32 = 170;
/// More changed layers than this have no room for their numbers.
const NUMBERED: usize = 24;

/// What one task changes.
pub(in crate::cli) struct Strip<'a> {
    /// Name of the task.
    pub(in crate::cli) task: &'a str,
    /// A line beneath it.
    pub(in crate::cli) note: &'a str,
    /// Names of the tapped layers in network order.
    pub(in crate::cli) layers: &'a [String],
    /// For each its change as a share of its norm; `None` where it is the base's.
    pub(in crate::cli) changes: &'a [Option<f32>],
}

impl Strip<'_> {
    pub(in crate::cli) fn svg(&self) -> Result<String, Error> {
        let columns = Columns::new(self.layers, LEFT, 900);
        let (task, note) = (shortened(self.task, 60), shortened(self.note, 120));
        let floor = TOP + TALL;
        let most = self.changes.iter().flatten().fold(0.0f32, |most, &change| most.max(change));
        let shown = if most > 0.0 { most } else { 1.0 };
        let texts = width(&task, 20.0).max(width(&note, 13.0)) + LEFT;
        svg((columns.right() + 40).max(texts).max(520), floor + columns.height() + 12, |canvas| {
            let (small, faint) = (font(11.0), font(12.0).color(&FAINT));
            canvas.text(&task, (LEFT, 26), Side::Left, &font(20.0))?;
            canvas.text(&note, (LEFT, 52), Side::Left, &font(13.0).color(&FAINT))?;
            for share in [0.0, 0.5, 1.0] {
                let y = floor - (share * TALL as f32) as i32;
                canvas.line((LEFT - 4, y), (columns.right(), y), GRID)?;
                canvas.text(&change(shown * share, true), (LEFT - 10, y), Side::Right, &faint)?;
            }
            canvas.text(measure(true), (20, floor - TALL / 2), Side::UpMiddle, &faint)?;
            let numbered = columns.step >= 12 && self.changes.iter().flatten().count() <= NUMBERED;
            for (&left, value) in columns.lefts().iter().zip(self.changes) {
                let Some(value) = *value else {
                    canvas.rectangle((left, floor - 4), (columns.width(), 4), SHARED)?;
                    continue;
                };
                let share = value / shown;
                let tall = ((share * TALL as f32) as i32).max(4);
                canvas.rectangle((left, floor - tall), (columns.width(), tall), strength(share))?;
                if numbered {
                    let middle = left + columns.width() / 2;
                    canvas.text(&change(value, true), (middle, floor - tall - 6), Side::UpFrom, &small)?;
                }
            }
            columns.draw(canvas, floor)
        })
    }
}
