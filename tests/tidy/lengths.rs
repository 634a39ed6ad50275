//! How long files, functions and rooms may be.

use crate::source::{Source, tokens};

/// Lines of a file.
const MOST_OF_A_FILE: usize = 400;
/// Lines of a file of intrinsics, which is a list.
const MOST_OF_INTRINSICS: usize = 470;
/// Lines of a function.
const MOST_OF_A_FUNCTION: usize = 80;

/// Rooms and their lines, comments included. The ladder is counted in none of them: it is the model for the rest.
const BUDGETS: [(&str, usize); 4] = [
    ("crates/tensor/src/gemm/", 1800),
    ("crates/tensor/src/sparse/", 1000),
    ("crates/tensor/src/matmul/", 400),
    ("crates/tensor/src/", 9500),
];
const LADDER: &str = "crates/tensor/src/gemm/ladder/";

fn lines(source: &Source) -> usize {
    source.text.lines().count()
}

/// Files that are too long.
pub fn long_files(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let intrinsics = source.path.starts_with("crates/tensor/src/isa/");
        let most = if intrinsics { MOST_OF_INTRINSICS } else { MOST_OF_A_FILE };
        if lines(source) > most {
            found.push(format!("{}: {} lines, at most {most}; split it, one noun a file", source.path, lines(source)));
        }
    }
    found
}

/// Functions that are too long, from `fn` to the closing brace.
pub fn long_functions(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let tokens = tokens(&source.code());
        for (at, (line, token)) in tokens.iter().enumerate() {
            let Some((_, name)) = tokens.get(at + 1) else { continue };
            if token != "fn" || !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                continue;
            }
            let Some(end) = end_of_function(&tokens[at..]) else { continue };
            let length = end + 1 - line;
            if length > MOST_OF_A_FUNCTION {
                let place = format!("{}:{line}", source.path);
                found.push(format!(
                    "{place}: `{name}` has {length} lines, at most {MOST_OF_A_FUNCTION}; name its parts"
                ));
            }
        }
    }
    found
}

/// The line of the brace that closes a function, or `None` if it has no body.
fn end_of_function(tokens: &[(usize, String)]) -> Option<usize> {
    let (mut brackets, mut braces) = (0_usize, 0_usize);
    for (line, token) in tokens {
        match token.as_str() {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            ";" if brackets == 0 && braces == 0 => return None,
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return Some(*line);
                }
            }
            _ => {}
        }
    }
    None
}

/// Rooms that are over their budget, or not there.
pub fn over_budget(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for (room, most) in BUDGETS {
        let inside = |source: &&Source| source.path.starts_with(room) && !source.path.starts_with(LADDER);
        let sum: usize = sources.iter().filter(inside).map(lines).sum();
        if sum == 0 {
            found.push(format!("{room}: no such room; a budget is for files that are there"));
        } else if sum > most {
            found.push(format!("{room}: {sum} lines, at most {most}; drop what earns least"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: usize) -> Source {
        Source::new(path, &"x\n".repeat(lines))
    }

    #[test]
    fn a_file_of_401_lines_is_refused_and_intrinsics_may_have_470() {
        let found = |path, lines| long_files(&[file(path, lines)]).len();
        assert_eq!((found("crates/train/src/a.rs", 400), found("crates/train/src/a.rs", 401)), (0, 1));
        assert_eq!((found("crates/tensor/src/isa/a.rs", 470), found("crates/tensor/src/isa/a.rs", 471)), (0, 1));
        assert_eq!((found("benches/a.rs", 401), found("tests/a.rs", 401)), (1, 1));
    }

    #[test]
    fn a_function_of_81_lines_is_refused_wherever_it_stands() {
        let body = |lines: usize| "    let brace = \"}\"; // }\n".repeat(lines - 2);
        let function = |lines: usize| {
            format!("pub(super) unsafe fn long<T>(x: [u8; 4])\n where T: Copy {{\n{}}}\n", body(lines - 1))
        };
        let found = |text: &str| long_functions(&[Source::new("a.rs", text)]);
        assert!(found(&function(80)).is_empty());
        assert_eq!(found(&function(81)).len(), 1);
        assert!(found(&function(81))[0].starts_with("a.rs:1: `long` has 81 lines"));
        assert_eq!(found(&format!("impl A {{\nfn none(&self);\n{}}}", function(81))).len(), 1);
        assert!(found(&format!("trait A {{\nfn none(&self);\ntype F = unsafe fn(u8);\n{}}}", body(99))).is_empty());
    }

    #[test]
    fn a_room_over_its_budget_is_refused_and_so_is_one_that_is_not_there() {
        let rooms = |gemm| {
            let sparse = file("crates/tensor/src/sparse/mod.rs", 1000);
            [file("crates/tensor/src/gemm/plan.rs", gemm), sparse, file("crates/tensor/src/matmul/mod.rs", 400)]
        };
        assert!(over_budget(&rooms(1800)).is_empty());
        assert!(over_budget(&rooms(1801))[0].starts_with("crates/tensor/src/gemm/: 1801 lines, at most 1800"));
        assert!(
            over_budget(&rooms(1800)[..1]).iter().any(|found| found.starts_with("crates/tensor/src/sparse/: no such"))
        );
        assert!(
            over_budget(&[file(&format!("{LADDER}simd.rs"), 2000)]).iter().all(|found| found.contains("no such room"))
        );
        let all: Vec<Source> = rooms(1800).into_iter().chain([file("crates/tensor/src/exec.rs", 6301)]).collect();
        assert!(over_budget(&all)[0].starts_with("crates/tensor/src/: 9501 lines"));
    }
}
