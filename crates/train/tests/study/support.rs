//! Studies of small searches, and the records in their files.

use crate::searches::{self, data};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use tensor::Exec;
use train::search::{Found, Search, Trial};
use train::{Error, Length, Study};

pub fn search(rounds: &[usize]) -> Search {
    searches::search(rounds, 3)
}

/// The same without the work of training.
pub fn quick(rounds: &[usize]) -> Search {
    let mut search = search(rounds);
    search.base.length = Length::Steps(0);
    search.base.architecture.hidden.clear();
    search
}

pub fn begin(path: &Path, search: &Search) -> Result<Study, Error> {
    let (train, validation) = data();
    Study::begin(path, search, &train, &validation, |_| ())
}

pub fn resume(path: &Path, search: &Search) -> Result<Study, Error> {
    let (train, validation) = data();
    Study::resume(path, search, &train, &validation, |_| ())
}

/// What a search finds on this thread, and how many trials it ran.
pub fn run(search: &Search, study: Option<&Study>) -> Result<(Found, usize), Error> {
    let (train, validation) = data();
    let ran = AtomicUsize::new(0);
    let count = |_: &Trial| {
        ran.fetch_add(1, Ordering::Relaxed);
    };
    let found = search.run(Exec::serial(), &train, &validation, study, &count)?;
    Ok((found, ran.into_inner()))
}

pub fn assert_same(got: &Found, want: &Found, what: &str) {
    assert_eq!(got.trials, want.trials, "{what}");
    assert_eq!(got.ranges, want.ranges, "{what}");
}

/// A folder with the path of a study in it.
pub fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.log");
    (dir, path)
}

/// The file of a whole search, and what it found.
pub fn written(search: &Search) -> (Vec<u8>, Found) {
    let (_dir, path) = place();
    let (found, ran) = run(search, Some(&begin(&path, search).unwrap())).unwrap();
    assert_eq!(ran, found.trials.len());
    (fs::read(&path).unwrap(), found)
}

pub fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').collect()
}

/// The records of a file, each of which must be a whole line of JSON.
pub fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "a line has no end");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Our numbers of the trials in a file, in its order.
pub fn numbers(path: &Path) -> Vec<u64> {
    records(path).iter().filter_map(|record| record["user_attrs"]["groundup"]["number"].as_u64()).collect()
}

/// The message of the error of a study.
pub fn refusal<T>(result: Result<T, Error>, path: &Path) -> String {
    match result {
        Err(error @ Error::Study { .. }) => {
            let message = error.to_string();
            assert_eq!(message.lines().count(), 1, "{message:?}");
            assert!(message.starts_with(path.to_str().unwrap()) && message.contains("; "), "{message:?}");
            message
        }
        Err(other) => panic!("not the error of a study: {other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

/// The line of a trial with an accuracy that is not the one it has.
pub fn found_otherwise(plan: &Search, number: usize) -> String {
    let mut record: Value = serde_json::from_slice(lines(&written(plan).0)[2 + number]).unwrap();
    (record["value"], record["intermediate_values"]) = (json!(0.5), json!({"1": 0.5}));
    record["user_attrs"]["groundup"]["train_accuracy"] = json!([0.5]);
    format!("{record}\n")
}

pub fn append(path: &Path, line: &str) {
    fs::write(path, fs::read_to_string(path).unwrap() + line).unwrap();
}
