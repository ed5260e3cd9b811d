//! Layers side by side: where each stands, and its name beneath.

use std::ops::Range;

use super::canvas::{Canvas, Side, font};
use super::cells::number;
use super::palette::FAINT;
use super::text::{shortened, width};
use crate::cli::Error;

/// Between the columns of two blocks, of few layers and of many.
const GAPS: (i32, i32) = (7, 3);
/// More layers than this are many.
const MANY: usize = 100;
/// Columns narrower than this have no room for a name.
const NAMED: i32 = 13;
const NAME: f64 = 11.0;
const LONGEST: usize = 30;

/// A column for each layer, with a gap where the number in the layers' names changes.
pub(super) struct Columns {
    /// From one column to the next.
    pub(super) step: i32,
    lefts: Vec<i32>,
    blocks: Vec<(Option<u32>, Range<usize>)>,
    labels: Vec<String>,
    /// What the labels of numbered layers leave out.
    stem: String,
}

impl Columns {
    /// Columns from `left` on, in about `room` pixels.
    pub(super) fn new(layers: &[String], left: i32, room: i32) -> Self {
        let mut blocks: Vec<(Option<u32>, Range<usize>)> = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            match blocks.last_mut() {
                Some((block, range)) if *block == number(layer) => range.end = index + 1,
                _ => blocks.push((number(layer), index..index + 1)),
            }
        }
        let gap = if layers.len() > MANY { GAPS.1 } else { GAPS.0 };
        let gaps = gap * blocks.len().saturating_sub(1) as i32;
        let step = ((room - gaps) / layers.len().max(1) as i32).clamp(3, 30);
        let lefts = blocks
            .iter()
            .enumerate()
            .flat_map(|(block, (_, range))| {
                range.clone().map(move |layer| left + layer as i32 * step + block as i32 * gap)
            })
            .collect();
        let stem = stem(layers);
        let labels =
            layers.iter().map(|layer| shortened(layer.strip_prefix(&stem).unwrap_or(layer), LONGEST)).collect();
        Self { step, lefts, blocks, labels, stem }
    }

    /// Left edges, in order.
    pub(super) fn lefts(&self) -> &[i32] {
        &self.lefts
    }

    /// Width of a column; where there is room, without a line between it and the next.
    pub(super) fn width(&self) -> i32 {
        if self.step < 6 { self.step } else { self.step - 1 }
    }

    /// Where the last column ends.
    pub(super) fn right(&self) -> i32 {
        self.lefts.last().map_or(0, |left| left + self.width())
    }

    fn named(&self) -> bool {
        self.step >= NAMED || self.blocks.iter().all(|(block, _)| block.is_none())
    }

    /// Height that the names take.
    pub(super) fn height(&self) -> i32 {
        match self.named() {
            true => self.labels.iter().map(|label| width(label, NAME)).max().unwrap_or(0) + 34,
            false => 44,
        }
    }

    /// Names, or where they have no room the numbers of blocks, beneath `top`.
    pub(super) fn draw(&self, canvas: &Canvas<'_>, top: i32) -> Result<(), Error> {
        let (small, faint) = (font(NAME), font(12.0).color(&FAINT));
        let mut free = i32::MIN;
        if self.named() {
            for (label, left) in self.labels.iter().zip(&self.lefts) {
                if *left >= free {
                    canvas.text(label, (left + self.width() / 2, top + 8), Side::Up, &small)?;
                    free = left + NAMED;
                }
            }
        } else {
            for (block, range) in &self.blocks {
                let middle = (self.lefts[range.start] + self.lefts[range.end - 1] + self.width()) / 2;
                let label = block.map_or("·".to_owned(), |block| block.to_string());
                if middle - width(&label, NAME) / 2 >= free {
                    canvas.text(&label, (middle, top + 12), Side::Middle, &small)?;
                    free = middle + width(&label, NAME) / 2 + 4;
                }
            }
        }
        let what = match (self.named(), self.stem.is_empty()) {
            (true, true) => "layer".to_owned(),
            (true, false) => {
                format!("layer; those with a number are in {}", shortened(self.stem.trim_end_matches('.'), 60))
            }
            (false, _) => "block; a column is a layer".to_owned(),
        };
        let left = self.lefts.first().copied().unwrap_or(0);
        canvas.text(&what, (left, top + self.height() - 12), Side::Left, &faint)
    }
}

/// What stands before the number in every numbered layer's name; empty where they differ.
fn stem(layers: &[String]) -> String {
    let before = |layer: &str| {
        let parts: Vec<&str> = layer.split('.').collect();
        let at = parts.iter().position(|part| part.parse::<u32>().is_ok())?;
        (at > 0).then(|| format!("{}.", parts[..at].join(".")))
    };
    let mut stems = layers.iter().filter(|layer| number(layer).is_some()).map(|layer| before(layer));
    let first = stems.next().flatten().unwrap_or_default();
    if stems.all(|stem| stem.as_deref() == Some(first.as_str())) { first } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn blocks_stand_apart_and_labels_leave_out_what_they_share() {
        let columns = Columns::new(&names(&["v.patch", "v.layer.0.a", "v.layer.0.b", "v.layer.1.a"]), 10, 1000);
        assert_eq!(columns.lefts(), [10, 10 + 30 + 7, 10 + 60 + 7, 10 + 90 + 2 * 7]);
        assert_eq!(columns.labels, ["v.patch", "0.a", "0.b", "1.a"]);
        let columns = Columns::new(&names(&["a.0.x", "b.0.x"]), 0, 100);
        assert_eq!(columns.labels, ["a.0.x", "b.0.x"]);
    }

    #[test]
    fn many_layers_fit() {
        let layers: Vec<String> = (0..300).map(|layer| format!("layer.{}.{}", layer / 6, layer % 6)).collect();
        let columns = Columns::new(&layers, 0, 1000);
        assert!(columns.right() < 1100 && columns.height() < 60);
        assert_eq!(Columns::new(&[], 0, 100).right(), 0);
    }
}
