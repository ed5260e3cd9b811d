//! House rules that the compiler does not know, read from the source: which module may import which, where
//! `unsafe` stands, that user code never panics on purpose, and how long a file may be.

use std::collections::{BTreeMap, BTreeSet};
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

/// Which file each file takes something from, by the paths of modules; a name that a `mod.rs` passes on counts for the file
/// that it comes from.
struct Imports {
    /// Product code of each module, as `graph::ops::add`.
    code: BTreeMap<String, String>,
    /// What modules pass on with `pub use`: the name, and where it is from.
    passed_on: BTreeMap<(String, String), Vec<String>>,
}

impl Imports {
    fn of(sources: &[Source]) -> Self {
        let module = |path: &str| {
            let path = path.strip_prefix("src/")?.strip_suffix(".rs")?;
            let path = path.strip_suffix("/mod").unwrap_or(path).replace('/', "::");
            (!["lib", "main"].contains(&path.as_str()) && !path.contains("::tests")).then_some(path)
        };
        let code = |source: &Source| source.product().into_iter().flat_map(|(_, line)| [line, "\n"]).collect();
        let code: BTreeMap<String, String> =
            sources.iter().filter_map(|source| Some((module(&source.path)?, code(source)))).collect();
        let mut passed_on = BTreeMap::new();
        for (module, code) in &code {
            for path in uses(code).into_iter().filter(|(is_public, _)| *is_public).map(|(_, path)| path) {
                passed_on.insert((module.clone(), path.last().cloned().unwrap_or_default()), path);
            }
        }
        Self { code, passed_on }
    }

    /// The segments of a path from the root of the crate on.
    fn absolute(&self, module: &str, path: &[String]) -> Option<Vec<String>> {
        let mut base: Vec<String> = module.split("::").map(str::to_owned).collect();
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => {}
            "super" => _ = base.pop(),
            child if self.code.contains_key(&format!("{module}::{child}")) => base.push(child.to_owned()),
            _ => return None,
        }
        let above = rest.iter().take_while(|segment| *segment == "super").count();
        base.truncate(base.len().saturating_sub(above));
        base.extend_from_slice(&rest[above..]);
        Some(base)
    }

    /// The module whose file has what a path from the root names.
    fn file_of(&self, path: &[String]) -> Option<String> {
        let is_module = |count: &usize| self.code.contains_key(&path[..*count].join("::"));
        let depth = (1..=path.len()).take_while(is_module).last()?;
        let module = path[..depth].join("::");
        let Some(item) = path.get(depth) else { return Some(module) };
        match self.passed_on.get(&(module.clone(), item.clone())) {
            Some(from) => self.file_of(&self.absolute(&module, from)?),
            None => Some(module),
        }
    }

    fn from(&self, module: &str) -> BTreeSet<String> {
        let code = &self.code[module];
        let imported = uses(code).into_iter().filter(|(is_public, _)| !is_public).map(|(_, path)| path);
        let named = ["crate::", "super::"].into_iter().flat_map(|root| {
            let path = |at: usize| {
                let path = code[at..].split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next();
                path.unwrap_or_default().split("::").map(str::to_owned).collect()
            };
            code.match_indices(root).filter(|(at, _)| !code[..*at].ends_with("::")).map(move |(at, _)| path(at))
        });
        // The beginning of a `use` group ends in nothing.
        let named = named.filter(|path: &Vec<String>| path.last().is_some_and(|last| !last.is_empty()));
        let paths = imported.chain(named);
        let files = paths.filter_map(|path: Vec<String>| self.file_of(&self.absolute(module, &path)?));
        files.filter(|file| file != module).collect()
    }
}

/// The paths of all `use` lines, each with whether it passes on what it names.
fn uses(code: &str) -> Vec<(bool, Vec<String>)> {
    /// Reads one tree of a `use` line from its place in the line on.
    fn expand(line: &str, at: &mut usize, prefix: &[String], paths: &mut Vec<Vec<String>>) {
        let mut path = prefix.to_vec();
        loop {
            let rest = &line[*at..];
            let end = rest.find([':', '{', ',', '}']).unwrap_or(rest.len());
            let segment = rest[..end].split(" as ").next().unwrap_or_default().trim();
            if !segment.is_empty() && (segment != "self" || path.is_empty()) {
                path.push(segment.to_owned());
            }
            *at += end;
            match line[*at..].chars().next() {
                Some(':') => *at += 2,
                Some('{') => loop {
                    *at += 1;
                    expand(line, at, &path, paths);
                    if !line[*at..].starts_with(',') {
                        *at += 1;
                        return;
                    }
                },
                _ => return paths.extend((!segment.is_empty()).then_some(path)),
            }
        }
    }
    let mut found = Vec::new();
    let mut lines = code.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let line = line.trim_start();
        let public = line.strip_prefix("pub").map(|rest| rest.trim_start_matches(|c: char| c != ' ').trim_start());
        let Some(first) = public.unwrap_or(line).strip_prefix("use ") else { continue };
        let mut tree = first.to_owned();
        while !tree.contains(';') {
            match lines.next() {
                Some(line) => tree.push_str(line),
                None => break,
            }
        }
        let mut paths = Vec::new();
        expand(tree.split(';').next().unwrap_or_default(), &mut 0, &[], &mut paths);
        found.extend(paths.into_iter().map(|path| (public.is_some(), path)));
    }
    found
}

/// One way around for each file from which there is any.
fn cycles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let way_back = |start: &String| {
        let (mut seen, mut ways) = (BTreeSet::new(), vec![vec![start.clone()]]);
        while let Some(way) = ways.pop() {
            for next in way.last().and_then(|last| imports.get(last)).into_iter().flatten() {
                if next == start {
                    return Some(way.join(" → ") + " → " + start);
                }
                if seen.insert(next.clone()) {
                    ways.push(way.iter().cloned().chain([next.clone()]).collect());
                }
            }
        }
        None
    };
    imports.keys().filter_map(way_back).collect()
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
fn no_file_imports_one_that_imports_it() {
    let imports = Imports::of(&sources());
    let of_all: BTreeMap<_, _> = imports.code.keys().map(|module| (module.clone(), imports.from(module))).collect();
    assert!(of_all.values().map(BTreeSet::len).sum::<usize>() > 500, "imports are found");
    assert_none(cycles(&of_all), "files that import each other");
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
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let sources = [
        source("src/base/mod.rs", "mod a;\nmod b;\npub use a::{A, c::C};\npub use b::B;\n"),
        source("src/base/a/mod.rs", "use super::{\n    B,\n    other::{D, E},\n};\nmod c;\n"),
        source("src/base/a/c.rs", "pub struct C;\nfn f() { crate::files::g() }\n"),
        source(
            "src/base/b.rs",
            "//! use super::A;\nuse super::C;\nfn f() -> crate::base::A {}\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n",
        ),
        source("src/files/mod.rs", "fn g() {}\n"),
    ];
    let imports = Imports::of(&sources);
    let of = |module: &str| imports.from(module).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(
        [of("base"), of("base::a"), of("base::a::c"), of("base::b")],
        ["", "base base::b", "files", "base::a base::a::c"]
    );
    let of_all: BTreeMap<_, _> = imports.code.keys().map(|module| (module.clone(), imports.from(module))).collect();
    assert_eq!(cycles(&of_all), ["base::a → base::b → base::a", "base::b → base::a → base::b"]);
}
