//! The losses of one run: training, step by step and smoothed, and validation after each epoch.

use plotters::chart::ChartBuilder;
use plotters::element::Circle;
use plotters::series::LineSeries;
use plotters::style::{Color, ShapeStyle, WHITE};

use super::canvas::{font, svg};
use super::palette::{BLUE, FAINT, GRID, VERMILION};
use super::text::{scaled, short};
use crate::cli::Error;
use crate::cli::record::{Curves, Record};

/// Twice the size it is shown at: points of lines are whole pixels.
const SIZE: (i32, i32) = (800, 480);
/// Points of the raw curve at most; of more steps each point's share shows its lowest and highest.
const POINTS: usize = 720;

/// `None` where the record has no curve.
pub(in crate::cli) fn curves(record: &Record) -> Result<Option<String>, Error> {
    let Curves { head, tune, epochs, .. } = &record.curves;
    let (steps, unit) = if tune.is_empty() { (head, "pass over the frozen base's features") } else { (tune, "step") };
    if steps.is_empty() {
        return Ok(None);
    }
    let last = steps.len() as f64;
    let at = |step: u64| if tune.is_empty() { last } else { (step as f64).min(last) };
    let scored = epochs.iter().filter_map(|epoch| Some((at(epoch.step), f64::from(epoch.validation_loss?))));
    let scored: Vec<(f64, f64)> = scored.collect();
    let raw = thinned(steps);
    let highest = raw.iter().chain(&scored).fold(0.0, |highest: f64, point| highest.max(point.1));
    let top = if highest > 0.0 { highest * 1.06 } else { 1.0 };
    let picture = svg(SIZE.0, SIZE.1, |canvas| {
        let mut chart = ChartBuilder::on(&canvas.0)
            .margin_top(14)
            .margin_right(26)
            .x_label_area_size(82)
            .y_label_area_size(98)
            .build_cartesian_2d(0.0..last.max(1.0), 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(GRID.mix(0.0))
            .bold_line_style(ShapeStyle::from(&GRID).stroke_width(2))
            .axis_style(FAINT)
            .label_style(font(22.0).color(&FAINT))
            .axis_desc_style(font(23.0))
            .x_desc(unit)
            .y_desc("cross-entropy")
            .x_labels(5)
            .y_labels(5)
            .x_label_formatter(&|value| scaled(*value))
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        let line = |width| ShapeStyle::from(&BLUE).stroke_width(width);
        chart.draw_series(LineSeries::new(raw, ShapeStyle { color: BLUE.mix(0.28), ..line(2) }))?;
        chart.draw_series(LineSeries::new(smoothed(steps), line(4)))?;
        chart.draw_series(LineSeries::new(scored.iter().copied(), ShapeStyle::from(&VERMILION).stroke_width(4)))?;
        chart.draw_series(scored.iter().map(|&point| Circle::new(point, 8, WHITE.filled())))?;
        chart.draw_series(scored.iter().map(|&point| Circle::new(point, 6, VERMILION.filled())))?;
        Ok(())
    })?;
    Ok(Some(picture))
}

/// The steps' losses, or where they are many the lowest and highest of each group.
fn thinned(steps: &[f32]) -> Vec<(f64, f64)> {
    let each = steps.len().div_ceil(POINTS / 2).max(1);
    if each <= 2 {
        return steps.iter().enumerate().map(|(step, &loss)| ((step + 1) as f64, loss.into())).collect();
    }
    let group = |(group, losses): (usize, &[f32])| {
        let (low, high) =
            losses.iter().fold((f32::INFINITY, 0.0f32), |(low, high), &loss| (low.min(loss), high.max(loss)));
        let middle = (group * each) as f64 + losses.len() as f64 / 2.0;
        [(middle, low.into()), (middle, high.into())]
    };
    steps.chunks(each).enumerate().flat_map(group).collect()
}

/// The mean of each step and as many around it on either side, about a fifteenth of the run; fewer at its ends.
fn smoothed(steps: &[f32]) -> Vec<(f64, f64)> {
    let reach = steps.len() / 30;
    let each = steps.len().div_ceil(POINTS).max(1);
    let mut sums = vec![0.0];
    steps.iter().for_each(|&loss| sums.push(sums.last().copied().unwrap_or(0.0) + f64::from(loss)));
    let mean = |step: usize| {
        let reach = reach.min(step).min(steps.len() - 1 - step);
        (sums[step + reach + 1] - sums[step - reach]) / (2 * reach + 1) as f64
    };
    let drawn = (0..steps.len()).filter(|step| step % each == 0 || step + 1 == steps.len());
    drawn.map(|step| ((step + 1) as f64, mean(step))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_keep_their_extremes() {
        let mut steps = vec![1.0; 100_000];
        (steps[777], steps[50_000]) = (9.0, 0.25);
        let thin = thinned(&steps);
        assert!(thin.len() <= POINTS);
        assert!(thin.iter().any(|point| point.1 == 9.0) && thin.iter().any(|point| point.1 == 0.25));
        assert!(smoothed(&steps).len() <= POINTS + 1);
        assert_eq!(thinned(&[3.0, 2.0]), [(1.0, 3.0), (2.0, 2.0)]);
    }

    #[test]
    fn means_do_not_lag() {
        let steps: Vec<f32> = (0..100).map(|step| 100.0 - step as f32).collect();
        for (step, mean) in smoothed(&steps) {
            assert!((mean - (101.0 - step)).abs() < 1e-9, "{step}: {mean}");
        }
        assert!(smoothed(&[]).is_empty());
    }
}
