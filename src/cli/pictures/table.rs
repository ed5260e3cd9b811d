//! The runs as a table.

use super::text::{escaped, scaled, short};
use crate::cli::folder::Run;
use crate::cli::text::{bytes, percent};

const HEAD: [(&str, &str); 12] = [
    ("run", "name of the file"),
    ("task", "name in the adapter"),
    ("method", "what the task might change"),
    ("settings", "cap on layers, weight λ of the penalty, learning rate, most epochs, seed, choice of layers, norms"),
    ("examples", "trained on"),
    ("classes", "labels"),
    ("layers", "active, of those tapped"),
    ("parameters", "elements of all tensors of the adapter"),
    ("bytes", "size of the adapter file"),
    ("head alone", "validation accuracy of a head over the frozen base"),
    ("validation", "accuracy on examples held out to choose the best epoch"),
    ("test", "accuracy by taps eval --record"),
];

/// One row a run; the last column is its time.
pub(in crate::cli) fn table(runs: &[Run]) -> String {
    let mut html = String::from("<div class=\"wide\"><table><thead><tr>");
    for (number, (name, title)) in HEAD.iter().chain(&[("time", "of the whole run")]).enumerate() {
        let class = if number < 4 { "" } else { " class=\"number\"" };
        html.push_str(&format!("<th{class} title=\"{}\">{}</th>", escaped(title), escaped(name)));
    }
    html.push_str("</tr></thead><tbody>");
    for run in runs {
        html.push_str("<tr>");
        for (number, cell) in cells(run).iter().enumerate() {
            let class = if number < 4 { "name" } else { "number" };
            html.push_str(&format!("<td class=\"{class}\">{}</td>", escaped(cell)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>");
    html
}

fn cells(run: &Run) -> [String; HEAD.len() + 1] {
    let record = &run.record;
    let count = |count: u64| if count > 0 { count.to_string() } else { "–".to_owned() };
    let share = |share: Option<f64>| share.map_or("–".to_owned(), percent);
    [
        run.file.clone(),
        record.task.clone(),
        record.method.clone(),
        settings(run),
        count(record.examples),
        count(record.classes),
        format!("{} of {}", record.active_layers.len(), record.tapped_layers),
        scaled(record.parameters as f64),
        bytes(usize::try_from(record.bytes).unwrap_or(usize::MAX)),
        share(record.head_alone_accuracy),
        share(record.validation_accuracy),
        share(record.test_accuracy),
        record.seconds.map_or("–".to_owned(), time),
    ]
}

fn settings(run: &Run) -> String {
    let settings = &run.record.settings;
    let mut parts = vec![settings.max_active_layers.map_or("no cap".to_owned(), |cap| format!("cap {cap}"))];
    parts.extend(settings.lambda.map(|lambda| format!("λ {lambda}")));
    parts.extend(settings.rate.map(|rate| format!("rate {}", short(rate.into()))));
    parts.extend(settings.epochs.map(|epochs| format!("{epochs} epochs")));
    parts.extend(settings.seed.map(|seed| format!("seed {seed}")));
    parts.extend(settings.select.as_ref().map(|select| format!("by {select}")));
    parts.extend(settings.norms.as_ref().map(|norms| format!("norms {norms}")));
    parts.join(", ")
}

fn time(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{} s", short(seconds)),
        ..6000.0 => format!("{} min", short(seconds / 60.0)),
        _ => format!("{} h", short(seconds / 3600.0)),
    }
}
