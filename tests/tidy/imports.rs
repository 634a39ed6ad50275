//! Which module of a crate imports which.
//!
//! A module is a file. A path of its code (`crate::a::b::C`, `super::…`, `self::…`) imports the module that the longest
//! beginning of the path names. A path to a module's own parents is not an import: a child may use what its parent
//! holds. Tests at the end of a file may import anything.

use crate::source::{Source, tokens};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A module as the names from the crate's root.
type Module = Vec<String>;
/// Which modules each module imports.
type Graph = BTreeMap<Module, BTreeSet<Module>>;

/// The floors of `tensor`: a room imports from lower floors, or from its own in one direction.
const FLOORS: [(&str, u32); 9] = [
    ("matmul", 4),
    ("sparse", 3),
    ("gemm", 2),
    ("vec", 2),
    ("array", 1),
    ("isa", 1),
    ("threads", 1),
    ("machine", 1),
    ("exec", 1),
];

/// The loops of imports in the sources of one crate.
pub fn loops(sources: &[&Source]) -> Vec<String> {
    let graph = graph(sources);
    let place = sources.first().map_or("", |source| source.path.split("/src/").next().unwrap_or_default());
    cycles(&graph)
        .into_iter()
        .map(|cycle| {
            let names: Vec<String> = cycle.iter().chain(cycle.first()).map(name).collect();
            format!("{place}: {}; move what both need into a module below them", names.join(" → "))
        })
        .collect()
}

/// Imports of `tensor` from a room to a higher one, and rooms without a floor.
pub fn upward(sources: &[&Source]) -> Vec<String> {
    let floor = |module: &Module| {
        let room = module.first()?;
        FLOORS.iter().find(|(name, _)| name == room).map(|&(_, floor)| floor)
    };
    let mut found = BTreeSet::new();
    for (module, imports) in graph(sources).iter().filter(|(module, _)| !module.is_empty()) {
        let Some(own) = floor(module) else {
            found.insert(format!("crates/tensor/src/{}: it has no floor; write it into `FLOORS`", module[0]));
            continue;
        };
        for import in imports.iter().filter(|import| floor(import).is_some_and(|other| other > own)) {
            let names = (name(module), name(import));
            found.insert(format!(
                "crates/tensor/src/{} imports {}, which is above it; import downwards only",
                names.0, names.1
            ));
        }
    }
    found.into_iter().collect()
}

fn name(module: &Module) -> String {
    if module.is_empty() { "the crate's root".to_string() } else { module.join("/") }
}

/// The imports of the sources of one crate.
fn graph(sources: &[&Source]) -> Graph {
    let modules: BTreeSet<Module> = sources.iter().map(|source| module(&source.path)).collect();
    let mut graph = Graph::new();
    for source in sources {
        let own = module(&source.path);
        let mut imports = BTreeSet::new();
        let text = source.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for path in paths(&Source::new(&source.path, text).code()) {
            let mut to = resolve(&own, &path);
            while !modules.contains(&to) && !to.is_empty() {
                to.pop();
            }
            if !own.starts_with(&to) {
                imports.insert(to);
            }
        }
        graph.insert(own, imports);
    }
    graph
}

/// `crates/tensor/src/gemm/mod.rs` is the module `[gemm]`.
fn module(path: &str) -> Module {
    let inner = path.split_once("/src/").map_or(path, |(_, inner)| inner).trim_end_matches(".rs");
    let names: Vec<String> = inner.split('/').map(str::to_string).collect();
    match names.last().map(String::as_str) {
        Some("mod") => names[..names.len() - 1].to_vec(),
        Some("lib" | "main") if names.len() == 1 => Vec::new(),
        _ => names,
    }
}

/// The place that a path leads to from a module.
fn resolve(own: &Module, path: &[String]) -> Module {
    let mut at = own.clone();
    for part in path {
        match part.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            other => at.push(other.to_string()),
        }
    }
    at
}

/// Every path of the code that begins with `crate`, `self` or `super`; a tree of `use` is one path a leaf.
fn paths(code: &str) -> Vec<Vec<String>> {
    let tokens: Vec<String> = tokens(code).into_iter().map(|(_, token)| token).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = matches!(tokens[at].as_str(), "crate" | "self" | "super");
        at = if begins { tree(&tokens, at, &[], &mut found) } else { at + 1 };
    }
    found
}

/// Reads a path, or a tree of paths, from `at` on; the place behind it.
fn tree(tokens: &[String], mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    loop {
        match token(at) {
            "{" => {
                at += 1;
                while !matches!(token(at), "}" | "") {
                    at = if token(at) == "," { at + 1 } else { tree(tokens, at, &path, found) };
                }
                return at + 1;
            }
            word if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => path.push(word.to_string()),
            _ => {
                found.push(path);
                return at + 1;
            }
        }
        at += 1;
        // `use a::b as c` imports b.
        let renamed = if token(at) == "as" { 2 } else { 0 };
        if token(at) != "::" {
            found.push(path);
            return at + renamed;
        }
        at += 1;
    }
}

/// A shortest loop through each module that is in one, each loop once.
fn cycles(graph: &Graph) -> Vec<Vec<Module>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for start in graph.keys() {
        let Some(cycle) = shortest_cycle(graph, start) else { continue };
        if seen.insert(cycle.iter().cloned().collect::<BTreeSet<Module>>()) {
            found.push(cycle);
        }
    }
    found
}

fn shortest_cycle(graph: &Graph, start: &Module) -> Option<Vec<Module>> {
    let mut from: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(module) = queue.pop_front() {
        for next in graph.get(module).into_iter().flatten() {
            if next == start {
                let back = std::iter::successors(Some(module), |module| from.get(module).copied());
                let mut cycle: Vec<Module> = back.cloned().collect();
                cycle.reverse();
                return Some(cycle);
            }
            if !from.contains_key(next) {
                from.insert(next, module);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)], check: fn(&[&Source]) -> Vec<String>) -> Vec<String> {
        let files: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(&format!("crates/tensor/src/{path}"), text)).collect();
        check(&files.iter().collect::<Vec<_>>())
    }

    #[test]
    fn two_modules_that_import_each_other_are_refused_however_they_write_it() {
        let other = ("gemm/b.rs", "use super::a::X;\n");
        for text in [
            "use super::b::Y;",
            "use crate::gemm::b;",
            "use super::{c::Z, b::{self, Y}};",
            "use crate::{gemm::{b as d, c}, isa};",
            "fn f() -> super::b::Y { todo() }",
            "use super::super::gemm::b::*;",
        ] {
            let found =
                found(&[("gemm/mod.rs", "mod a; mod b;"), ("gemm/a.rs", text), other, ("gemm/c.rs", "")], loops);
            assert!(found.len() == 1 && found[0].contains("gemm/a → gemm/b → gemm/a"), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_loop_of_three_is_refused() {
        let files = [("a.rs", "use crate::b;"), ("b.rs", "use crate::c::X;"), ("c.rs", "use crate::a;")];
        assert_eq!(
            found(&files, loops),
            ["crates/tensor: a → b → c → a; move what both need into a module below them"]
        );
    }

    #[test]
    fn parents_tests_comments_and_one_direction_are_no_loop() {
        let code = "use super::Parent;\npub(super) fn f(&self) { self.b() }\n";
        let tests = format!("{code}#[cfg(test)]\nmod tests {{ use crate::gemm::b; }}");
        let files = [
            ("gemm/mod.rs", "mod a; mod b; pub use a::X;"),
            ("gemm/a.rs", &tests),
            ("gemm/b.rs", "// crate::gemm::c\nuse super::a::X;"),
            ("gemm/c.rs", "use super::b::Y;"),
        ];
        assert!(found(&files, loops).is_empty());
    }

    #[test]
    fn an_import_from_a_higher_room_is_refused_and_a_room_without_a_floor() {
        let up = [("gemm/plan.rs", "use crate::sparse::Lhs;"), ("sparse/mod.rs", "use crate::gemm::Plan;")];
        let expected = "crates/tensor/src/gemm/plan imports sparse, which is above it; import downwards only";
        assert_eq!(found(&up, upward), [expected]);
        assert!(found(&[("team/mod.rs", "")], upward)[0].starts_with("crates/tensor/src/team: it has no floor"));
    }
}
