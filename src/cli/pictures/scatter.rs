//! Accuracy against the parameters that each run adds to its base.

use plotters::chart::ChartBuilder;
use plotters::coord::combinators::{BindKeyPoints, IntoLogRange};
use plotters::style::{Color, ShapeStyle};

use super::canvas::{Canvas, Side, font, svg};
use super::marks::{Mark, marks};
use super::palette::{FAINT, GRID};
use super::text::{scaled, shortened, width};
use crate::cli::Error;
use crate::cli::folder::Run;

/// Twice the size it is shown at: points of lines are whole pixels.
const SIZE: (i32, i32) = (1960, 1040);
const LABEL: f64 = 25.0;

/// A run as it is drawn: where, and whether its accuracy is of test examples.
struct Point<'a> {
    at: (f64, f64),
    test: bool,
    run: &'a Run,
}

/// A mark for every run whose accuracy is known; `None` if there is none.
pub(in crate::cli) fn scatter(runs: &[Run]) -> Result<Option<String>, Error> {
    let points: Vec<Point<'_>> = runs.iter().filter_map(point).collect();
    if points.is_empty() {
        return Ok(None);
    }
    let (x, y) = (decades(&points), share_range(&points));
    let ticks = ticks(x.0, x.1);
    let picture = svg(SIZE.0, SIZE.1, |canvas| {
        let marks = marks(points.iter().map(|point| point.run.record.method.as_str()));
        legend(canvas, &marks, &points)?;
        let mut chart = ChartBuilder::on(&canvas.0)
            .margin_top(92)
            .margin_right(40)
            .margin_left(10)
            .x_label_area_size(110)
            .y_label_area_size(140)
            .build_cartesian_2d((x.0..x.1).log_scale().with_key_points(ticks.clone()), y.0..y.1)?;
        let digits = if y.1 - y.0 < 0.08 { 1 } else { 0 };
        chart
            .configure_mesh()
            .light_line_style(GRID.mix(0.0))
            .bold_line_style(ShapeStyle::from(&GRID).stroke_width(2))
            .axis_style(FAINT)
            .label_style(font(24.0).color(&FAINT))
            .axis_desc_style(font(26.0))
            .x_desc("parameters of the run's adapter (log scale)")
            .y_desc(what(&points))
            .y_labels(8)
            .x_label_formatter(&|value| scaled(*value))
            .y_label_formatter(&|value| format!("{:.digits$} %", 100.0 * value))
            .draw()?;
        let placed: Vec<(i32, i32)> = points.iter().map(|point| chart.backend_coord(&point.at)).collect();
        label(canvas, &points, &placed)?;
        for (point, &at) in points.iter().zip(&placed) {
            if let Some((_, mark)) = marks.iter().find(|(method, _)| *method == point.run.record.method) {
                mark.draw(canvas, at, point.test)?;
            }
        }
        Ok(())
    })?;
    Ok(Some(picture))
}

fn point(run: &Run) -> Option<Point<'_>> {
    let test = run.record.test_accuracy;
    let accuracy = test.or(run.record.validation_accuracy)?;
    Some(Point { at: (run.record.parameters.max(1) as f64, accuracy), test: test.is_some(), run })
}

fn what(points: &[Point<'_>]) -> &'static str {
    match (points.iter().any(|point| point.test), points.iter().all(|point| point.test)) {
        (_, true) => "test accuracy",
        (false, _) => "validation accuracy",
        _ => "accuracy (filled: test, hollow: validation)",
    }
}

/// A range of parameters around the points, of at least two thirds of a decade.
fn decades(points: &[Point<'_>]) -> (f64, f64) {
    let logs = points.iter().map(|point| point.at.0.log10());
    let (least, most) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), log| (a.min(log), b.max(log)));
    let margin = ((most - least) * 0.12).max(0.35);
    (10f64.powf(least - margin), 10f64.powf(most + margin))
}

/// A range of accuracies around the points, within 0 and 1 and a little above.
fn share_range(points: &[Point<'_>]) -> (f64, f64) {
    let shares = points.iter().map(|point| point.at.1);
    let (least, most) = shares.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), share| (a.min(share), b.max(share)));
    let margin = ((most - least) * 0.15).max(0.02);
    ((least - margin).max(0.0), (most + margin).min(1.0 + margin / 2.0))
}

/// Powers of ten between two numbers, with 2 and 5 between them where there are few.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = if high / low > 1000.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let powers = (low.log10().floor() as i32..=high.log10().ceil() as i32).map(|power| 10f64.powi(power));
    powers
        .flat_map(|power| steps.iter().map(move |step| step * power))
        .filter(|tick| (low..high).contains(tick))
        .collect()
}

/// A row of the methods' marks, and what hollow ones mean where there are some of each.
fn legend(canvas: &Canvas<'_>, marks: &[(&str, Mark)], points: &[Point<'_>]) -> Result<(), Error> {
    const Y: i32 = 44;
    let style = font(LABEL);
    let mut x = 170;
    for (method, mark) in marks {
        let method = shortened(method, 24);
        mark.draw(canvas, (x, Y), points.iter().any(|point| point.test))?;
        canvas.text(&method, (x + 26, Y), Side::Left, &style)?;
        x += 26 + width(&method, LABEL) + 44;
    }
    if points.iter().any(|point| point.test) && !points.iter().all(|point| point.test) {
        canvas.text(
            "filled: on test examples, hollow: on validation examples",
            (x, Y),
            Side::Left,
            &style.color(&FAINT),
        )?;
    }
    Ok(())
}

/// A box in pixels: left, top, right, bottom.
type Place = (i32, i32, i32, i32);

fn apart(a: Place, b: Place) -> bool {
    a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1
}

/// Names beside the marks, where they cover neither a mark nor another name.
fn label(canvas: &Canvas<'_>, points: &[Point<'_>], placed: &[(i32, i32)]) -> Result<(), Error> {
    let mut taken: Vec<Place> = placed.iter().map(|&(x, y)| (x - 16, y - 16, x + 16, y + 16)).collect();
    let style = font(LABEL);
    for (point, &(x, y)) in points.iter().zip(placed) {
        let name = shortened(&point.run.file, 30);
        let (wide, tall) = (width(&name, LABEL), 15);
        let choices = [
            (Side::Left, (x + 24, y), x + 24),
            (Side::Right, (x - 24, y), x - 24 - wide),
            (Side::Middle, (x, y - 34), x - wide / 2),
            (Side::Middle, (x, y + 34), x - wide / 2),
        ];
        let place = |left: i32, y: i32| (left, y - tall, left + wide, y + tall);
        let free = choices.into_iter().find(|&(_, at, left)| {
            let place = place(left, at.1);
            place.0 > 150 && place.2 < SIZE.0 && taken.iter().all(|&other| apart(place, other))
        });
        if let Some((side, at, left)) = free {
            canvas.text(&name, at, side, &style)?;
            taken.push(place(left, at.1));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(900.0, 30_000.0), [1e3, 2e3, 5e3, 1e4, 2e4]);
        assert_eq!(ticks(1.0, 1e6 + 1.0), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]);
    }
}
