//! An SVG to draw on, in pixels.

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoDrawingArea, PathElement, Rectangle, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle, WHITE};

use super::palette::INK;
use crate::cli::Error;

/// The fonts of every picture and of the page: the system's own.
pub(super) const FONTS: &str = "system-ui, -apple-system, Segoe UI, Roboto, Liberation Sans, Arial, sans-serif";

/// What is drawn on.
pub(super) struct Canvas<'a>(pub(super) DrawingArea<SVGBackend<'a>, Shift>);

/// An SVG of this size on white.
pub(super) fn svg(
    width: i32,
    height: i32,
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), Error>,
) -> Result<String, Error> {
    let mut text = String::new();
    let canvas = Canvas(SVGBackend::with_string(&mut text, (width as u32, height as u32)).into_drawing_area());
    canvas.0.fill(&WHITE)?;
    draw(&canvas)?;
    canvas.0.present()?;
    drop(canvas);
    Ok(text)
}

/// Text of this many pixels.
pub(super) fn font(pixels: f64) -> TextStyle<'static> {
    // The SVG writer divides sizes by 1.24.
    TextStyle::from((FONTS, pixels * 1.24).into_font()).color(&INK)
}

/// Where a text stands beside its point, in the middle of its height.
#[derive(Clone, Copy)]
pub(super) enum Side {
    /// The text begins there.
    Left,
    Middle,
    /// The text ends there.
    Right,
    /// Turned to read upwards, and ending there.
    Up,
    /// Turned to read upwards, its middle there.
    UpMiddle,
    /// Turned to read upwards, and beginning there.
    UpFrom,
}

impl Canvas<'_> {
    pub(super) fn rectangle(&self, at: (i32, i32), size: (i32, i32), color: RGBColor) -> Result<(), Error> {
        let corners = [at, (at.0 + size.0, at.1 + size.1)];
        Ok(self.0.draw(&Rectangle::new(corners, color.filled()))?)
    }

    pub(super) fn line(&self, from: (i32, i32), to: (i32, i32), color: RGBColor) -> Result<(), Error> {
        Ok(self.0.draw(&PathElement::new([from, to], ShapeStyle::from(&color)))?)
    }

    pub(super) fn text(&self, text: &str, at: (i32, i32), side: Side, style: &TextStyle<'_>) -> Result<(), Error> {
        let (anchor, turn) = match side {
            Side::Left => (HPos::Left, FontTransform::None),
            Side::Middle => (HPos::Center, FontTransform::None),
            Side::Right => (HPos::Right, FontTransform::None),
            Side::Up => (HPos::Right, FontTransform::Rotate270),
            Side::UpMiddle => (HPos::Center, FontTransform::Rotate270),
            Side::UpFrom => (HPos::Left, FontTransform::Rotate270),
        };
        Ok(self.0.draw_text(text, &style.pos(Pos::new(anchor, VPos::Center)).transform(turn), at)?)
    }
}
