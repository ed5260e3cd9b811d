//! Tasks for one person after another over a base, and the table of what came of them.

use std::time::Instant;

use taps::format::Encoding;
use taps::models::Model;
use taps::runtime::{Examples, Runtime};
use taps::train::{Config, Quiet, fine_tune};

use super::{Result, Subset};

const HEADER: [&str; 11] = [
    "person",
    "task",
    "before",
    "after",
    "after, int8",
    "seconds",
    "bytes",
    "bytes, int8",
    "others before",
    "others by the task",
    "others after",
];

/// What came of each method for each person.
pub struct Report {
    methods: Vec<(&'static str, Config)>,
    rows: Vec<Vec<String>>,
    totals: Vec<Outcome>,
}

/// Sums over runs of one method.
#[derive(Clone, Default)]
struct Outcome {
    runs: usize,
    seconds: f64,
    bytes: [usize; 2],
    /// The person's examples of each class: all, right by the base, by the task, and by the task in int8.
    own: Vec<[usize; 4]>,
    /// The others' examples: all, right by the base, by the task, and by the base afterwards.
    others: [usize; 4],
}

impl Report {
    /// A report on these methods, by name.
    pub fn new(methods: &[(&'static str, Config)]) -> Self {
        Self { methods: methods.to_vec(), rows: Vec::new(), totals: vec![Outcome::default(); methods.len()] }
    }

    /// Tunes a task by each method for one person, on the first and measured on the second of each of `rounds`.
    /// `others` are examples of other people.
    pub fn add(&mut self, person: &str, base: &Runtime<Model>, rounds: &[[Subset; 2]], others: &Subset) -> Result<()> {
        for ((name, config), total) in self.methods.iter().zip(&mut self.totals) {
            let mut sum = Outcome::default();
            for [train, test] in rounds {
                let outcome = Outcome::of(base, config, train, test, others)?;
                sum.add(&outcome);
                total.add(&outcome);
            }
            self.rows.push(sum.cells(person, name));
        }
        Ok(())
    }

    /// Prints the table: a row for each person and method, then all persons' together, with means of seconds and
    /// bytes. Where `classes` are named, a second table has the share of each that is right, all persons' examples
    /// together.
    pub fn print(&self, classes: &[String]) {
        let all = self.methods.iter().zip(&self.totals).map(|((name, _), total)| total.cells("all", name));
        table(&HEADER, &self.rows.iter().cloned().chain(all).collect::<Vec<_>>());
        if classes.is_empty() {
            return;
        }
        println!();
        let header: Vec<&str> = ["task"].into_iter().chain(classes.iter().map(String::as_str)).collect();
        let row = |name: &str, total: &Outcome, column: usize| {
            let shares = total.own.iter().map(|class| percent(class[column], class[0]));
            [name.to_owned()].into_iter().chain(shares).collect()
        };
        let mut rows = vec![row("none", &self.totals[0], 1)];
        rows.extend(self.methods.iter().zip(&self.totals).map(|((name, _), total)| row(name, total, 2)));
        let count = self.totals[0].own.iter().map(|class| class[0].to_string());
        rows.push(["examples".to_owned()].into_iter().chain(count).collect());
        table(&header, &rows);
    }
}

impl Outcome {
    fn of(base: &Runtime<Model>, config: &Config, train: &Subset, test: &Subset, others: &Subset) -> Result<Self> {
        let untouched = logits(base, others)?;
        let own_before = right(test, &logits(base, test)?);

        let start = Instant::now();
        let tuned = fine_tune(base.base(), base.network(), train, config, &mut Quiet)?;
        let adapter = tuned.adapter(base.base(), base.network(), "personal", Encoding::F32)?;
        let seconds = start.elapsed().as_secs_f64();
        let small = tuned.adapter(base.base(), base.network(), "personal", Encoding::Int8)?;

        base.switch(&base.load_bytes(&adapter, "the adapter")?)?;
        let own_after = right(test, &logits(base, test)?);
        let others_by_task = right(others, &logits(base, others)?);
        base.switch(&base.load_bytes(&small, "the adapter in int8")?)?;
        let own_small = right(test, &logits(base, test)?);
        base.switch(base.base_task())?;
        let afterwards = logits(base, others)?;
        assert!(afterwards == untouched, "a task changed the base");

        let mut own = vec![[0; 4]; test.classes().len()];
        for index in 0..test.len() {
            let hits = [true, own_before[index], own_after[index], own_small[index]];
            own[test.label(index)].iter_mut().zip(hits).for_each(|(sum, hit)| *sum += usize::from(hit));
        }
        let count = |hits: &[bool]| hits.iter().filter(|&&hit| hit).count();
        let [before, after] = [untouched, afterwards].map(|logits| count(&right(others, &logits)));
        let others = [others.len(), before, count(&others_by_task), after];
        Ok(Self { runs: 1, seconds, bytes: [adapter.len(), small.len()], own, others })
    }

    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.seconds += other.seconds;
        self.own.resize(other.own.len(), [0; 4]);
        let own = self.own.as_flattened_mut().iter_mut().zip(other.own.as_flattened());
        let rest = self.bytes.iter_mut().chain(&mut self.others).zip(other.bytes.iter().chain(&other.others));
        own.chain(rest).for_each(|(sum, count)| *sum += count);
    }

    fn cells(&self, person: &str, method: &str) -> Vec<String> {
        let own = |column: usize| self.own.iter().map(|class| class[column]).sum::<usize>();
        let mut cells = vec![person.to_owned(), method.to_owned()];
        cells.extend([1, 2, 3].map(|column| percent(own(column), own(0))));
        cells.push(format!("{:.2}", self.seconds / self.runs as f64));
        cells.extend(self.bytes.map(|bytes| (bytes / self.runs).to_string()));
        cells.extend([1, 2, 3].map(|column| percent(self.others[column], self.others[0])));
        cells
    }
}

/// Class scores of examples by the current task, `[examples, classes]`.
fn logits(runtime: &Runtime<Model>, examples: &Subset) -> Result<Vec<f32>> {
    let order: Vec<usize> = (0..examples.len()).collect();
    let mut logits = Vec::new();
    for batch in order.chunks(64) {
        logits.extend_from_slice(runtime.predict(&examples.batch(batch)?)?.logits());
    }
    Ok(logits)
}

/// Whether the class of each example has its highest score.
fn right(examples: &Subset, logits: &[f32]) -> Vec<bool> {
    let highest = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let rows = logits.chunks_exact(examples.classes().len()).enumerate();
    rows.map(|(index, row)| highest(row) == Some(examples.label(index))).collect()
}

fn percent(part: usize, of: usize) -> String {
    if of == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / of as f64) }
}

/// Prints a Markdown table: words to the left, columns of numbers to the right.
fn table(header: &[&str], rows: &[Vec<String>]) {
    let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let numbers = |column: usize| rows.iter().any(|row| row[column].starts_with(|first: char| first.is_ascii_digit()));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0).max(header[column].len());
    let cell = |(column, text): (usize, &&str)| match (numbers(column), width(column)) {
        (true, width) => format!(" {text:>width$} |"),
        (false, width) => format!(" {text:<width$} |"),
    };
    let rule = |column: usize| format!("{}{}|", "-".repeat(width(column) + 1), if numbers(column) { ':' } else { '-' });
    let line = |row: &[&str]| println!("|{}", row.iter().enumerate().map(cell).collect::<String>());
    line(header);
    println!("|{}", (0..header.len()).map(rule).collect::<String>());
    rows.iter().for_each(|row| line(row));
}
