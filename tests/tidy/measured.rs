//! Constants that were measured, and not derived.
//!
//! Such a constant is declared below a comment that says so:
//!
//! ```text
//! /// Measured: rows of B; a line takes some 100 cycles from L2, eight steps of a full tile;
//! /// `cargo bench --bench gemm -- 512x512x512`
//! const STEPS_AHEAD: usize = 8;
//! ```
//!
//! behind the mark its unit, its reason, and the command that measures it again. A field counts as often as it is given
//! a value.

use crate::source::{Source, tokens};
use std::collections::BTreeMap;

/// Most measured constants of `tensor`.
const MOST: usize = 20;
const MARK: &str = "/// Measured:";
const ROOT: &str = "crates/tensor/src/";

/// A declaration with the mark.
struct Constant {
    place: String,
    name: String,
    comment: String,
    /// How many numbers it stands for.
    count: usize,
}

/// Constants that name no command, or none that is there; a room that has them in two files; and too many of them.
/// `benches` is the manifest of the benches; `exists` says whether a path of the workspace is there.
pub fn findings(sources: &[Source], benches: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut rooms: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut count = 0;
    for source in sources {
        let constants = constants(source);
        count += constants.iter().map(|constant| constant.count).sum::<usize>();
        if !constants.is_empty() {
            let inner = source.path.strip_prefix(ROOT).unwrap_or(&source.path);
            rooms.entry(inner.split('/').next().unwrap_or(inner)).or_default().push(&source.path);
        }
        for constant in constants {
            let (place, name) = (&constant.place, &constant.name);
            if name.is_empty() {
                found.push(format!("{place}: the mark is above no constant and no field; put it above the number"));
            } else if !commands(&constant.comment).any(|command| runs(command, benches, exists)) {
                found
                    .push(format!("{place}: `{name}` names no command that measures it again; write one in backticks"));
            }
        }
    }
    for files in rooms.values().filter(|files| files.len() > 1) {
        found.push(format!("{}: measured constants of one room; move them into one file", files.join(", ")));
    }
    if count > MOST {
        found
            .push(format!("{ROOT}: {count} measured constants, at most {MOST}; derive some from caches and registers"));
    }
    if count == 0 {
        found.push(format!("{ROOT}: nothing is marked with `{MARK}`; mark what was measured"));
    }
    found
}

/// What has the mark in a file.
fn constants(source: &Source) -> Vec<Constant> {
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let code = tokens(&source.code());
    let marked = lines.iter().enumerate().filter(|(_, line)| line.starts_with(MARK));
    marked
        .map(|(at, _)| {
            let is_comment = |line: &&&str| line.starts_with("///");
            let comment: Vec<&str> = lines[at..].iter().take_while(is_comment).copied().collect();
            let item = lines[at + comment.len()..].iter().find(|line| !line.starts_with("#["));
            let name = item.map_or(String::new(), |item| declared(item));
            let given = code.windows(2).filter(|pair| pair[0].1 == name && pair[1].1 == ":").count();
            let is_field = item.is_some_and(|item| !item.contains('='));
            let count = if is_field { given.saturating_sub(1).max(1) } else { 1 };
            Constant { place: format!("{}:{}", source.path, at + 1), name, comment: comment.join(" "), count }
        })
        .collect()
}

/// The name that a line declares: `const NAME: …`, `static NAME: …` or `name: …` of a field.
fn declared(line: &str) -> String {
    let words: Vec<String> = tokens(line).into_iter().map(|(_, word)| word).collect();
    let colon = words.iter().position(|word| word == ":");
    colon.and_then(|at| at.checked_sub(1)).map_or(String::new(), |at| words[at].clone())
}

/// What stands in backticks.
fn commands(comment: &str) -> impl Iterator<Item = &str> {
    comment.split('`').skip(1).step_by(2)
}

/// Whether a command is one that the workspace has: a bench, a run of the binary, or a script.
fn runs(command: &str, benches: &str, exists: &dyn Fn(&str) -> bool) -> bool {
    let command = command.replace("///", " ");
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["cargo", "bench", "--bench", name, ..] => benches.contains(&format!("name = \"{name}\"")),
        ["cargo", "run", ..] => true,
        [script, ..] => script.starts_with("benches/") && exists(script),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BENCHES: &str = "[[bench]]\nname = \"gemm\"\n";

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<Source> = files.iter().map(|(path, text)| Source::new(&format!("{ROOT}{path}"), text)).collect();
        findings(&files, BENCHES, &|path| path == "benches/peers/run.sh")
    }

    /// The findings of one constant with this command.
    fn one(command: &str) -> Vec<String> {
        let comment = format!("/// Rows.\n///\n/// Measured: rows; fewer do not repay the copy;\n/// {command}\n");
        found(&[("gemm/plan.rs", &format!("{comment}pub(super) const ROWS: usize = 8;\n"))])
    }

    #[test]
    fn a_constant_without_a_command_that_runs_is_refused() {
        for command in
            ["`cargo bench --bench gemm -- 512`", "`benches/peers/run.sh gemm`", "`cargo run --release -- ladder`"]
        {
            assert!(one(command).is_empty(), "{command}");
        }
        for command in
            ["", "cargo bench --bench gemm", "`Plan`", "`cargo bench --bench dense`", "`benches/peers/go.sh`"]
        {
            let found = one(command);
            assert!(
                found.len() == 1 && found[0].contains("gemm/plan.rs:3: `ROWS` names no command"),
                "{command}: {found:?}"
            );
        }
        let nothing = found(&[("gemm/plan.rs", "/// Measured: rows; `cargo bench --bench gemm`\nfn f() {}\n")]);
        assert!(nothing.len() == 1 && nothing[0].contains("above no constant"), "{nothing:?}");
    }

    #[test]
    fn a_room_with_two_files_of_constants_is_refused() {
        let text = "/// Measured: rows; `cargo bench --bench gemm`\nconst A: usize = 1;\n";
        assert!(found(&[("gemm/plan.rs", text), ("vec/pass.rs", text)]).is_empty());
        let found = found(&[("gemm/plan.rs", text), ("gemm/pack.rs", text)]);
        assert!(found.len() == 1 && found[0].contains("move them into one file"), "{found:?}");
    }

    #[test]
    fn a_twenty_first_constant_is_refused_and_each_value_of_a_field_counts() {
        let text = "/// Measured: rows; `cargo bench --bench gemm`\nconst A: usize = 1;\n";
        assert!(found(&[("gemm/plan.rs", &text.repeat(20))]).is_empty());
        assert!(found(&[("gemm/plan.rs", &text.repeat(21))])[0].contains("21 measured constants, at most 20"));
        let field = "struct K {\n/// Measured: a density; `cargo bench --bench gemm`\npub pays: f64,\n}\n";
        let rows = |count: usize| format!("{field}{}", "static R: K = K { pays: 0.5 };\n".repeat(count));
        assert!(found(&[("sparse/kernels.rs", &rows(20))]).is_empty());
        assert!(found(&[("sparse/kernels.rs", &rows(21))])[0].contains("21 measured constants"));
        assert!(found(&[("gemm/plan.rs", "const A: usize = 1;")])[0].contains("nothing is marked"));
    }
}
