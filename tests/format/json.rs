//! What an adapter says, as text in the form of Python's `json.dumps(..., indent=1, ensure_ascii=False)`.

use taps::format::{Adapter, Encoding, Entry, Setting};

use crate::model::decode;

enum Json {
    Bare(String),
    List(Vec<Json>),
    Map(Vec<(&'static str, Json)>),
}
use Json::{Bare, List, Map};

pub fn of(adapter: &Adapter<'_>) -> String {
    let entries: Vec<Entry> = adapter.entries().collect();
    let start = entries.first().map_or(0, |entry| entry.payload.as_ptr() as usize);
    let summary = adapter.summary();
    let mut root = vec![
        ("task", text(adapter.task())),
        ("architecture", text(adapter.architecture())),
        ("method", text(adapter.method())),
        ("base", text(&adapter.base().to_string())),
        ("content", text(&adapter.content().to_string())),
        (
            "summary",
            Map(vec![
                ("lambda", float(summary.lambda)),
                ("tau", float(summary.tau)),
                ("max_active_layers", option(summary.max_active_layers, number)),
                ("active_layers", number(summary.active_layers)),
                ("layers", number(summary.layers)),
                ("steps", number(summary.steps)),
                ("examples", number(summary.examples)),
                ("seed", number(summary.seed)),
                ("validation", option(summary.validation, float)),
            ]),
        ),
        ("labels", List(adapter.labels().map(text).collect())),
        ("entries", List(entries.iter().map(|entry| entry_of(entry, start)).collect())),
        ("digest", text(&adapter.digest().to_string())),
    ];
    if adapter.settings().len() > 0 {
        let setting = |found: Setting<'_>| {
            let required = Bare(found.required.to_string());
            Map(vec![("name", text(found.name)), ("required", required), ("value", text(found.value))])
        };
        root.insert(7, ("settings", List(adapter.settings().map(setting).collect())));
    }
    if let Some(signature) = adapter.signature() {
        let bytes: String = signature.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        root.push(("signature", Map(vec![("key", text(&signature.key.to_string())), ("bytes", text(&bytes))])));
    }
    let mut out = String::new();
    print(&Map(root), "\n", &mut out);
    out + "\n"
}

fn entry_of(entry: &Entry<'_>, start: usize) -> Json {
    Map(vec![
        ("name", text(entry.name)),
        ("role", text(&format!("{:?}", entry.role).to_lowercase())),
        ("encoding", encoding(entry.encoding)),
        ("shape", List(entry.shape.dims().iter().map(number).collect())),
        ("offset", number(entry.payload.as_ptr() as usize - start)),
        ("length", number(entry.payload.len())),
        ("base", option(entry.base, |digest| text(&digest.to_string()))),
        ("values", List(decode(entry).into_iter().map(float).collect())),
    ])
}

fn encoding(encoding: Encoding) -> Json {
    match encoding {
        Encoding::Int4 { group } => Map(vec![("int4", Map(vec![("group", number(group))]))]),
        Encoding::LowRank { rank, half } => {
            Map(vec![("lowrank", Map(vec![("rank", number(rank)), ("half", number(half))]))])
        }
        Encoding::Sparse { count, places } => {
            Map(vec![("sparse", Map(vec![("count", number(count)), ("places", number(places))]))])
        }
        plain => text(&format!("{plain:?}").to_lowercase()),
    }
}

fn text(text: &str) -> Json {
    Bare(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn number(number: impl ToString) -> Json {
    Bare(number.to_string())
}

fn float(value: f32) -> Json {
    Bare(format!("{:?}", f64::from(value)))
}

fn option<T>(value: Option<T>, some: impl Fn(T) -> Json) -> Json {
    value.map_or(Bare("null".into()), some)
}

fn print(json: &Json, newline: &str, out: &mut String) {
    let (open, close, items): (_, _, Vec<(String, &Json)>) = match json {
        Bare(text) => return out.push_str(text),
        List(items) => ("[", "]", items.iter().map(|item| (String::new(), item)).collect()),
        Map(items) => ("{", "}", items.iter().map(|(key, item)| (format!("\"{key}\": "), item)).collect()),
    };
    out.push_str(open);
    let inner = format!("{newline} ");
    for (i, (key, item)) in items.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { "," });
        out.push_str(&inner);
        out.push_str(key);
        print(item, &inner, out);
    }
    out.push_str(if items.is_empty() { "" } else { newline });
    out.push_str(close);
}
