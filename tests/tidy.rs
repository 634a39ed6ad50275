//! The rules of the house that can be counted. Each is one test; its message says where, what, and the cure.
//!
//! | rule | file |
//! |---|---|
//! | modules do not import each other in a loop; the rooms of `tensor` import downwards | `tidy/imports.rs` |
//! | files, functions and rooms have a most number of lines | `tidy/lengths.rs` |
//! | a crate depends on lower floors only | `tidy/floors.rs` |
//! | `unsafe` is in `tensor` only | `tidy/safety.rs` |
//! | a measured constant of `tensor` names the command that measures it again | `tidy/measured.rs` |
//!
//! A rule is a function from sources to findings. Beside each rule is a test that feeds it a violation, so that a rule
//! which finds nothing is known to work.

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/lengths.rs"]
mod lengths;
#[path = "tidy/measured.rs"]
mod measured;
#[path = "tidy/safety.rs"]
mod safety;
#[path = "tidy/source.rs"]
mod source;

use source::{Source, crates, read, sources};

/// The sources of every crate.
fn crate_sources() -> Vec<Source> {
    sources(&["crates"]).into_iter().filter(|source| source.path.contains("/src/")).collect()
}

/// The sources of every crate, and the two members that hold benches and tests.
fn house() -> Vec<Source> {
    crate_sources().into_iter().chain(sources(&["benches", "tests"])).collect()
}

/// # Panics
/// If there are findings.
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n  {}", findings.len(), findings.join("\n  "));
}

#[test]
fn no_modules_import_each_other_in_a_loop() {
    let sources = crate_sources();
    let of = |name: &str| {
        let root = format!("crates/{name}/src/");
        imports::loops(&sources.iter().filter(|source| source.path.starts_with(&root)).collect::<Vec<_>>())
    };
    assert_none(&crates().iter().flat_map(|name| of(name)).collect::<Vec<_>>());
}

#[test]
fn the_rooms_of_tensor_import_downwards_only() {
    let sources = sources(&["crates/tensor/src"]);
    assert_none(&imports::upward(&sources.iter().collect::<Vec<_>>()));
}

#[test]
fn no_file_is_too_long() {
    assert_none(&lengths::long_files(&house()));
}

#[test]
fn no_function_is_too_long() {
    assert_none(&lengths::long_functions(&house()));
}

#[test]
fn every_room_keeps_to_its_budget_of_lines() {
    assert_none(&lengths::over_budget(&crate_sources()));
}

#[test]
fn a_crate_depends_on_lower_floors_only() {
    let manifest = |name: &String| (name.clone(), read(&format!("crates/{name}/Cargo.toml")));
    assert_none(&floors::findings(&crates().iter().map(manifest).collect::<Vec<_>>()));
}

#[test]
fn unsafe_code_is_in_tensor_only() {
    assert_none(&safety::unsafe_outside_tensor(&sources(&["crates", "benches", "tests"])));
}

#[test]
fn every_other_crate_forbids_unsafe_code() {
    assert_none(&safety::roots_without_forbid(&crate_sources()));
}

#[test]
fn measured_constants_are_few_and_can_be_measured_again() {
    let benches = read("benches/Cargo.toml");
    assert_none(&measured::findings(&sources(&["crates/tensor/src"]), &benches, &|path| {
        source::root().join(path).exists()
    }));
}
