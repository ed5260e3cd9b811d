//! A colour and a form for each method.

use plotters::element::{Circle, PathElement, Polygon};
use plotters::style::{Color, RGBColor, ShapeStyle, WHITE};

use super::canvas::Canvas;
use super::palette::{BLUE, FAINT, GREEN, PLUM, VERMILION};
use crate::cli::Error;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Circle,
    Triangle,
    Square,
    Diamond,
}

/// How the runs of one method are marked.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    color: RGBColor,
    form: Form,
}

/// The methods among `methods`, each once, with their marks: those of this crate's methods are always the same.
pub(super) fn marks<'a>(methods: impl Iterator<Item = &'a str>) -> Vec<(&'a str, Mark)> {
    const OTHERS: [(RGBColor, Form); 4] =
        [(PLUM, Form::Diamond), (FAINT, Form::Triangle), (PLUM, Form::Circle), (FAINT, Form::Square)];
    let mut names: Vec<&str> = methods.collect();
    names.sort_unstable();
    names.dedup();
    let mut others = OTHERS.into_iter().cycle();
    let mut mark = |name| {
        let (color, form) = match name {
            "taps" => (BLUE, Form::Circle),
            "head" => (VERMILION, Form::Triangle),
            "full" => (GREEN, Form::Square),
            _ => others.next().unwrap_or((PLUM, Form::Diamond)),
        };
        Mark { color, form }
    };
    names.into_iter().map(|name| (name, mark(name))).collect()
}

impl Mark {
    /// Draws it, filled or as an outline.
    pub(super) fn draw(&self, canvas: &Canvas<'_>, (x, y): (i32, i32), filled: bool) -> Result<(), Error> {
        const R: i32 = 12;
        let outline = ShapeStyle { color: self.color.to_rgba(), filled: false, stroke_width: 4 };
        let corners = match self.form {
            Form::Circle => {
                let fill = if filled { self.color } else { WHITE };
                canvas.0.draw(&Circle::new((x, y), R, fill.filled()))?;
                return Ok(canvas.0.draw(&Circle::new((x, y), R, outline))?);
            }
            Form::Triangle => vec![(x, y - R - 3), (x + R + 2, y + R - 2), (x - R - 2, y + R - 2)],
            Form::Square => vec![(x - R, y - R), (x + R, y - R), (x + R, y + R), (x - R, y + R)],
            Form::Diamond => vec![(x, y - R - 4), (x + R + 4, y), (x, y + R + 4), (x - R - 4, y)],
        };
        let fill = if filled { self.color } else { WHITE };
        canvas.0.draw(&Polygon::new(corners.clone(), fill.filled()))?;
        let closed: Vec<(i32, i32)> = corners.iter().chain(corners.iter().take(2)).copied().collect();
        Ok(canvas.0.draw(&PathElement::new(closed, outline))?)
    }
}
