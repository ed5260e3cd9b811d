//! Tasks by layers: which layers each task changes, and how strongly.

use super::canvas::{Canvas, Side, font, svg};
use super::columns::Columns;
use super::palette::{FAINT, SHARED, strength};
use super::text::{change, measure, shortened, width};
use crate::cli::Error;

const LABEL: f64 = 13.0;
const LONGEST: usize = 34;
const TOP: i32 = 70;
/// Width of all columns and the names of the tasks.
const ROOM: i32 = 1080;

/// A row for each task, a column for each layer.
pub(in crate::cli) struct HeatMap {
    /// Names of the layers, in the order of the columns.
    pub(in crate::cli) layers: Vec<String>,
    pub(in crate::cli) rows: Vec<Row>,
    /// Whether the changes are shares of the base's norms.
    pub(in crate::cli) relative: bool,
}

/// One task.
pub(in crate::cli) struct Row {
    pub(in crate::cli) task: String,
    /// For each layer its change; `None` where it is the base's.
    pub(in crate::cli) changes: Vec<Option<f32>>,
}

impl HeatMap {
    pub(in crate::cli) fn svg(&self) -> Result<String, Error> {
        let labels: Vec<String> = self.rows.iter().map(|row| shortened(&row.task, LONGEST)).collect();
        let left = labels.iter().map(|label| width(label, LABEL)).max().unwrap_or(0) + 22;
        let columns = Columns::new(&self.layers, left, ROOM - left);
        let step = if self.rows.len() > 30 { 16 } else { 26 };
        let bottom = TOP + step * self.rows.len() as i32;
        let changes = self.rows.iter().flat_map(|row| &row.changes).flatten();
        let most = changes.fold(0.0f32, |most, &change| most.max(change));
        let size = ((columns.right() + 110).max(left + 580), bottom + columns.height() + 4);
        svg(size.0, size.1, |canvas| {
            legend(canvas, left, most, self.relative)?;
            let (label_style, count_style) = (font(LABEL), font(12.0).color(&FAINT));
            for (number, (row, label)) in self.rows.iter().zip(&labels).enumerate() {
                let top = TOP + step * number as i32;
                let middle = top + step / 2;
                canvas.text(label, (left - 10, middle), Side::Right, &label_style)?;
                for (&left, change) in columns.lefts().iter().zip(&row.changes) {
                    let color = change.map_or(SHARED, |change| strength(change / most.max(f32::MIN_POSITIVE)));
                    canvas.rectangle((left, top), (columns.width(), step - 2), color)?;
                }
                let changed = row.changes.iter().flatten().count();
                let count = format!("{changed} of {}", self.layers.len());
                canvas.text(&count, (columns.right() + 12, middle), Side::Left, &count_style)?;
            }
            columns.draw(canvas, bottom)
        })
    }
}

/// The colours and what they mean, above `TOP`.
fn legend(canvas: &Canvas<'_>, left: i32, most: f32, relative: bool) -> Result<(), Error> {
    const STEPS: i32 = 90;
    let (style, faint) = (font(12.0), font(12.0).color(&FAINT));
    for step in 0..STEPS {
        canvas.rectangle((left + 2 * step, 10), (2, 14), strength(step as f32 / (STEPS - 1) as f32))?;
    }
    let end = left + 2 * STEPS;
    for (share, at, side) in [(0.0, left, Side::Left), (0.5, (left + end) / 2, Side::Middle), (1.0, end, Side::Right)] {
        canvas.text(&change(most * share, relative), (at, 35), side, &faint)?;
    }
    canvas.text(measure(relative), (end + 12, 17), Side::Left, &style)?;
    let shared = end + 12 + width(measure(relative), 12.0) + 24;
    canvas.rectangle((shared, 10), (14, 14), SHARED)?;
    canvas.text("the base's own", (shared + 20, 17), Side::Left, &style)
}
