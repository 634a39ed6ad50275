//! A study that keeps whatever it is told, and its file.

use optuna_journal::{Direction, FinishedTrial, Journal, Parameter, StudyOptions, StudyState, TrialRecord};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What the tests' programs keep: the attributes of the study, and of each trial of theirs its number, value, parameter
/// and intermediate values.
#[derive(Debug, Default, PartialEq)]
pub struct Kept {
    pub attributes: Vec<(String, Value)>,
    pub trials: Vec<(u64, f64, f64, Vec<f64>)>,
    /// Trials without a number: those of others.
    pub others: usize,
}

impl StudyState for Kept {
    fn attribute(&mut self, name: &str, value: &Value) -> Result<(), &'static str> {
        if value == "refused" {
            return Err("an attribute to be refused");
        }
        self.attributes.push((name.to_owned(), value.clone()));
        Ok(())
    }

    fn trial(&mut self, trial: TrialRecord<'_>) -> Result<(), &'static str> {
        let Some(number) = trial.attribute("number").and_then(Value::as_u64) else {
            self.others += 1;
            return Ok(());
        };
        let read = (trial.value(), trial.parameter("lr"), trial.intermediate_values());
        match read {
            (Some(value), Some(lr), Some(values)) if trial.is_complete() => {
                self.trials.push((number, value, lr, values));
                Ok(())
            }
            _ => Err("no whole trial"),
        }
    }
}

impl Kept {
    pub fn numbers(&self) -> Vec<u64> {
        self.trials.iter().map(|trial| trial.0).collect()
    }
}

pub const OPTIONS: StudyOptions<'_> = StudyOptions { name: "tuning", direction: Direction::Maximize, program: "tests" };

pub fn create(path: &Path) -> Result<Journal<Kept>, optuna_journal::Error> {
    Journal::create(path, OPTIONS, |_| ())
}

pub fn open(path: &Path) -> Result<Journal<Kept>, optuna_journal::Error> {
    Journal::open(path, OPTIONS, |_| ())
}

/// A folder with the path of a journal in it.
pub fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.log");
    (dir, path)
}

/// The user attributes of the study.
pub fn attributes() -> Map<String, Value> {
    Map::from_iter([("batch".to_owned(), json!(100))])
}

/// A trial whose numbers have no short decimal form.
pub fn trial(number: u64) -> FinishedTrial {
    let third = (number + 1) as f64 / 3.0;
    FinishedTrial {
        started: SystemTime::now(),
        completed: SystemTime::now(),
        value: third,
        parameters: vec![Parameter { name: "lr", value: third.sqrt(), low: 1e-6, high: 1e3, log: true }],
        intermediate_values: (1..=12).map(|step| third / f64::from(step)).chain([third]).collect(),
        attributes: Map::from_iter([("number".to_owned(), json!(number))]),
    }
}

/// The records of a file, each of which must be a whole line of JSON.
pub fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "a line has no end");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}
