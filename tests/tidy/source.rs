//! The files of the workspace, and their code without comments and literals.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path from the root of the workspace, with `/`, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// A file that is not on disk.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_string(), text: text.to_string() }
    }

    /// The text, in which comments and the inside of literals are spaces. Lines stay lines.
    pub fn code(&self) -> String {
        code(&self.text)
    }
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is around this package").to_path_buf()
}

/// The text of a file, by its path from the root.
///
/// # Panics
/// If it cannot be read.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in `crates/`, sorted.
pub fn crates() -> Vec<String> {
    entries(&root().join("crates")).iter().map(|path| name(path)).collect()
}

/// Every Rust file below these folders, sorted by path.
pub fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        collect(folder, &mut found);
    }
    found
}

fn collect(folder: &str, found: &mut Vec<Source>) {
    for path in entries(&root().join(folder)) {
        let inner = format!("{folder}/{}", name(&path));
        if path.is_dir() {
            collect(&inner, found);
        } else if inner.ends_with(".rs") {
            let text = read(&inner);
            found.push(Source { path: inner, text });
        }
    }
}

/// The entries of a folder, sorted; none if it is not there.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().expect("an entry has a name").to_string_lossy().into_owned()
}

/// See [`Source::code`].
fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = comment(&chars, at).or_else(|| literal(&chars, at));
        match end {
            Some(end) => {
                out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
                at = end;
            }
            None => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    out
}

/// Where a comment that begins at `at` ends. Block comments nest.
fn comment(chars: &[char], at: usize) -> Option<usize> {
    let pair = |at: usize| (chars.get(at).copied(), chars.get(at + 1).copied());
    match pair(at) {
        (Some('/'), Some('/')) => {
            Some(chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |length| at + length))
        }
        (Some('/'), Some('*')) => {
            let (mut depth, mut end) = (1, at + 2);
            while depth > 0 && end < chars.len() {
                match pair(end) {
                    (Some('/'), Some('*')) => (depth, end) = (depth + 1, end + 2),
                    (Some('*'), Some('/')) => (depth, end) = (depth - 1, end + 2),
                    _ => end += 1,
                }
            }
            Some(end.min(chars.len()))
        }
        _ => None,
    }
}

/// Where a string or character literal that begins at `at` ends.
fn literal(chars: &[char], at: usize) -> Option<usize> {
    let begins_word = at == 0 || !(chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '"' => Some(closing_quote(chars, at + 1, '"')),
        '\'' if chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'') => {
            Some(closing_quote(chars, at + 1, '\''))
        }
        'r' | 'b' | 'c' if begins_word => {
            let quote = at + chars[at..].iter().take_while(|c| matches!(c, 'r' | 'b' | 'c')).count();
            let hashes = chars[quote..].iter().take_while(|&&c| c == '#').count();
            if !chars[at..quote].contains(&'r') || chars.get(quote + hashes) != Some(&'"') {
                return None;
            }
            let from = quote + hashes + 1;
            let ends = |&end: &usize| {
                chars[end] == '"' && chars[end + 1..].iter().take_while(|&&c| c == '#').count() >= hashes
            };
            Some((from..chars.len()).find(ends).map_or(chars.len(), |end| end + 1 + hashes))
        }
        _ => None,
    }
}

/// The place behind the next `quote` that has no backslash before it.
fn closing_quote(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The words and single signs of code, each with its line (from 1). `::` is one sign.
pub fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in code.lines().enumerate() {
        let mut chars = text.chars().peekable();
        while let Some(first) = chars.next() {
            let mut token = String::from(first);
            if first.is_alphanumeric() || first == '_' {
                while let Some(c) = chars.next_if(|&c| c.is_alphanumeric() || c == '_') {
                    token.push(c);
                }
            } else if first == ':' && chars.next_if_eq(&':').is_some() {
                token.push(':');
            }
            if !first.is_whitespace() {
                found.push((line + 1, token));
            }
        }
    }
    found
}

#[test]
fn code_has_neither_comments_nor_literals_and_as_many_lines() {
    let text = "a // x\nb /* y /* z */\n y */ c \"d \\\" e\" f r#\"g \" h\"# 'i' '\\'' j<'k> b\"l\" br\"m\" n\n";
    let code = code(text);
    let words: Vec<String> = tokens(&code)
        .into_iter()
        .map(|(_, word)| word)
        .filter(|word| word.len() > 1 || word.chars().all(char::is_alphanumeric))
        .collect();
    assert_eq!(words, ["a", "b", "c", "f", "j", "k", "b", "n"]);
    assert_eq!(code.lines().count(), text.lines().count());
}
