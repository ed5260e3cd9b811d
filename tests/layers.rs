//! House rules that the compiler does not know, read from the source: which module may import which, where
//! `unsafe` stands, that user code never panics on purpose, and how long a file may be.

use std::path::{Path, PathBuf};

/// Each module and those it may import, lowest first.
const LAYERS: [(&str, &[&str]); 13] = [
    ("format", &[]),
    ("files", &[]),
    ("kernels", &[]),
    ("base", &["format", "files", "kernels"]),
    ("gpu", &["format", "files", "base", "kernels"]),
    ("graph", &["format", "files", "base", "kernels", "gpu"]),
    ("runtime", &["format", "files", "base", "kernels", "gpu", "graph"]),
    ("device", &["format", "files", "base", "kernels", "gpu", "graph", "runtime"]),
    ("train", &["format", "files", "base", "kernels", "gpu", "graph", "runtime", "device"]),
    ("models", &["format", "files", "base", "kernels", "graph", "runtime"]),
    ("convert", &["format", "files", "base", "kernels", "graph", "runtime", "train"]),
    ("data", &["format", "files", "kernels", "runtime"]),
    (
        "cli",
        &["format", "files", "base", "kernels", "graph", "runtime", "device", "train", "models", "convert", "data"],
    ),
];
const UNSAFE: [&str; 5] =
    ["src/base/mapping.rs", "src/device/cuda.rs", "src/gpu/cuda.rs", "src/device/metal.rs", "src/kernels/prefetch.rs"];
const PANICS: [&str; 6] = [".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!("];
const LONGEST: usize = 600;

struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            match entry.unwrap().path() {
                path if path.is_dir() => walk(&path, found),
                path if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
                _ => {}
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    walk(&root.join("src"), &mut found);
    found.sort();
    assert!(found.len() > 50, "the sources are where they were");
    let relative = |path: &Path| path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
    found.iter().map(|path| Source { path: relative(path), text: std::fs::read_to_string(path).unwrap() }).collect()
}

impl Source {
    /// `format` of `src/format/mod.rs`; none of `src/lib.rs`.
    fn module(&self) -> Option<&str> {
        let (module, _) = self.path.strip_prefix("src/")?.split_once('/')?;
        Some(module)
    }

    /// Lines with their numbers from 1, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = |line| match str::find(line, "//") {
            Some(at) if at == 0 || !line[..at].ends_with(':') => &line[..at],
            _ => line,
        };
        self.text.lines().enumerate().map(move |(number, line)| (number + 1, code(line)))
    }

    /// Lines of code that are not only for tests.
    fn product(&self) -> Vec<(usize, &str)> {
        let mut product = Vec::new();
        let mut lines = self.code();
        while let Some((number, line)) = lines.next() {
            if line.trim() != "#[cfg(test)]" {
                product.push((number, line));
                continue;
            }
            let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
            let mut item = lines.by_ref().map(|(_, line)| line).skip_while(|line| line.trim().starts_with("#["));
            if item.next().is_some_and(|first| !first.ends_with(';')) {
                item.find(|line| *line == end);
            }
        }
        product
    }

    /// What the code takes from the root of the crate, with the line: modules, and nothing by a shorter way.
    fn imports(&self) -> Vec<(usize, String)> {
        let code: Vec<(usize, &str)> = self.code().collect();
        let depth = self.path.trim_end_matches("/mod.rs").matches('/').count();
        let to_root = "super::".repeat(depth);
        let mut imports = Vec::new();
        for (at, &(number, line)) in code.iter().enumerate() {
            for root in ["crate::", to_root.as_str()] {
                for (start, _) in line.match_indices(root) {
                    let after = &line[start + root.len()..];
                    let group = after.strip_prefix('{').map(|first| {
                        let more = code[at + 1..].iter().map(|&(_, line)| line);
                        let whole: String = std::iter::once(first).chain(more).collect();
                        whole.split("};").next().unwrap_or_default().to_owned()
                    });
                    let paths = top_level(group.as_deref().unwrap_or(after), group.is_some());
                    let known = |name: &String| LAYERS.iter().any(|(layer, _)| layer == name);
                    let counts = |name: &String| known(name) || (root == "crate::" && !name.is_empty());
                    imports.extend(paths.into_iter().filter(counts).map(|name| (number, name)));
                }
            }
        }
        imports
    }
}

/// The first segments of the paths in a `use` group, or of the one path.
fn top_level(paths: &str, group: bool) -> Vec<String> {
    let mut depth = 0;
    let flat: String = paths
        .chars()
        .filter(|&c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        })
        .collect();
    let segment =
        |path: &str| path.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_owned();
    flat.split(',').take(if group { usize::MAX } else { 1 }).map(segment).collect()
}

fn upward(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else { return Vec::new() };
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == module) else {
        return vec![format!("{}: module {module} has no layer: add it to LAYERS", source.path)];
    };
    let imports = source.imports().into_iter().filter(|(_, name)| name != module && !allowed.contains(&name.as_str()));
    imports.map(|(line, name)| format!("{}:{line}: {module} may not import {name}", source.path)).collect()
}

fn panics(source: &Source) -> Vec<String> {
    if source.path.contains("/tests/") || source.path.ends_with("/tests.rs") || source.path.ends_with("/testing.rs") {
        return Vec::new();
    }
    let found = source.product().into_iter().filter(|(_, line)| PANICS.iter().any(|call| line.contains(call)));
    found.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())).collect()
}

fn unsafe_code(source: &Source) -> Vec<String> {
    let word = |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
    let found = source.code().filter(|(_, line)| word(line));
    found.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())).collect()
}

fn assert_none(found: Vec<String>, what: &str) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn no_module_imports_one_above_it() {
    assert_none(sources().iter().flat_map(upward).collect(), "upward imports");
}

#[test]
fn unsafe_stands_only_where_it_is_listed() {
    for source in sources() {
        let found = unsafe_code(&source);
        match UNSAFE.contains(&source.path.as_str()) {
            true => assert!(!found.is_empty(), "{} has no unsafe code: drop it from UNSAFE", source.path),
            false => assert_none(found, "unsafe code"),
        }
    }
}

#[test]
fn the_product_does_not_panic_on_purpose() {
    assert_none(sources().iter().flat_map(panics).collect(), "panics outside tests");
}

#[test]
fn files_are_short() {
    let long = sources().into_iter().filter(|source| source.text.lines().count() > LONGEST);
    let line = |source: Source| format!("{}:{LONGEST}: {} lines", source.path, source.text.lines().count());
    assert_none(long.map(line).collect(), "long files");
}

#[test]
fn the_rules_see_what_they_look_for() {
    let text = "//! unsafe .unwrap() crate::cli\nuse crate::{\n    format,\n    runtime::{Task, train},\n};\nfn f() {\n    \
                crate::models::x().unwrap(); // panic!(\n    super::super::data::y(); unsafe {}\n}\n#[cfg(test)]\nuse \
                z::y;\n#[cfg(test)]\nmod tests {\n    fn t() {\n        x.unwrap()\n    }\n}\nfn g() { todo!() }\n";
    let source = Source { path: "src/base/x.rs".to_owned(), text: text.to_owned() };
    let may_not = |line, name| format!("src/base/x.rs:{line}: base may not import {name}");
    assert_eq!(upward(&source), [may_not(2, "runtime"), may_not(7, "models"), may_not(8, "data")]);
    let lines = |found: Vec<String>| -> Vec<String> {
        found.iter().map(|at| at.split(':').nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(lines(panics(&source)), ["7", "18"]);
    assert_eq!(lines(unsafe_code(&source)), ["8"]);
    let above = Source { path: "src/other/mod.rs".to_owned(), text: String::new() };
    assert!(upward(&above)[0].contains("no layer"));
}
